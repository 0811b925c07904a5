"""The project's own small network: five convolution blocks, about one million parameters."""

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from csi_predictor.architectures import Architecture
from csi_predictor.errors import ConfigError
from csi_predictor.models.batch_norm import update_statistics_once
from csi_predictor.models.encoder import (
    Encoder,
    EncoderOptions,
    Stages,
    WeightsLayout,
    refuse_token_options,
)

_WIDTHS = (32, 64, 128, 256, 256)
_MAPS = (0, 1, 2, 4)  # the blocks that end each resolution: 1/4, 1/8, 1/16, 1/32
SMALLEST_EDGE = 32


def build_custom1(architecture: Architecture, options: EncoderOptions) -> "Custom1":
    """A `Custom1` for an input.

    Raises:
        ConfigError: A key asks for what five plain blocks don't have.
    """
    input_spec, feature_levels = options.input_spec, options.feature_levels
    refuse_token_options(architecture, options)
    if options.drop_path_rate:
        raise ConfigError(
            f"[MODEL] DROP_PATH_RATE = {options.drop_path_rate:g}: {architecture.name} has no "
            "residual paths to drop: expected 0"
        )
    if feature_levels > len(_MAPS):
        raise ConfigError(
            f"[MODEL] FEATURE_LEVELS = {feature_levels}: {architecture.name} has {len(_MAPS)} "
            f"resolutions: expected 1 to {len(_MAPS)}"
        )
    if min(input_spec.size) < SMALLEST_EDGE:
        raise ConfigError(
            f"[MODEL] IMAGE_SIZE = {min(input_spec.size)}: {architecture.name} halves the picture "
            f"five times: expected at least {SMALLEST_EDGE}"
        )
    return Custom1(in_channels=input_spec.channels, num_maps=feature_levels)


class Custom1(Encoder):
    """Five blocks of convolution, BatchNorm and ReLU; the last map is 1/32 of the picture.

    The stem keeps 1/4 of the resolution only: four fifths of the cost of a full-size stem would be
    spent before the first lung structure is wider than a pixel.

    Args:
        in_channels: Channels of the picture.
        num_maps: How many of the deepest resolutions `forward_maps` gives.
    """

    def __init__(self, *, in_channels: int = 1, num_maps: int = 1) -> None:
        super().__init__()
        first, second, third, fourth, fifth = _WIDTHS
        self.block1 = nn.Sequential(
            *_block(in_channels, first, kernel=5, stride=2), nn.MaxPool2d(3, stride=2, padding=1)
        )
        self.block2 = nn.Sequential(*_block(first, second, stride=2))
        self.block3 = nn.Sequential(*_block(second, third, stride=2))
        self.block4 = nn.Sequential(*_block(third, fourth, stride=2))
        self.block5 = nn.Sequential(*_block(fourth, fifth, stride=1))
        self.map_indices = _MAPS[-num_maps:]
        self.feature_dims = tuple(_WIDTHS[index] for index in self.map_indices)
        self.is_checkpointing = False
        self.to(memory_format=torch.channels_last)  # half the time on a CPU

    def forward_maps(self, images: Tensor) -> tuple[Tensor, ...]:
        """Images (B, C, H, W) -> maps at 1/4 to 1/32 of the resolution, finest first."""
        maps = []
        x = images
        for index, (_, block) in enumerate(self.stages()):
            if self.is_checkpointing and self.training:
                x = checkpoint(block, x, use_reentrant=False)
            else:
                x = block(x)
            if index in self.map_indices:
                maps.append(x)
        return tuple(maps)

    def stages(self) -> Stages:
        """The five blocks."""
        return tuple(self.named_children())

    def weights_layout(self) -> WeightsLayout:
        """A file of this class's own state; nothing was ever published."""
        return WeightsLayout(module=self, stem="block1.0.weight")

    def set_gradient_checkpointing(self, enabled: bool) -> None:
        """Keep only each block's input."""
        self.is_checkpointing = enabled
        update_statistics_once(self)


def _block(inputs: int, outputs: int, *, stride: int, kernel: int = 3) -> tuple[nn.Module, ...]:
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)
    nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
    return convolution, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
