"""ResNet of volumes."""

from collections.abc import Callable, Mapping
from typing import TypeVar, cast

from timm.layers.drop import DropPath
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from csi_predictor.architectures import Architecture
from csi_predictor.models.batch_norm import update_statistics_once
from csi_predictor.models.encoder import (
    Encoder,
    EncoderOptions,
    Stage,
    Stages,
    WeightsLayout,
    refuse_token_options,
)
from csi_predictor.models.encoders3d.inflate import inflate_kernels
from csi_predictor.models.encoders3d.limits import check_edges, check_levels
from csi_predictor.models.encoders3d.stem import finish_stem

Output = TypeVar("Output")

SMALLEST_EDGE = 16
"""Below it an edge is one voxel before the last halving, and a kernel sees its padding alone."""

_STEM_WIDTH = 64
_WIDTHS = (64, 128, 256, 512)
_RESOLUTIONS = 5


def build_resnet3d(architecture: Architecture, options: EncoderOptions) -> "ResNet3d":
    """A `ResNet3d` of the row's depth.

    Raises:
        ConfigError: A key asks for what a ResNet doesn't have, or the volume is too small.
    """
    refuse_token_options(architecture, options)
    check_levels(architecture, options, _RESOLUTIONS)
    check_edges(architecture, options, SMALLEST_EDGE)
    block, num_blocks = _DEPTHS[architecture.name]
    return ResNet3d(
        block,
        num_blocks,
        in_channels=options.input_spec.channels,
        drop_path_rate=options.drop_path_rate,
        feature_levels=options.feature_levels,
    )


class BasicBlock(nn.Module):
    """Two 3x3x3 convolutions and a way around them.

    Args:
        inputs: Channels that come in.
        width: Channels of the convolutions.
        stride: Of the first one.
        drop_path: Probability that a sample takes the way around alone.
    """

    expansion = 1

    def __init__(self, inputs: int, width: int, *, stride: int, drop_path: float) -> None:
        super().__init__()
        self.conv1 = _convolution(inputs, width, kernel=3, stride=stride)
        self.bn1 = nn.BatchNorm3d(width)
        self.conv2 = _convolution(width, width, kernel=3)
        self.bn2 = nn.BatchNorm3d(width)
        self.downsample = _downsample(inputs, width * self.expansion, stride)
        self.drop_path = DropPath(drop_path) if drop_path else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, D, H, W) -> (B, width, D / stride, ...)."""
        out = F.relu(self.bn1(self.conv1(x)), inplace=True)
        out = self.drop_path(self.bn2(self.conv2(out)))
        return F.relu(out + self.downsample(x), inplace=True)


class Bottleneck(nn.Module):
    """1x1x1, 3x3x3 with the stride, 1x1x1 to four times the width, and a way around them.

    Args:
        inputs: Channels that come in.
        width: Channels of the 3x3x3 convolution.
        stride: Of the 3x3x3 convolution, as torchvision and timm have it.
        drop_path: Probability that a sample takes the way around alone.
    """

    expansion = 4

    def __init__(self, inputs: int, width: int, *, stride: int, drop_path: float) -> None:
        super().__init__()
        outputs = width * self.expansion
        self.conv1 = _convolution(inputs, width, kernel=1)
        self.bn1 = nn.BatchNorm3d(width)
        self.conv2 = _convolution(width, width, kernel=3, stride=stride)
        self.bn2 = nn.BatchNorm3d(width)
        self.conv3 = _convolution(width, outputs, kernel=1)
        self.bn3 = nn.BatchNorm3d(outputs)
        self.downsample = _downsample(inputs, outputs, stride)
        self.drop_path = DropPath(drop_path) if drop_path else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, D, H, W) -> (B, 4 * width, D / stride, ...)."""
        out = F.relu(self.bn1(self.conv1(x)), inplace=True)
        out = F.relu(self.bn2(self.conv2(out)), inplace=True)
        out = self.drop_path(self.bn3(self.conv3(out)))
        return F.relu(out + self.downsample(x), inplace=True)


class ResNet3d(Encoder):
    """Stem 7x7x7 of stride 2, maximum over 3x3x3 of stride 2, four layers of residual blocks.

    The ways around that change shape are a 1x1x1 convolution *without* bias and a BatchNorm, as in
    torchvision: with the row's head (256, ReLU) and 18 outputs, resnet18 has the 33,295,954
    parameters of the described system, and MONAI's default (with bias) 896 more. Modules are named
    as in timm, so that its files fit by name.

    Args:
        block: The residual block.
        num_blocks: In each of the four layers.
        in_channels: Channels of the volume.
        drop_path_rate: Of the last block; it grows linearly from 0 at the first, as in timm.
        feature_levels: Maps that `forward_maps` gives, of 1/2 (before the maximum), 1/4, ... 1/32.
    """

    def __init__(
        self,
        block: type[BasicBlock] | type[Bottleneck],
        num_blocks: tuple[int, ...],
        *,
        in_channels: int = 1,
        drop_path_rate: float = 0.0,
        feature_levels: int = 1,
    ) -> None:
        super().__init__()
        self.conv1 = _convolution(in_channels, _STEM_WIDTH, kernel=7, stride=2)
        self.bn1 = nn.BatchNorm3d(_STEM_WIDTH)
        rates = iter(_linear_rates(drop_path_rate, sum(num_blocks)))
        inputs = _STEM_WIDTH
        for index, (width, count) in enumerate(zip(_WIDTHS, num_blocks, strict=True)):
            layer = nn.Sequential()
            for position in range(count):
                stride = 2 if index and not position else 1
                layer.append(block(inputs, width, stride=stride, drop_path=next(rates)))
                inputs = width * block.expansion
            self.add_module(f"layer{index + 1}", layer)
        dims = (_STEM_WIDTH, *(width * block.expansion for width in _WIDTHS))
        self.feature_dims = dims[-feature_levels:]
        self.is_checkpointing = False

    def forward_maps(self, images: Tensor) -> tuple[Tensor, ...]:
        """Volumes (B, C, D, H, W) -> maps at 1/2 to 1/32 of the resolution, finest first."""
        maps, x = self._run(self._stem, images)
        num_maps = len(self.feature_dims)
        for index, (_, layer) in enumerate(self._layers()):
            for block in layer:
                x = self._run(block, x)
            if index >= len(_WIDTHS) - num_maps:
                maps = (*maps, x)
        return maps

    def stages(self) -> Stages:
        """The stem and the four layers."""
        return ("stem", Stage([self.conv1, self.bn1], [])), *self._layers()

    def weights_layout(self) -> WeightsLayout:
        """This class's own file, or timm's file of the image network of that name."""
        return WeightsLayout(module=self, stem="conv1.weight", classifier=("fc",))

    def fit_weights(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Inflate an image network's kernels; a volume network's are taken as they are."""
        return inflate_kernels(state, self.state_dict())

    def set_gradient_checkpointing(self, enabled: bool) -> None:
        """Keep only the input of the stem and of each residual block."""
        self.is_checkpointing = enabled
        update_statistics_once(self)

    def _layers(self) -> tuple[tuple[str, nn.Sequential], ...]:
        names = [f"layer{index + 1}" for index in range(len(_WIDTHS))]
        return tuple((name, cast(nn.Sequential, self.get_submodule(name))) for name in names)

    def _stem(self, images: Tensor) -> tuple[tuple[Tensor, ...], Tensor]:
        """The map at 1/2 if it is wanted, and that at 1/4."""
        normed = self.bn1(self.conv1(images))
        return finish_stem(normed, keeps_finest=len(self.feature_dims) == _RESOLUTIONS)

    def _run(self, part: Callable[[Tensor], Output], x: Tensor) -> Output:
        if self.is_checkpointing and self.training:
            return checkpoint(part, x, use_reentrant=False)
        return part(x)


_DEPTHS: dict[str, tuple[type[BasicBlock] | type[Bottleneck], tuple[int, ...]]] = {
    "resnet18_3d": (BasicBlock, (2, 2, 2, 2)),
    "resnet34_3d": (BasicBlock, (3, 4, 6, 3)),
    "resnet50_3d": (Bottleneck, (3, 4, 6, 3)),
}
"""Source: He et al. 2016, table 1."""


def _convolution(inputs: int, outputs: int, *, kernel: int, stride: int = 1) -> nn.Conv3d:
    convolution = nn.Conv3d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)
    nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
    return convolution


def _downsample(inputs: int, outputs: int, stride: int) -> nn.Module:
    if stride == 1 and inputs == outputs:
        return nn.Identity()
    return nn.Sequential(
        _convolution(inputs, outputs, kernel=1, stride=stride), nn.BatchNorm3d(outputs)
    )


def _linear_rates(last: float, count: int) -> list[float]:
    """From 0 to the last, as many as counted."""
    return [last * index / max(count - 1, 1) for index in range(count)]
