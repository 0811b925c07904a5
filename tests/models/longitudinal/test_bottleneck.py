from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from csi_predictor.errors import ConfigError
from csi_predictor.models.longitudinal.bottleneck import BottleneckBlock, BottleneckEncoder
from csi_predictor.models.longitudinal.transformer_branch import ViTEncoder
from csi_predictor.models.weights import load_encoder_weights


@pytest.fixture(scope="module")
def encoder() -> BottleneckEncoder:
    torch.manual_seed(0)
    return BottleneckEncoder(img_size=64, transformer_encoder=ViTEncoder(1)).eval()


def test_both_branches_are_added_to_the_map() -> None:
    block = BottleneckBlock(nn.Identity(), feature_size=2).eval()
    features = torch.rand(2, 640, 2, 2)
    whole = block(features)
    for branch in (block.transformer.restore, block.convolution):
        kept = branch[-1].weight.detach().clone()
        nn.init.zeros_(branch[-1].weight)
        assert not torch.allclose(block(features), whole)
        branch[-1].weight.data.copy_(kept)
    nn.init.zeros_(block.compression[-1].weight)
    torch.testing.assert_close(block(features), features)


def test_pooled_features_are_the_means_of_the_last_map(encoder: BottleneckEncoder) -> None:
    images = torch.rand(2, 1, 64, 64)
    encoded = encoder(images)
    torch.testing.assert_close(encoded.pooled, encoded.maps[-1].mean(dim=(2, 3)))
    assert encoder.feature_dim == encoded.pooled.shape[1] == 640
    assert encoder.feature_dims == tuple(one.shape[1] for one in encoded.maps)


def test_an_odd_shaped_picture_runs() -> None:
    encoder = BottleneckEncoder(3, img_size=(64, 96), transformer_encoder=nn.Identity()).eval()
    assert encoder.forward_features(torch.rand(1, 3, 64, 96)).shape == (1, 640, 4, 6)
    assert encoder.features.stem.out_channels == 64


def test_stages_hold_every_parameter_once(encoder: BottleneckEncoder) -> None:
    listed = [id(one) for _, stage in encoder.stages() for one in stage.parameters()]
    assert sorted(listed) == sorted(id(parameter) for parameter in encoder.parameters())
    names = [name for name, _ in encoder.stages()]
    assert names[:2] == ["stem", "block_0"]
    assert names[-3:] == ["tokens", "layer_0", "compression"]


def test_another_transformer_is_one_stage() -> None:
    encoder = BottleneckEncoder(img_size=64, transformer_encoder=nn.Linear(768, 768))
    listed = [id(one) for _, stage in encoder.stages() for one in stage.parameters()]
    assert sorted(listed) == sorted(id(parameter) for parameter in encoder.parameters())


def test_position_embeddings_are_spared_weight_decay(encoder: BottleneckEncoder) -> None:
    named = dict(encoder.named_parameters())
    assert [named[name].shape for name in encoder.no_weight_decay()] == [(1, 4, 768)]


def test_weights_of_a_smaller_picture_are_resampled(
    encoder: BottleneckEncoder, tmp_path: Path
) -> None:
    embeddings = encoder.bottleneck.transformer.embeddings.position_embeddings
    with torch.no_grad():
        embeddings.copy_(torch.tensor([0.0, 0.0, 1.0, 1.0])[None, :, None])  # upper and lower rows
    save_file(encoder.state_dict(), tmp_path / "model.safetensors")
    larger = BottleneckEncoder(img_size=128, transformer_encoder=ViTEncoder(1))
    load_encoder_weights(larger, tmp_path / "model.safetensors")
    grid = larger.bottleneck.transformer.embeddings.position_embeddings.reshape(4, 4, 768)
    torch.testing.assert_close(grid, grid[:, :1].expand(4, 4, 768))
    assert grid[0].mean() < 0.1 < 0.9 < grid[3].mean()
    first, second = (one.bottleneck.compression[0].weight for one in (encoder, larger))
    assert torch.equal(first, second)


@pytest.mark.parametrize("size", [100, 16, (64, 48), 0])
def test_a_picture_that_cannot_be_halved_five_times_is_refused(size: int) -> None:
    with pytest.raises(ConfigError, match=r"IMAGE_SIZE = \d+x\d+: .* expected multiples of 32"):
        BottleneckEncoder(img_size=size)
