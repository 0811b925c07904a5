"""The encoder that all longitudinal networks share."""

from collections.abc import Mapping

import torch
from timm.layers.pos_embed import resample_abs_pos_embed
from torch import Tensor, nn

from csi_predictor.errors import ConfigError
from csi_predictor.models.encoder import Encoded, Encoder, Stage, Stages, WeightsLayout, pool_means
from csi_predictor.models.longitudinal.blocks import group_norm
from csi_predictor.models.longitudinal.checkpointing import set_checkpointing
from csi_predictor.models.longitudinal.constants import FEATURE_CHANNELS, FEATURE_SIZE, IMG_SIZE
from csi_predictor.models.longitudinal.mini_encoder import EfficientNetMiniEncoder
from csi_predictor.models.longitudinal.transformer_branch import (
    Size,
    TransformerBranch,
    ViTEncoder,
    as_size,
)

SIZE_STEP = 32
"""The encoded map is a sixteenth of the picture, and a token covers two of its places."""

_STEM_WIDTH = 8
_POSITIONS = "bottleneck.transformer.embeddings.position_embeddings"


class BottleneckBlock(nn.Module):
    """A transformer and a convolution look at the same map; what both found is added to it.

    Args:
        transformer_encoder: Tokens (B, N, 768) -> tokens (B, N, 768).
        feature_size: (h, w) of the map, or the edge of a square one; even.

    Raises:
        ConfigError: An edge is odd.
    """

    def __init__(self, transformer_encoder: nn.Module, feature_size: Size = FEATURE_SIZE) -> None:
        super().__init__()
        channels = FEATURE_CHANNELS
        self.transformer = TransformerBranch(transformer_encoder, feature_size)
        self.convolution = nn.Sequential(
            nn.Conv2d(channels, channels, 7, padding=3, groups=channels, bias=False),
            group_norm(channels),
            nn.Conv2d(channels, channels, 1, bias=False),
            group_norm(channels),
        )
        self.compression = nn.Sequential(
            nn.Conv2d(2 * channels, channels, 1, bias=False), group_norm(channels)
        )
        self.activation = nn.ReLU(inplace=True)

    def forward(self, features: Tensor) -> Tensor:
        """(B, 640, h, w) -> (B, 640, h, w)."""
        both = torch.cat((self.transformer(features), self.convolution(features)), dim=1)
        activated: Tensor = self.activation(features + self.compression(both))
        return activated

    def stages(self) -> Stages:
        """The transformer's stages; its way back shares the last one with the convolutions."""
        *transformer, (_, restore) = self.transformer.stages()
        last = Stage([restore, self.convolution, self.compression], [])
        return (*transformer, ("compression", last))


class BottleneckEncoder(Encoder):
    """Chosen blocks of EfficientNet-B7, then ViT-Base beside a convolution: 640 x 32 x 32 at 512.

    Pooled features are the means of the last map alone; the finer maps are for a decoder's skip
    connections.

    Args:
        in_channels: Of the picture; the stem always widens it to 8, then 64.
        img_size: (H, W) of the picture, or the edge of a square one; multiples of 32.
        transformer_encoder: In place of ViT-Base.
        drop_path_rate: Stochastic depth of B7's block 52 and of ViT-Base.

    Raises:
        ConfigError: An edge isn't a multiple of 32.
    """

    def __init__(
        self,
        in_channels: int = 1,
        *,
        img_size: Size = IMG_SIZE,
        transformer_encoder: nn.Module | None = None,
        drop_path_rate: float = 0.0,
    ) -> None:
        super().__init__()
        height, width = check_size(img_size)
        self.features = EfficientNetMiniEncoder(
            inp=in_channels,
            exp=_STEM_WIDTH / in_channels,
            dropout=drop_path_rate > 0,
            drop_path_rate=drop_path_rate,
        )
        self.bottleneck = BottleneckBlock(
            transformer_encoder or ViTEncoder(drop_path_rate=drop_path_rate),
            (height // self.features.reduction, width // self.features.reduction),
        )
        self.feature_dims = self.features.map_dims

    def forward(self, images: Tensor) -> Encoded:
        """Images (B, C, H, W) -> all maps, and the means of the last, (B, 640)."""
        maps = self.forward_maps(images)
        return Encoded(maps, pool_means(maps[-1:]))

    def forward_maps(self, images: Tensor) -> tuple[Tensor, ...]:
        """Images (B, C, H, W) -> maps at 1/2, 1/4, 1/8 and 1/16 of the resolution."""
        *finer, last = self.features.forward_maps(images)
        return (*finer, self.bottleneck(last))

    @property
    def feature_dim(self) -> int:
        """640."""
        return self.feature_dims[-1]

    def stages(self) -> Stages:
        """Stem, blocks, tokens, layers of the transformer, compression."""
        return (*self.features.stages(), *self.bottleneck.stages())

    def weights_layout(self) -> WeightsLayout:
        """A file of this class's own state: that of a longitudinal network's encoder."""
        return WeightsLayout(module=self, stem="features.stem.0.0.weight")

    def set_gradient_checkpointing(self, enabled: bool) -> None:
        """Keep only the inputs of the stem, of each block and of each layer."""
        set_checkpointing(self, enabled)

    def no_weight_decay(self) -> frozenset[str]:
        """The position embeddings."""
        return frozenset({_POSITIONS})

    def fit_weights(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Resample the position embeddings of a square picture to this input's size."""
        fitted = dict(state)
        embeddings = self.bottleneck.transformer.embeddings
        found = fitted.get(_POSITIONS)
        if found is not None and found.shape != embeddings.position_embeddings.shape:
            fitted[_POSITIONS] = resample_abs_pos_embed(
                found, new_size=list(embeddings.grid), num_prefix_tokens=0
            )
        return fitted


def check_size(img_size: Size) -> tuple[int, int]:
    """(H, W) of a picture that the encoder can halve five times.

    Raises:
        ConfigError: An edge isn't a multiple of 32.
    """
    height, width = as_size(img_size)
    if min(height, width) < SIZE_STEP or height % SIZE_STEP or width % SIZE_STEP:
        raise ConfigError(
            f"[MODEL] IMAGE_SIZE = {height}x{width}: the longitudinal networks halve the picture "
            f"five times: expected multiples of {SIZE_STEP}"
        )
    return height, width
