"""Building blocks of the longitudinal networks."""

import math

from torch import Tensor, nn

from csi_predictor.errors import ConfigError
from csi_predictor.models.longitudinal.constants import FEATURE_CHANNELS, GROUP_NORM_GROUPS


def group_norm(channels: int) -> nn.GroupNorm:
    """32 groups, or the largest power of two below that divides the channels."""
    return nn.GroupNorm(math.gcd(GROUP_NORM_GROUPS, channels), channels)


class ChannelExpansionLayer(nn.Sequential):
    """Convolution, GroupNorm, SiLU: (B, C, H, W) -> (B, C * out_multiplier, H, W).

    Args:
        in_channels: C.
        out_multiplier: Need not be whole; the product must be.
        kernel_size: Odd, pixels.

    Attributes:
        out_channels: C * out_multiplier.

    Raises:
        ConfigError: The product isn't a whole number of channels.
    """

    def __init__(self, in_channels: int, out_multiplier: float, kernel_size: int = 3) -> None:
        self.out_channels = _multiply(in_channels, out_multiplier)
        super().__init__(
            nn.Conv2d(
                in_channels, self.out_channels, kernel_size, padding=kernel_size // 2, bias=False
            ),
            group_norm(self.out_channels),
            nn.SiLU(inplace=True),
        )


class ChannelExpansionBlock(nn.Sequential):
    """The stem: two expansions at full resolution, 7 x 7 then 3 x 3; 1 -> 8 -> 64 channels.

    Args:
        in_channels: Of the picture.
        out_multiplier: Of the first expansion.
        second_multiplier: Of the second.

    Attributes:
        out_channels: in_channels * out_multiplier * second_multiplier.

    Raises:
        ConfigError: A product isn't a whole number of channels.
    """

    def __init__(
        self, in_channels: int, out_multiplier: float = 8.0, second_multiplier: float = 8.0
    ) -> None:
        first = ChannelExpansionLayer(in_channels, out_multiplier, kernel_size=7)
        second = ChannelExpansionLayer(first.out_channels, second_multiplier)
        super().__init__(first, second)
        self.out_channels = second.out_channels


class ConvBlockBranch(nn.Module):
    """Two 3 x 3 convolutions with GroupNorm around a shortcut, then ReLU; shape stays.

    Args:
        channels: Of input and output.
    """

    def __init__(self, channels: int = FEATURE_CHANNELS) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            group_norm(channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            group_norm(channels),
        )
        self.activation = nn.ReLU(inplace=True)

    def forward(self, features: Tensor) -> Tensor:
        """(B, F, h, w) -> (B, F, h, w)."""
        activated: Tensor = self.activation(features + self.layers(features))
        return activated


class DecoderBlock(nn.Sequential):
    """One upsampling: transposed convolution to the mean width, then a convolution.

    Args:
        in_channels: Of the coarser map.
        out_channels: Of the finer map.
        deconv_kernel_size: Of the transposed convolution.
        deconv_stride: How many times finer the output is.
        sigmoid: True ends in a sigmoid in place of norm and ReLU: a final block. A norm there would
            centre every map on 0.5.
        kernel_size: Odd, of the convolution.

    Raises:
        ConfigError: The kernel can't cover each output place alike.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        deconv_kernel_size: int = 2,
        deconv_stride: int = 2,
        sigmoid: bool = False,
        kernel_size: int = 3,
    ) -> None:
        surplus = deconv_kernel_size - deconv_stride
        if surplus < 0 or surplus % 2:
            raise ConfigError(
                f"DecoderBlock: deconv_kernel_size = {deconv_kernel_size}, deconv_stride = "
                f"{deconv_stride}: expected a kernel of the stride, or larger by an even number"
            )
        middle = (in_channels + out_channels) // 2
        ending = (nn.Sigmoid(),) if sigmoid else (group_norm(out_channels), nn.ReLU(inplace=True))
        super().__init__(
            nn.ConvTranspose2d(
                in_channels,
                middle,
                deconv_kernel_size,
                stride=deconv_stride,
                padding=surplus // 2,
                bias=False,
            ),
            group_norm(middle),
            nn.ReLU(inplace=True),
            nn.Conv2d(middle, out_channels, kernel_size, padding=kernel_size // 2, bias=sigmoid),
            *ending,
        )


def _multiply(channels: int, multiplier: float) -> int:
    product = channels * multiplier
    whole = round(product)
    if whole < 1 or abs(product - whole) > 1e-6:
        raise ConfigError(
            f"{channels} channels times {multiplier:g} are {product:g}: expected a whole number "
            "of channels"
        )
    return whole
