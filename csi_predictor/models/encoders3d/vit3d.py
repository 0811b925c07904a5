"""Vision transformer of volumes."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import cast

import torch
from timm.models.vision_transformer import Block
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from csi_predictor.architectures import Architecture
from csi_predictor.errors import ConfigError
from csi_predictor.models.encoder import (
    Encoded,
    Encoder,
    EncoderOptions,
    Stage,
    Stages,
    WeightsLayout,
)
from csi_predictor.models.encoders3d.inflate import (
    inflate_patches,
    inflate_positions,
    resample_positions,
)
from csi_predictor.models.encoders3d.limits import as_edges, check_levels

DEFAULT_PATCH = (16, 16, 16)

_PATCH_WEIGHT = "patch_embed.proj.weight"
_POSITIONS = "pos_embed"
_GRID = "grid_shape"
_FLAT_KERNEL = 4
_DIMENSIONS = 3


@dataclass(frozen=True, kw_only=True)
class TransformerShape:
    """The numbers of one transformer.

    Attributes:
        width: F of a token.
        depth: Blocks.
        num_heads: Attention heads of each block.
    """

    width: int
    depth: int
    num_heads: int


SHAPES = {
    "vit_tiny_3d": TransformerShape(width=192, depth=12, num_heads=3),
    "vit_small_3d": TransformerShape(width=384, depth=12, num_heads=6),
    "vit_base_3d": TransformerShape(width=768, depth=12, num_heads=12),
    "vit_large_3d": TransformerShape(width=1024, depth=24, num_heads=16),
}
"""Source: Dosovitskiy et al. 2021, table 1; tiny and small: Touvron et al. 2021, arXiv:2012.12877,
table 1."""


def build_vit3d(architecture: Architecture, options: EncoderOptions) -> "Vit3d":
    """A `Vit3d` of the row's shape, for one volume shape.

    Raises:
        ConfigError: The patch isn't of three edges or doesn't divide the volume, or more than one
            resolution is asked for.
    """
    check_levels(architecture, options, 1)
    patch_size = options.patch_size or DEFAULT_PATCH
    _check_patch(patch_size, options.input_spec.size)
    return Vit3d(
        SHAPES[architecture.name],
        volume_size=options.input_spec.size,
        patch_size=patch_size,
        in_channels=options.input_spec.channels,
        drop_path_rate=options.drop_path_rate,
        pools_tokens=options.pooling == "mean",
    )


class PatchEmbedding(nn.Module):
    """One token for each patch, without overlap.

    Args:
        in_channels: Channels of the volume.
        width: F of a token.
        patch_size: Voxels along D, H and W.
    """

    def __init__(self, in_channels: int, width: int, patch_size: tuple[int, ...]) -> None:
        super().__init__()
        edges = cast(tuple[int, int, int], patch_size)
        self.proj = nn.Conv3d(in_channels, width, edges, stride=edges)
        # As a linear layer. Source: He et al. 2022 (MAE), arXiv:2111.06377, appendix A.1.
        nn.init.xavier_uniform_(self.proj.weight.view(width, -1))
        nn.init.zeros_(self.proj.bias)  # type: ignore[arg-type]

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, D, H, W) -> (B, d * h * w, F), depth outermost."""
        tokens: Tensor = self.proj(images)
        return tokens.flatten(2).transpose(1, 2)


class Vit3d(Encoder):
    """Patch tokens and a class token, pre-norm blocks, and a norm at the end.

    With query, key and value biases, a learned position for each token and for the class token, the
    last norm and the row's head (256, ReLU) on 18 outputs it has exactly the described system's
    parameters: 6,573,010 of `tiny` for 2,049 tokens, 128x256x256 voxels in patches of 16. Modules
    are named as in timm, so that its files fit by name.

    Args:
        shape: Its numbers.
        volume_size: (D, H, W) in voxels.
        patch_size: Along each axis, voxels; divides the volume.
        in_channels: Channels of the volume.
        drop_path_rate: Of the last block; it grows linearly from 0 at the first, as in timm.
        pools_tokens: True = `pooled` is the patch tokens' mean; False = the class token.
    """

    grid_shape: Tensor

    def __init__(
        self,
        shape: TransformerShape,
        *,
        volume_size: tuple[int, ...],
        patch_size: tuple[int, ...] = DEFAULT_PATCH,
        in_channels: int = 1,
        drop_path_rate: float = 0.0,
        pools_tokens: bool = False,
    ) -> None:
        super().__init__()
        self.volume_size = tuple(volume_size)
        self.patch_size = tuple(patch_size)
        self.grid = tuple(
            edge // patch for edge, patch in zip(volume_size, patch_size, strict=True)
        )
        self.feature_dims = (shape.width,)
        self.pools_tokens = pools_tokens
        self.is_checkpointing = False
        self.patch_embed = PatchEmbedding(in_channels, shape.width, self.patch_size)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, shape.width))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + prod(self.grid), shape.width))
        # Saved with the weights, so that another volume shape can resample the positions.
        self.register_buffer(_GRID, torch.tensor(self.grid))
        norm = partial(nn.LayerNorm, eps=1e-6)  # of the published weights
        self.blocks = nn.ModuleList(
            Block(
                shape.width,
                shape.num_heads,
                qkv_bias=True,
                drop_path=drop_path_rate * index / (shape.depth - 1),
                norm_layer=cast(type[nn.Module], norm),
            )
            for index in range(shape.depth)
        )
        self.norm = norm(shape.width)
        self._initialise()

    def forward(self, images: Tensor) -> Encoded:
        """Volumes (B, C, D, H, W) -> the map of patch tokens, and the class token or their mean."""
        tokens = self._encode(images)
        pooled = tokens[:, 1:].mean(dim=1) if self.pools_tokens else tokens[:, 0]
        return Encoded((self._to_map(tokens),), pooled)

    def forward_maps(self, images: Tensor) -> tuple[Tensor, ...]:
        """Volumes (B, C, D, H, W) -> one map of patch tokens (B, F, d, h, w).

        Raises:
            ValueError: The volumes have another size than the network was built for.
        """
        return (self._to_map(self._encode(images)),)

    def stages(self) -> Stages:
        """The embeddings, then each block; the last norm goes with the last block."""
        stem = Stage([self.patch_embed], [self.cls_token, self.pos_embed])
        *blocks, last = self.blocks.named_children()
        return (
            ("stem", stem),
            *((f"blocks.{name}", block) for name, block in blocks),
            (f"blocks.{last[0]}+norm", Stage([last[1], self.norm], [])),
        )

    def weights_layout(self) -> WeightsLayout:
        """This class's own file, or timm's file of the image network of that name."""
        return WeightsLayout(module=self, stem=_PATCH_WEIGHT, classifier=("head",))

    def fit_weights(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Inflate an image transformer's patches and positions, or resample another volume's."""
        fitted = dict(state)
        kernel, positions = state.get(_PATCH_WEIGHT), state.get(_POSITIONS)
        if kernel is None or positions is None:
            return fitted
        if kernel.ndim == _FLAT_KERNEL:
            fitted[_PATCH_WEIGHT] = inflate_patches(kernel, self.patch_size)
            fitted[_POSITIONS] = inflate_positions(positions, self.grid)
        elif _GRID in state:
            grid = tuple(state[_GRID].tolist())
            if grid != self.grid:
                fitted[_POSITIONS] = resample_positions(positions, grid, self.grid)
        fitted[_GRID] = torch.tensor(self.grid)
        return fitted

    def no_weight_decay(self) -> frozenset[str]:
        """The class token and the positions."""
        return frozenset({"cls_token", _POSITIONS})

    def set_gradient_checkpointing(self, enabled: bool) -> None:
        """Keep only each block's input."""
        self.is_checkpointing = enabled

    def _encode(self, images: Tensor) -> Tensor:
        """Volumes (B, C, D, H, W) -> tokens (B, 1 + d * h * w, F), the class token first."""
        if images.shape[2:] != self.volume_size:
            raise ValueError(
                f"volumes of {as_edges(tuple(images.shape[2:]))} voxels: expected "
                f"{as_edges(self.volume_size)}, which the network's positions were built for"
            )
        own = self.cls_token.expand(len(images), -1, -1)
        tokens: Tensor = torch.cat([own, self.patch_embed(images)], dim=1) + self.pos_embed
        for block in self.blocks:
            if self.is_checkpointing and self.training:
                tokens = checkpoint(block, tokens, use_reentrant=False)
            else:
                tokens = block(tokens)
        normed: Tensor = self.norm(tokens)
        return normed

    def _to_map(self, tokens: Tensor) -> Tensor:
        # (B, 1 + d * h * w, F) -> (B, F, d, h, w)
        return tokens[:, 1:].transpose(1, 2).reshape(len(tokens), -1, *self.grid)

    def _initialise(self) -> None:
        """As timm does: truncated normal of 0.02, biases 0."""
        nn.init.normal_(self.cls_token, std=1e-6)
        nn.init.trunc_normal_(self.pos_embed, std=0.02)
        for module in self.blocks.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)


def _check_patch(patch_size: tuple[int, ...], size: tuple[int, ...]) -> None:
    if len(patch_size) != _DIMENSIONS:
        raise ConfigError(
            f"[MODEL] PATCH_SIZE = {as_edges(patch_size)}: a volume's patch has three edges, "
            "along D, H and W: expected one number or three"
        )
    if any(edge % patch for edge, patch in zip(size, patch_size, strict=True)):
        nearest = tuple(
            max(edge // patch, 1) * patch for edge, patch in zip(size, patch_size, strict=True)
        )
        raise ConfigError(
            f"[MODEL] PATCH_SIZE = {as_edges(patch_size)} doesn't divide [DATA] VOLUME_SHAPE = "
            f"{as_edges(size)}: expected whole patches along each axis, as in "
            f"{as_edges(nearest)}, or another PATCH_SIZE"
        )
