import math

import pytest
import torch
from torch import nn

from csi_predictor.models.longitudinal.blocks import ConvBlockBranch, DecoderBlock
from csi_predictor.models.longitudinal.initialisation import initialise_weights
from csi_predictor.models.longitudinal.transformer_branch import ViTEncoder


def test_convolutions_start_by_kaiming_s_fan_in() -> None:
    torch.manual_seed(0)
    branch = ConvBlockBranch(128)
    initialise_weights(branch)
    weight = branch.layers[0].weight
    assert weight.std().item() == pytest.approx(math.sqrt(2 / (128 * 9)), rel=0.01)
    assert weight.mean().item() == pytest.approx(0, abs=1e-3)


def test_a_depthwise_kernel_counts_only_its_own_places() -> None:
    torch.manual_seed(0)
    depthwise = nn.Conv2d(640, 640, 7, groups=640)
    initialise_weights(depthwise)
    assert depthwise.weight.std().item() == pytest.approx(math.sqrt(2 / 49), rel=0.02)
    assert depthwise.bias is not None
    assert not depthwise.bias.any()


@pytest.mark.parametrize(("kernel", "stride"), [(2, 2), (4, 2)])
def test_a_transposed_convolution_keeps_the_variance_of_rectified_noise(
    kernel: int, stride: int
) -> None:
    # He et al.: with variance 2 / fan-in, rectified unit noise comes out with unit variance.
    torch.manual_seed(0)
    block = DecoderBlock(256, 256, deconv_kernel_size=kernel, deconv_stride=stride)
    initialise_weights(block)
    output = block[0](torch.randn(4, 256, 16, 16).relu())[:, :, 2:-2, 2:-2]
    assert output.square().mean().item() == pytest.approx(1, rel=0.05)


def test_a_transformer_s_matrices_and_norms() -> None:
    torch.manual_seed(0)
    encoder = ViTEncoder(1)
    nn.init.constant_(encoder.norm.weight, 3.0)
    initialise_weights(encoder)
    linears = [part for part in encoder.modules() if isinstance(part, nn.Linear)]
    assert len(linears) == 4
    for linear in linears:
        assert linear.weight.std().item() == pytest.approx(0.02, rel=0.01)
        assert not linear.bias.any()
    assert (encoder.norm.weight == 1).all()
    assert not encoder.norm.bias.any()


def test_every_norm_starts_with_scale_1_and_shift_0() -> None:
    norms = nn.Sequential(nn.BatchNorm2d(4), nn.GroupNorm(2, 4), nn.LayerNorm(4))
    for norm in norms:
        nn.init.constant_(norm.weight, 5.0)
        nn.init.constant_(norm.bias, 5.0)
    initialise_weights(norms)
    assert all((norm.weight == 1).all() and not norm.bias.any() for norm in norms)
