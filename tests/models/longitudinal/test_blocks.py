import pytest
import torch

from csi_predictor.errors import ConfigError
from csi_predictor.models.longitudinal.blocks import (
    ChannelExpansionBlock,
    ChannelExpansionLayer,
    ConvBlockBranch,
    DecoderBlock,
    group_norm,
)


@pytest.mark.parametrize(("channels", "groups"), [(8, 8), (40, 8), (60, 4), (240, 16), (640, 32)])
def test_norms_have_32_groups_or_as_many_as_divide_the_channels(channels: int, groups: int) -> None:
    assert group_norm(channels).num_groups == groups


def test_an_expansion_multiplies_the_channels_as_described() -> None:
    layer = ChannelExpansionLayer(in_channels=64, out_multiplier=2)
    assert layer(torch.zeros(1, 64, 5, 7)).shape == (1, 128, 5, 7)
    assert layer.out_channels == 128


def test_the_stem_goes_from_1_to_8_to_64_channels_at_full_resolution() -> None:
    stem = ChannelExpansionBlock(1)
    assert [layer.out_channels for layer in stem] == [8, 64]
    assert [layer[0].kernel_size for layer in stem] == [(7, 7), (3, 3)]
    assert stem(torch.rand(1, 1, 9, 6)).shape == (1, 64, 9, 6)


def test_the_drawn_stem_of_1_to_64_to_512_channels_is_two_other_numbers() -> None:
    stem = ChannelExpansionBlock(1, 64.0, 8.0)
    assert [layer.out_channels for layer in stem] == [64, 512]


def test_a_width_that_is_not_whole_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"3 channels times 2\.5 are 7\.5: expected a whole"):
        ChannelExpansionLayer(3, 2.5)


def test_a_convolution_branch_is_its_shortcut_where_its_last_norm_is_zero() -> None:
    branch = ConvBlockBranch(32)
    torch.nn.init.zeros_(branch.layers[-1].weight)
    features = torch.randn(2, 32, 3, 5)
    torch.testing.assert_close(branch(features), features.relu())


@pytest.mark.parametrize(("kernel", "stride", "size"), [(2, 2, 10), (4, 2, 10), (1, 1, 5)])
def test_a_decoder_block_is_stride_times_finer(kernel: int, stride: int, size: int) -> None:
    block = DecoderBlock(32, 16, deconv_kernel_size=kernel, deconv_stride=stride)
    assert block(torch.rand(1, 32, 5, 5)).shape == (1, 16, size, size)


def test_a_final_decoder_block_gives_probabilities_that_are_not_centred() -> None:
    block = DecoderBlock(32, 1, sigmoid=True)
    torch.nn.init.constant_(block[3].bias, -4.0)
    answer = block(torch.rand(1, 32, 8, 8))
    assert ((answer > 0) & (answer < 1)).all()
    assert answer.mean() < 0.2


@pytest.mark.parametrize(("kernel", "stride"), [(1, 2), (3, 2)])
def test_a_kernel_that_covers_places_unevenly_is_refused(kernel: int, stride: int) -> None:
    with pytest.raises(ConfigError, match=rf"deconv_kernel_size = {kernel}.*stride = {stride}: ex"):
        DecoderBlock(32, 16, deconv_kernel_size=kernel, deconv_stride=stride)
