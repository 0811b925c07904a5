"""From the weights of an image network to those of its twin in three dimensions.

Source: Carreira & Zisserman 2017, Quo Vadis, Action Recognition? (I3D), arXiv:1705.07750, section
2.4: a kernel is repeated along depth and divided by their number, so that a volume that doesn't
change along depth gives the image network's activations.
"""

import math
from collections.abc import Mapping

import torch
from timm.layers.patch_embed import resample_patch_embed
from timm.layers.pos_embed import resample_abs_pos_embed
from torch import Tensor
from torch.nn import functional as F

_FLAT_KERNEL = 4
_DEEP_KERNEL = 5


def inflate_kernels(state: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dict with each flat kernel made as deep as its namesake; all else as it is.

    Args:
        state: Of a file: kernels (F, C, kh, kw) or (F, C, kd, kh, kw).
        wanted: Of the network of volumes.
    """
    inflated = dict(state)
    for name, tensor in state.items():
        if tensor.ndim == _FLAT_KERNEL and name in wanted and wanted[name].ndim == _DEEP_KERNEL:
            inflated[name] = inflate_kernel(tensor, wanted[name].shape[2])
    return inflated


def inflate_kernel(kernel: Tensor, depth: int) -> Tensor:
    """(F, C, kh, kw) -> (F, C, depth, kh, kw), whose sum over depth is the kernel."""
    return kernel.unsqueeze(2).expand(-1, -1, depth, -1, -1) / depth


def inflate_patches(kernel: Tensor, patch_size: tuple[int, ...]) -> Tensor:
    """A patch embedding (F, C, kh, kw) -> (F, C, pd, ph, pw).

    Another size in the plane is met first, so that a resized picture gives the same tokens.
    Source: Beyer et al. 2023, FlexiViT, arXiv:2212.08013, section 3.4, by timm.
    """
    depth, *plane = patch_size
    return inflate_kernel(resample_patch_embed(kernel, plane), depth)


def inflate_positions(positions: Tensor, grid: tuple[int, ...]) -> Tensor:
    """Position embeddings of a square picture's tokens -> of a volume's.

    They are resampled in the plane and repeated along depth; the class token keeps its own.

    Args:
        positions: (1, 1 + n * n, F), the class token's first. What isn't square is given back as
            it is, for the caller's check of shapes to name.
        grid: (d, h, w) tokens of the volume.

    Returns:
        (1, 1 + d * h * w, F).
    """
    edge = math.isqrt(positions.shape[1] - 1)
    if edge**2 != positions.shape[1] - 1:
        return positions
    depth, *plane = grid
    resampled = resample_abs_pos_embed(positions, plane, [edge, edge], num_prefix_tokens=1)
    return torch.cat([resampled[:, :1], resampled[:, 1:].repeat(1, depth, 1)], dim=1)


def resample_positions(
    positions: Tensor, grid: tuple[int, ...], new_grid: tuple[int, ...]
) -> Tensor:
    """Position embeddings of one volume shape -> of another, trilinear.

    Args:
        positions: (1, 1 + d * h * w, F), the class token's first.
        grid: Its (d, h, w).
        new_grid: The wanted one.

    Returns:
        (1, 1 + the new d * h * w, F).
    """
    own, tokens = positions[:, :1], positions[:, 1:]
    # (1, d * h * w, F) -> (1, F, d, h, w)
    cube = tokens.transpose(1, 2).reshape(1, tokens.shape[2], *grid)
    resampled = F.interpolate(cube, new_grid, mode="trilinear", align_corners=False)
    return torch.cat([own, resampled.flatten(2).transpose(1, 2)], dim=1)
