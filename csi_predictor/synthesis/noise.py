"""Smooth random fields on a grid."""

from functools import lru_cache

import numpy as np
from scipy.interpolate import CubicSpline

from csi_predictor.synthesis.grid import Array


def smooth_noise(shape: tuple[int, ...], cells: tuple[int, ...], rng: np.random.Generator) -> Array:
    """Noise of mean 0 and variance near 1, with features as wide as shape over cells."""
    field = rng.standard_normal(tuple(count + 1 for count in cells), dtype=np.float32)
    for dimension, (count, size) in enumerate(zip(cells, shape, strict=True)):
        field = np.moveaxis(
            np.tensordot(_spread(count + 1, size), field, axes=(1, dimension)), 0, dimension
        )
    return np.ascontiguousarray(field, dtype=np.float32)


@lru_cache(maxsize=32)
def _spread(count: int, size: int) -> Array:
    """Interpolation (size, count) from even knots, scaled to keep the variance near 1."""
    matrix = CubicSpline(np.linspace(0, 1, count), np.eye(count))(np.linspace(0, 1, size))
    matrix /= np.sqrt((matrix**2).sum(axis=1, keepdims=True))
    return np.asarray(matrix, dtype=np.float32)


def soft_tissue_unevenness(size: int, rng: np.random.Generator) -> Array:
    """(size, size) factors around 1: soft tissue is nowhere as even as the solids drawn for it."""
    broad = smooth_noise((size, size), (9, 9), rng)
    return np.asarray(1.0 + 0.016 * broad + 0.005 * smooth_noise((size, size), (40, 40), rng))
