import pytest
import torch
from transformers import EfficientNetConfig
from transformers.models.efficientnet.modeling_efficientnet import (
    EfficientNetBlock,
    EfficientNetEncoder,
)

from csi_predictor.errors import ConfigError
from csi_predictor.models.longitudinal.mini_encoder import (
    EfficientNetMiniEncoder,
    list_b7_blocks,
)

INDICES = (0, 4, 11, 18, 28, 38, 51, 52)


@pytest.fixture(scope="module")
def published() -> list[EfficientNetBlock]:
    """transformers' EfficientNet-B7, with the norms of the public code."""
    config = EfficientNetConfig(
        width_coefficient=2.0, depth_coefficient=3.1, batch_norm_eps=1e-5, batch_norm_momentum=0.08
    )
    return list(EfficientNetEncoder(config).eval().blocks)


@pytest.fixture(scope="module")
def encoder() -> EfficientNetMiniEncoder:
    return EfficientNetMiniEncoder().eval()


def test_all_55_blocks_are_those_of_transformers(published: list[EfficientNetBlock]) -> None:
    blocks = list_b7_blocks()
    assert len(blocks) == len(published) == 55
    for shape, block in zip(blocks, published, strict=True):
        depthwise = block.depthwise_conv.depthwise_conv
        assert depthwise.in_channels == shape.in_channels * shape.expansion
        assert depthwise.kernel_size == (shape.kernel_size,) * 2
        assert depthwise.stride == (shape.stride,) * 2
        assert block.projection.project_conv.out_channels == shape.out_channels
        assert block.projection.dropout.p == pytest.approx(0.2 * shape.depth)


@pytest.mark.parametrize("index", INDICES)
def test_a_block_computes_what_transformers_does_from_the_same_weights(
    encoder: EfficientNetMiniEncoder, published: list[EfficientNetBlock], index: int
) -> None:
    ours, theirs = encoder.blocks[str(index)], published[index]
    theirs.projection.dropout.p = 0.0
    features = torch.randn(2, list_b7_blocks()[index].in_channels, 8, 8)
    for is_training in (True, False):  # by the batch's statistics, then by those that it left
        state = theirs.state_dict().values()
        ours.load_state_dict(dict(zip(ours.state_dict(), state, strict=True)))
        expected = theirs.train(is_training)(features)
        found = ours.train(is_training)(features)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    assert expected.std() > 0.01


def test_every_norm_of_the_blocks_moves_by_eight_hundredths() -> None:
    norms = [
        part
        for part in EfficientNetMiniEncoder().blocks.modules()
        if isinstance(part, torch.nn.BatchNorm2d)
    ]
    assert len(norms) == 23  # two in the first block, three in each of the other seven
    assert {(norm.eps, norm.momentum) for norm in norms} == {(1e-5, 0.08)}


def test_it_gives_the_last_map_of_each_halved_resolution(encoder: EfficientNetMiniEncoder) -> None:
    maps = encoder.forward_maps(torch.rand(1, 1, 64, 96))
    assert [tuple(one.shape[1:]) for one in maps] == [
        (48, 32, 48),
        (80, 16, 24),
        (224, 8, 12),
        (640, 4, 6),
    ]
    assert encoder.map_dims == (48, 80, 224, 640)
    assert (encoder.out_channels, encoder.reduction) == (640, 16)


def test_the_last_map_alone_has_passed_the_activation() -> None:
    lowest_of_silu = -0.2785  # x sigmoid(x) at x = -1.2785
    encoder = EfficientNetMiniEncoder().train()
    images = torch.rand(2, 1, 64, 64)
    *finer, last = encoder.forward_maps(images)
    assert last.min() >= lowest_of_silu
    assert all(one.min() < lowest_of_silu for one in finer)
    torch.testing.assert_close(encoder(images), last)


def test_other_blocks_and_a_wider_stem_run() -> None:
    encoder = EfficientNetMiniEncoder(block_idxs=(0, 1, 4), inp=3, exp=4.0, exp2=2.0).eval()
    assert encoder(torch.rand(1, 3, 16, 16)).shape == (1, 48, 8, 8)
    assert encoder.stem.out_channels == 24


def test_a_single_block_at_full_resolution_still_gives_its_map() -> None:
    encoder = EfficientNetMiniEncoder(block_idxs=(0,)).eval()
    assert encoder(torch.rand(1, 1, 8, 8)).shape == (1, 32, 8, 8)


def test_dropout_is_the_published_stochastic_depth_of_the_one_shortcut() -> None:
    rates = [
        part.drop_prob
        for part in EfficientNetMiniEncoder(dropout=True).blocks["52"].modules()
        if hasattr(part, "drop_prob")
    ]
    assert rates == [pytest.approx(0.2 * 52 / 55)]  # 0.189
    assert not any(hasattr(part, "drop_prob") for part in EfficientNetMiniEncoder().modules())


@pytest.mark.parametrize(
    ("indices", "text"),
    [
        ((0, 18), r"block 0 gives 32 channels and block 18 takes 80: expected blocks that fit"),
        ((4, 0), r"block_idxs = \(4, 0\): expected rising numbers from 0 to 54"),
        ((0, 55), r"block_idxs = \(0, 55\): expected rising numbers from 0 to 54"),
        ((), r"block_idxs = \(\): expected rising numbers"),
    ],
)
def test_blocks_that_do_not_follow_each_other_are_refused(
    indices: tuple[int, ...], text: str
) -> None:
    with pytest.raises(ConfigError, match=text):
        EfficientNetMiniEncoder(block_idxs=indices)
