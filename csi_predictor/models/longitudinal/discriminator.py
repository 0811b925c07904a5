"""Whether each patch of a map looks like a real one: the adversary of a change network."""

from torch import Tensor, nn

from csi_predictor.errors import ConfigError
from csi_predictor.models.encoder import Encoder, Stages, WeightsLayout
from csi_predictor.models.longitudinal.blocks import group_norm
from csi_predictor.models.longitudinal.checkpointing import Checkpointed, set_checkpointing
from csi_predictor.models.longitudinal.constants import IMG_SIZE, INIT_WEIGHTS
from csi_predictor.models.longitudinal.model import LongitudinalModel, default_spec
from csi_predictor.models.longitudinal.transformer_branch import Size, as_size
from csi_predictor.models.model_spec import ModelSpec

_WIDTHS = (64, 128, 256, 512)
_STRIDES = (2, 2, 2, 1)
_KERNEL = 4
_SLOPE = 0.2
SMALLEST_EDGE = 32
"""The last convolution needs two places: 32 is halved to 4, and loses one, then one."""


class PatchEncoder(Encoder, Checkpointed):
    """Four convolutions 4 x 4 with leaky ReLU; GroupNorm in all but the first.

    Args:
        in_channels: Of the map; with the two pictures beside it, their channels too.
    """

    def __init__(self, in_channels: int = 1) -> None:
        super().__init__()
        self.blocks = nn.ModuleList()
        channels = in_channels
        for index, (width, stride) in enumerate(zip(_WIDTHS, _STRIDES, strict=True)):
            self.blocks.append(_block(channels, width, stride=stride, is_first=index == 0))
            channels = width
        self.feature_dims = (channels,)

    def forward_maps(self, images: Tensor) -> tuple[Tensor, ...]:
        """Maps (B, C, H, W) -> one map (B, 512, H / 8 - 1, W / 8 - 1)."""
        features = images
        for block in self.blocks:
            features = self.run(block, features)
        return (features,)

    def stages(self) -> Stages:
        """The four convolutions with their norms."""
        return tuple((f"block_{index}", block) for index, block in enumerate(self.blocks))

    def weights_layout(self) -> WeightsLayout:
        """A file of this class's own state."""
        return WeightsLayout(module=self, stem="blocks.0.0.weight")

    def set_gradient_checkpointing(self, enabled: bool) -> None:
        """Keep only each convolution's input."""
        set_checkpointing(self, enabled)


class Discriminator(LongitudinalModel):
    """PatchGAN: one logit for each overlapping patch of 70 x 70 pixels, real above 0.

    Args:
        in_channels: Of the map; with the two pictures beside it, their channels too.
        img_size: (H, W), or the edge of a square map; the network itself takes any from 32 on.
        dropout_rate: Of whole channels, before the last convolution.
        init_weights: True = `initialise_weights`.
        spec: What it is built from; None = made from the arguments.

    Raises:
        ConfigError: The map is too small for one patch.

    Source: Isola et al. 2017, arXiv:1611.07004, section 6.1.2, with GroupNorm for BatchNorm.
    """

    def __init__(
        self,
        in_channels: int = 1,
        *,
        img_size: Size = IMG_SIZE,
        dropout_rate: float = 0.0,
        init_weights: bool = INIT_WEIGHTS,
        spec: ModelSpec | None = None,
    ) -> None:
        height, width = as_size(img_size)
        if min(height, width) < SMALLEST_EDGE:
            raise ConfigError(
                f"[MODEL] IMAGE_SIZE = {height}x{width}: the discriminator halves the map three "
                f"times: expected at least {SMALLEST_EDGE}"
            )
        encoder = PatchEncoder(in_channels)
        head = nn.Sequential(
            nn.Dropout2d(dropout_rate), nn.Conv2d(encoder.feature_dim, 1, _KERNEL, padding=1)
        )
        spec = spec or default_spec(
            "patchgan_discriminator",
            in_channels=in_channels,
            img_size=img_size,
            task="change",
            names=("change",),
            head="map",
            dropout_rate=dropout_rate,
        )
        super().__init__(encoder, head, spec=spec, init_weights=init_weights)

    def forward(self, maps: Tensor) -> Tensor:
        """Maps (B, C, H, W) -> logits (B, 1, H / 8 - 2, W / 8 - 2)."""
        logits: Tensor = self.classifier(self.backbone.forward_features(maps))
        return logits


def _block(in_channels: int, out_channels: int, *, stride: int, is_first: bool) -> nn.Sequential:
    convolution = nn.Conv2d(
        in_channels, out_channels, _KERNEL, stride=stride, padding=1, bias=is_first
    )
    norm = nn.Identity() if is_first else group_norm(out_channels)
    return nn.Sequential(convolution, norm, nn.LeakyReLU(_SLOPE, inplace=True))
