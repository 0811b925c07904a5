"""ViT-Base between two changes of resolution: a map becomes tokens and a map again."""

from functools import partial
from typing import Any, cast

import torch
from timm.models.vision_transformer import Block
from torch import Tensor, nn

from csi_predictor.errors import ConfigError
from csi_predictor.models.encoder import Stage, Stages
from csi_predictor.models.longitudinal.blocks import group_norm
from csi_predictor.models.longitudinal.checkpointing import Checkpointed
from csi_predictor.models.longitudinal.constants import (
    FEATURE_CHANNELS,
    FEATURE_SIZE,
    HIDDEN_CHANNELS,
    INIT_STD,
    INTER_CHANNELS,
)

_DEPTH = 12
_NUM_HEADS = 12
_NORM_EPS = 1e-6
_PATCH = 2

Size = int | tuple[int, int]


class ViTEncoder(Checkpointed):
    """The layers of ViT-Base without patches and class token, with the last norm.

    Args:
        depth: Layers.
        drop_path_rate: Stochastic depth of the last layer; it rises linearly from 0.

    Source: Dosovitskiy et al. 2021, arXiv:2010.11929, table 1.
    """

    def __init__(self, depth: int = _DEPTH, *, drop_path_rate: float = 0.0) -> None:
        super().__init__()
        steps = max(depth - 1, 1)
        self.layers = nn.ModuleList(
            Block(
                HIDDEN_CHANNELS,
                num_heads=_NUM_HEADS,
                qkv_bias=True,
                norm_layer=cast(Any, partial(nn.LayerNorm, eps=_NORM_EPS)),
                drop_path=drop_path_rate * index / steps,
            )
            for index in range(depth)
        )
        self.norm = nn.LayerNorm(HIDDEN_CHANNELS, eps=_NORM_EPS)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, N, 768) -> (B, N, 768)."""
        for layer in self.layers:
            tokens = self.run(layer, tokens)
        normed: Tensor = self.norm(tokens)
        return normed

    def stages(self) -> Stages:
        """Each layer; the last norm belongs to the last one."""
        *earlier, last = self.layers
        stages = [*earlier, Stage([last, self.norm], [])]
        return tuple((f"layer_{index}", stage) for index, stage in enumerate(stages))


class FeatureEmbeddings(nn.Module):
    """Four neighbouring places of a map become one token, which learns where it stands.

    Args:
        feature_size: (h, w) of the map, or the edge of a square one; even.

    Attributes:
        grid: (h / 2, w / 2), the tokens' rows and columns.
        position_embeddings: (1, N, 768).

    Raises:
        ConfigError: An edge is odd.
    """

    def __init__(self, feature_size: Size = FEATURE_SIZE) -> None:
        super().__init__()
        height, width = as_size(feature_size)
        if height % _PATCH or width % _PATCH:
            raise ConfigError(
                f"feature_size = {height}x{width}: a token covers {_PATCH}x{_PATCH} places: "
                "expected even edges"
            )
        self.grid = (height // _PATCH, width // _PATCH)
        self.project = nn.Sequential(
            nn.Conv2d(FEATURE_CHANNELS, INTER_CHANNELS, _PATCH, stride=_PATCH, bias=False),
            group_norm(INTER_CHANNELS),
            nn.ReLU(inplace=True),
            nn.Conv2d(INTER_CHANNELS, HIDDEN_CHANNELS, 1),
        )
        self.position_embeddings = nn.Parameter(
            torch.empty(1, self.grid[0] * self.grid[1], HIDDEN_CHANNELS)
        )
        nn.init.trunc_normal_(
            self.position_embeddings, std=INIT_STD, a=-2 * INIT_STD, b=2 * INIT_STD
        )

    def forward(self, features: Tensor) -> Tensor:
        """(B, 640, h, w) -> tokens (B, N, 768).

        Raises:
            ConfigError: The map is of another size than the network was built for.
        """
        embedded: Tensor = self.project(features)
        if tuple(embedded.shape[2:]) != self.grid:
            raise ConfigError(
                f"a map of {features.shape[2]}x{features.shape[3]}: the network was built for "
                f"{self.grid[0] * _PATCH}x{self.grid[1] * _PATCH}: expected pictures of the size "
                "that [MODEL] IMAGE_SIZE or img_size names"
            )
        # (B, 768, h / 2, w / 2) -> (B, N, 768)
        return embedded.flatten(2).transpose(1, 2) + self.position_embeddings


class TransformerBranch(nn.Module):
    """Map to tokens, a transformer, tokens to a map of the same shape.

    Args:
        vit_encoder: Tokens (B, N, 768) -> tokens (B, N, 768).
        feature_size: (h, w) of the map, or the edge of a square one; even.

    Raises:
        ConfigError: An edge is odd.
    """

    def __init__(self, vit_encoder: nn.Module, feature_size: Size = FEATURE_SIZE) -> None:
        super().__init__()
        self.embeddings = FeatureEmbeddings(feature_size)
        self.vit_encoder = vit_encoder
        self.restore = nn.Sequential(
            nn.Conv2d(HIDDEN_CHANNELS, INTER_CHANNELS, 1, bias=False),
            group_norm(INTER_CHANNELS),
            nn.ReLU(inplace=True),
            nn.ConvTranspose2d(INTER_CHANNELS, FEATURE_CHANNELS, _PATCH, stride=_PATCH, bias=False),
            group_norm(FEATURE_CHANNELS),
        )

    def forward(self, features: Tensor) -> Tensor:
        """(B, 640, h, w) -> (B, 640, h, w)."""
        tokens: Tensor = self.vit_encoder(self.embeddings(features))
        # (B, N, 768) -> (B, 768, h / 2, w / 2)
        maps = tokens.transpose(1, 2).reshape(-1, HIDDEN_CHANNELS, *self.embeddings.grid)
        restored: Tensor = self.restore(maps)
        return restored

    def stages(self) -> Stages:
        """Embeddings, each layer of a `ViTEncoder`, and the way back to a map."""
        encoder = self.vit_encoder
        layers = encoder.stages() if isinstance(encoder, ViTEncoder) else (("layers", encoder),)
        return (("tokens", self.embeddings), *layers, ("restore", self.restore))


def as_size(edges: Size) -> tuple[int, int]:
    """One edge as (edge, edge)."""
    return (edges, edges) if isinstance(edges, int) else edges
