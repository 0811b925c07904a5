"""EfficientNet-B7 cut down to a few of its 55 blocks."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

from timm.models._efficientnet_blocks import (
    DepthwiseSeparableConv,
    InvertedResidual,
    SqueezeExcite,
)
from torch import Tensor, nn

from csi_predictor.errors import ConfigError
from csi_predictor.models.encoder import Stages
from csi_predictor.models.longitudinal.blocks import ChannelExpansionBlock
from csi_predictor.models.longitudinal.checkpointing import Checkpointed

_STEM_CHANNELS = 64
_B7_STAGES = (  # expansion, kernel, stride of the first block, channels, blocks
    (1, 3, 1, 32, 4),
    (6, 3, 2, 48, 7),
    (6, 5, 2, 80, 7),
    (6, 3, 2, 160, 10),
    (6, 5, 1, 224, 10),
    (6, 5, 2, 384, 13),
    (6, 3, 1, 640, 4),
)
"""Source: Tan and Le 2019, arXiv:1905.11946, table 1, width x 2.0 and depth x 3.1."""

_SQUEEZE_RATIO = 0.25
_NORM_EPS = 1e-5
_NORM_MOMENTUM = 0.08
"""In torch's sense: the share of the new batch. Source: the public code of the same name."""

DROP_PATH_RATE = 0.2
"""Of a block past the last one; block i of 55 has i / 55 of it. Source: EfficientNet-B7."""


@dataclass(frozen=True)
class BlockShape:
    """One block of EfficientNet-B7.

    Attributes:
        index: From 0 at the input.
        in_channels: That it was published with.
        out_channels: That it gives.
        expansion: Times in_channels is its inner width; 1 = no expanding convolution.
        kernel_size: Of the depthwise convolution.
        stride: Of the same.
        depth: Share of the network before it, 0 to 1.
    """

    index: int
    in_channels: int
    out_channels: int
    expansion: int
    kernel_size: int
    stride: int
    depth: float


def list_b7_blocks() -> tuple[BlockShape, ...]:
    """All 55 blocks from input to output."""
    num_blocks = sum(stage[-1] for stage in _B7_STAGES)
    blocks: list[BlockShape] = []
    channels = _STEM_CHANNELS
    for expansion, kernel_size, stride, out_channels, repeats in _B7_STAGES:
        for position in range(repeats):
            index = len(blocks)
            blocks.append(
                BlockShape(
                    index=index,
                    in_channels=channels,
                    out_channels=out_channels,
                    expansion=expansion,
                    kernel_size=kernel_size,
                    stride=1 if position else stride,
                    depth=index / num_blocks,
                )
            )
            channels = out_channels
    return tuple(blocks)


class EfficientNetMiniEncoder(Checkpointed):
    """An expanding stem at full resolution, chosen blocks of EfficientNet-B7, then SiLU.

    (B, inp, 512, 512) -> (B, 640, 32, 32) with the blocks of the description. The stem's width
    replaces the published input width of the first block, so that other expansions still run.

    Args:
        block_idxs: Rising indices among B7's 55 blocks; each must take what the one before gives.
        inp: Channels of the picture.
        exp: The stem's first expansion.
        exp2: The stem's second expansion.
        dropout: True = blocks with a shortcut are dropped in training (stochastic depth).
        drop_path_rate: Of `dropout`.

    Attributes:
        map_dims: Channels of each map of `forward_maps`.
        out_channels: Of the last map.
        reduction: The picture's edge in units of the last map's.

    Raises:
        ConfigError: The blocks don't follow each other, or a width isn't whole.
    """

    def __init__(
        self,
        block_idxs: Sequence[int] = (0, 4, 11, 18, 28, 38, 51, 52),
        inp: int = 1,
        exp: float = 8.0,
        exp2: float = 8.0,
        dropout: bool = False,
        drop_path_rate: float = DROP_PATH_RATE,
    ) -> None:
        super().__init__()
        self.stem = ChannelExpansionBlock(inp, exp, exp2)
        shapes = _choose(block_idxs)
        self.blocks = nn.ModuleDict()
        channels = self.stem.out_channels
        for shape in shapes:
            rate = drop_path_rate * shape.depth if dropout else 0.0
            self.blocks[str(shape.index)] = _build_block(shape, channels, drop_path_rate=rate)
            channels = shape.out_channels
        self.activation = nn.SiLU()
        self.out_channels = channels
        self.reduction = _reductions(shapes)[-1]
        self._map_indices = _last_of_each_reduction(shapes)
        self.map_dims = tuple(
            shape.out_channels for shape in shapes if shape.index in self._map_indices
        )

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, C, H, W) -> the last map (B, F, h, w)."""
        return self.forward_maps(images)[-1]

    def forward_maps(self, images: Tensor) -> tuple[Tensor, ...]:
        """Images (B, C, H, W) -> the last map of each resolution below the picture's, finest first.

        Only the very last one has passed the SiLU.
        """
        maps: list[Tensor] = []
        features = self.run(self.stem, images)
        for index, block in self.blocks.items():
            features = self.run(block, features)
            if int(index) in self._map_indices:
                maps.append(features)
        return (*maps[:-1], self.activation(maps[-1]))

    def stages(self) -> Stages:
        """The stem and each block."""
        blocks = ((f"block_{index}", block) for index, block in self.blocks.items())
        return (("stem", self.stem), *blocks)


def _choose(indices: Sequence[int]) -> tuple[BlockShape, ...]:
    known = list_b7_blocks()
    if not indices or list(indices) != sorted(set(indices)) or not _are_within(indices, len(known)):
        raise ConfigError(
            f"block_idxs = {tuple(indices)}: expected rising numbers from 0 to {len(known) - 1}"
        )
    chosen = tuple(known[index] for index in indices)
    for before, after in pairwise(chosen):
        if before.out_channels != after.in_channels:
            raise ConfigError(
                f"block_idxs = {tuple(indices)}: block {before.index} gives {before.out_channels} "
                f"channels and block {after.index} takes {after.in_channels}: expected blocks that "
                "fit each other"
            )
    return chosen


def _are_within(indices: Sequence[int], length: int) -> bool:
    return all(0 <= index < length for index in indices)


def _reductions(shapes: Sequence[BlockShape]) -> list[int]:
    """The picture's edge in units of each block's map."""
    reductions: list[int] = []
    for shape in shapes:
        reductions.append(shape.stride * (reductions[-1] if reductions else 1))
    return reductions


def _last_of_each_reduction(shapes: Sequence[BlockShape]) -> frozenset[int]:
    """Indices of the blocks whose maps are given; full resolution only where it's the last."""
    reductions = _reductions(shapes)
    last = {reduction: shape.index for reduction, shape in zip(reductions, shapes, strict=True)}
    if len(last) > 1:
        last.pop(1, None)
    return frozenset(last.values())


def _build_block(shape: BlockShape, in_channels: int, *, drop_path_rate: float) -> nn.Module:
    """Timm's block, with the padding at the far edge of the published weights (`same`)."""
    shared: dict[str, Any] = {
        "in_chs": in_channels,
        "out_chs": shape.out_channels,
        "dw_kernel_size": shape.kernel_size,
        "stride": shape.stride,
        "pad_type": "same",
        "act_layer": nn.SiLU,
        "norm_layer": partial(nn.BatchNorm2d, eps=_NORM_EPS, momentum=_NORM_MOMENTUM),
        # The squeezed width is a quarter of the block's input, not of its inner width.
        "se_layer": partial(SqueezeExcite, rd_ratio=_SQUEEZE_RATIO / shape.expansion),
        "drop_path_rate": drop_path_rate,
    }
    if shape.expansion == 1:
        block: nn.Module = DepthwiseSeparableConv(**shared)
    else:
        block = InvertedResidual(**shared, exp_ratio=shape.expansion)
    return block
