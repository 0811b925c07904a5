"""DenseNet of volumes."""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from csi_predictor.architectures import Architecture
from csi_predictor.errors import ConfigError
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

SMALLEST_EDGE = 29
"""The stem rounds up (29 -> 15 -> 8) and the three transitions down (8 -> 4 -> 2 -> 1)."""

_BOTTLENECK = 4  # times the growth rate; Huang et al. 2017, section 3, DenseNet-B
_RESOLUTIONS = 5


@dataclass(frozen=True, kw_only=True)
class DenseShape:
    """The numbers of one DenseNet.

    Attributes:
        stem_width: Channels of the stem.
        growth: k, channels that each layer adds.
        num_layers: In each of the four dense blocks.
    """

    stem_width: int
    growth: int
    num_layers: tuple[int, int, int, int]


SHAPES = {
    "densenet121_3d": DenseShape(stem_width=64, growth=32, num_layers=(6, 12, 24, 16)),
    "densenet161_3d": DenseShape(stem_width=96, growth=48, num_layers=(6, 12, 36, 24)),
    "densenet169_3d": DenseShape(stem_width=64, growth=32, num_layers=(6, 12, 32, 32)),
    "densenet201_3d": DenseShape(stem_width=64, growth=32, num_layers=(6, 12, 48, 32)),
    "densenet_small_3d": DenseShape(stem_width=32, growth=16, num_layers=(4, 8, 12, 8)),
    "densenet_tiny_3d": DenseShape(stem_width=24, growth=12, num_layers=(3, 6, 9, 6)),
}
"""Source: Huang et al. 2017, table 1; small and tiny: the described CT system."""


def build_densenet3d(architecture: Architecture, options: EncoderOptions) -> "DenseNet3d":
    """A `DenseNet3d` of the row's shape.

    Raises:
        ConfigError: A key asks for what a DenseNet doesn't have, or the volume is too small.
    """
    refuse_token_options(architecture, options)
    if options.drop_path_rate:
        raise ConfigError(
            f"[MODEL] DROP_PATH_RATE = {options.drop_path_rate:g}: {architecture.name} has no "
            "residual paths to drop, its layers are concatenated: expected 0"
        )
    check_levels(architecture, options, _RESOLUTIONS)
    check_edges(architecture, options, SMALLEST_EDGE)
    return DenseNet3d(
        SHAPES[architecture.name],
        in_channels=options.input_spec.channels,
        feature_levels=options.feature_levels,
    )


class DenseLayer(nn.Module):
    """Norm, ReLU, 1x1x1 convolution; norm, ReLU, 3x3x3 convolution.

    Args:
        inputs: Channels of all features before it.
        growth: Channels that it adds.
    """

    def __init__(self, inputs: int, growth: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm3d(inputs)
        self.conv1 = _convolution(inputs, _BOTTLENECK * growth, kernel=1)
        self.norm2 = nn.BatchNorm3d(_BOTTLENECK * growth)
        self.conv2 = _convolution(_BOTTLENECK * growth, growth, kernel=3)

    def forward(self, *features: Tensor) -> Tensor:
        """All features before it, (B, C_i, D, H, W) each -> its own (B, growth, D, H, W)."""
        bottleneck = self.conv1(_norm_relu(self.norm1, torch.cat(features, dim=1)))
        new_features: Tensor = self.conv2(_norm_relu(self.norm2, bottleneck))
        return new_features


class Transition(nn.Module):
    """Norm, ReLU, 1x1x1 convolution to half the channels, mean over 2x2x2.

    Args:
        inputs: Channels of the dense block's features together.
    """

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm3d(inputs)
        self.conv = _convolution(inputs, inputs // 2, kernel=1)

    def forward(self, *features: Tensor) -> Tensor:
        """A dense block's features, (B, C_i, D, H, W) each -> (B, inputs // 2, D // 2, ...)."""
        halved = self.conv(_norm_relu(self.norm, torch.cat(features, dim=1)))
        return F.avg_pool3d(halved, kernel_size=2, stride=2)


class DenseNet3d(Encoder):
    """Stem 7x7x7 of stride 2, maximum over 3x3x3 of stride 2, four dense blocks, three transitions.

    With the row's head (512, ReLU) and 18 outputs it has exactly the described system's parameters.
    Modules are named as in timm and torchvision, so that their files fit by name.

    Under gradient checkpointing each dense layer keeps its k new channels alone. Concatenation,
    norms and ReLUs are computed again in the backward pass, as Pleiss et al. propose, and so is the
    first convolution's output, which they keep: 4 k channels that weigh more here than its 1x1x1
    kernels cost. The 3x3x3 convolution, nearly all of a layer's work, isn't computed again.
    Source: Pleiss et al. 2017, Memory-Efficient Implementation of DenseNets, arXiv:1707.06990.

    Args:
        shape: Its numbers.
        in_channels: Channels of the volume.
        feature_levels: Maps that `forward_maps` gives, of 1/2 (before the maximum), 1/4, ... 1/32;
            each is what its dense block ends with, and the last has its norm and ReLU.
    """

    def __init__(self, shape: DenseShape, *, in_channels: int = 1, feature_levels: int = 1) -> None:
        super().__init__()
        width = shape.stem_width
        dims = [width]
        self.features = nn.Sequential(
            OrderedDict(
                conv0=_convolution(in_channels, width, kernel=7, stride=2),
                norm0=nn.BatchNorm3d(width),
            )
        )
        for number, count in enumerate(shape.num_layers, start=1):
            block = nn.Sequential()
            for index in range(count):
                block.add_module(f"denselayer{index + 1}", DenseLayer(width, shape.growth))
                width += shape.growth
            self.features.add_module(f"denseblock{number}", block)
            dims.append(width)
            if number < len(shape.num_layers):
                self.features.add_module(f"transition{number}", Transition(width))
                width //= 2
        self.features.add_module("norm5", nn.BatchNorm3d(width))
        self.num_blocks = len(shape.num_layers)
        self.feature_dims = tuple(dims[-feature_levels:])
        self.is_checkpointing = False

    def forward_maps(self, images: Tensor) -> tuple[Tensor, ...]:
        """Volumes (B, C, D, H, W) -> maps at 1/2 to 1/32 of the resolution, finest first."""
        maps, x = self._run(self._stem, images)
        num_maps = len(self.feature_dims)
        for number in range(1, self.num_blocks):
            features = self._run_block(number, x)
            if number > self.num_blocks - num_maps:
                maps = (*maps, torch.cat(features, dim=1))
            x = self._run(self._part(f"transition{number}"), *features)
        last = torch.cat(self._run_block(self.num_blocks, x), dim=1)
        return (*maps, _norm_relu(self._part("norm5"), last))

    def stages(self) -> Stages:
        """The stem, then each dense block with the transition or the norm that follows it."""
        endings = [f"transition{number}" for number in range(1, self.num_blocks)] + ["norm5"]
        blocks = [(f"denseblock{index + 1}", ending) for index, ending in enumerate(endings)]
        parts = [("stem", ("conv0", "norm0")), *(("+".join(names), names) for names in blocks)]
        return tuple(
            (stage, Stage([self._part(name) for name in names], [])) for stage, names in parts
        )

    def weights_layout(self) -> WeightsLayout:
        """This class's own file, or timm's file of the image network of that name."""
        return WeightsLayout(module=self, stem="features.conv0.weight", classifier=("classifier",))

    def fit_weights(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Inflate an image network's kernels; a volume network's are taken as they are."""
        return inflate_kernels(state, self.state_dict())

    def set_gradient_checkpointing(self, enabled: bool) -> None:
        """Keep only the stem's input, each dense layer's new channels and the transitions' ends."""
        self.is_checkpointing = enabled
        update_statistics_once(self)

    def _stem(self, images: Tensor) -> tuple[tuple[Tensor, ...], Tensor]:
        """The map at 1/2 if it is wanted, and that at 1/4."""
        normed = self._part("norm0")(self._part("conv0")(images))
        return finish_stem(normed, keeps_finest=len(self.feature_dims) == _RESOLUTIONS)

    def _run_block(self, number: int, x: Tensor) -> list[Tensor]:
        """The block's input and what each of its layers adds."""
        features = [x]
        for layer in self._part(f"denseblock{number}").children():
            features.append(self._run(layer, *features))
        return features

    def _part(self, name: str) -> nn.Module:
        return self.features.get_submodule(name)

    def _run(self, part: Callable[..., Output], *inputs: Tensor) -> Output:
        if self.is_checkpointing and self.training:
            return checkpoint(part, *inputs, use_reentrant=False)
        return part(*inputs)


def _norm_relu(norm: nn.Module, x: Tensor) -> Tensor:
    return F.relu(norm(x), inplace=True)


def _convolution(inputs: int, outputs: int, *, kernel: int, stride: int = 1) -> nn.Conv3d:
    convolution = nn.Conv3d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)
    nn.init.kaiming_normal_(convolution.weight)
    return convolution
