"""Lesions of aerated lung as shares of voxels: consolidations and nodules."""

from typing import Final

import numpy as np

from csi_predictor.synthesis.findings_plan import smallest
from csi_predictor.synthesis.grid import Array, Grid, Solid, span
from csi_predictor.synthesis.noise import smooth_noise

_LARGEST_LOBAR_MM, _LARGEST_PATCH_MM = 66.0, 36.0
_PLACES, _SAMPLES = 12, 4
_HAZE, _HAZE_REACH = np.float32(0.3), 1.8
"""Air replaced in the ground glass around a consolidation, and its radius relative to that."""

_EDGE: Final = 0.5
"""Width of a consolidation's edge relative to its radius."""


def draw_consolidation(
    grid: Grid, lung: Array, overlap: float, rng: np.random.Generator, *, enlargement: float = 1.0
) -> Array:
    """Share (D, H, W) of the lung in each voxel whose air spaces are filled.

    Half of them fill a part of one lobe and end at the oblique fissure; the others are several
    patches. Uneven ground glass lies around them.

    Args:
        grid: Where the lung lies.
        lung: (D, H, W) share of each voxel that is aerated lung of one side.
        overlap: 0 draws large ones only, 1 and more also smaller ones.
        rng: For where and how large.
        enlargement: Of all lengths.
    """
    ragged = np.float32(0.2) * smooth_noise(grid.shape, (14, 20, 20), rng)
    ragged += np.float32(0.16) * smooth_noise(grid.shape, (32, 46, 46), rng)
    filled = np.zeros(grid.shape, dtype=np.float32)
    is_lobar = rng.random() < 0.5
    if is_lobar:
        low, high, count = smallest(24.0, 46.0, overlap), _LARGEST_LOBAR_MM, 1
    else:
        low, high = smallest(12.0, 26.0, overlap), _LARGEST_PATCH_MM
        count = int(rng.integers(round(smallest(1.0, 4.0, overlap)), 7))
    for centre in pick_points(grid, lung, count, rng):
        radius = enlargement * rng.uniform(low, high)
        _fill(filled, grid, centre, radius * np.exp(rng.normal(0, 0.15, 3)), ragged)
        if is_lobar:
            filled *= _lobe(grid, centre)
    return np.asarray(filled * (lung > 0.0), dtype=np.float32)


def draw_nodule(
    grid: Grid, lung: Array, diameters_mm: tuple[float, float], rng: np.random.Generator
) -> Solid:
    """A round lesion within aerated lung: of several places, where most of it has room.

    Args:
        grid: Where the lung lies.
        lung: (D, H, W) share of each voxel that is aerated lung.
        diameters_mm: Least and largest, physical.
        rng: For size, place, and a slightly longish shape of the same volume.
    """
    stretch = np.exp(rng.normal(0.0, 0.06, 3))
    stretch /= np.cbrt(stretch.prod())
    radii = 0.5 * rng.uniform(*diameters_mm) * stretch / np.asarray(grid.scale)
    places = pick_points(grid, lung, _PLACES, rng)
    solids = [_ball(grid, place, radii) for place in places]
    return max(solids, key=lambda solid: float((solid.filling * (lung[solid.box] - 1.0)).sum()))


def _ball(grid: Grid, centre: Array, radii: Array) -> Solid:
    """An ellipsoid as the share of each voxel, sampled finely: a small one has few voxels."""
    box, offsets = [], []
    for dimension, (middle, radius) in enumerate(zip(centre, radii, strict=True)):
        axis = grid.axis(dimension)
        part = span(axis, middle - radius, middle + radius)
        step = (np.arange(_SAMPLES) + 0.5) / _SAMPLES - 0.5
        fine = axis[part, None] + step * (axis[1] - axis[0])
        box.append(part)
        offsets.append(((fine.ravel() - middle) / radius) ** 2)
    z, y, x = offsets
    is_inside = z[:, None, None] + y[None, :, None] + x[None, None, :] < 1.0
    sizes = [part.stop - part.start for part in box]
    split = is_inside.reshape(sizes[0], _SAMPLES, sizes[1], _SAMPLES, sizes[2], _SAMPLES)
    filling = split.mean(axis=(1, 3, 5), dtype=np.float32)
    return Solid((box[0], box[1], box[2]), filling)


def pick_points(grid: Grid, lung: Array, count: int, rng: np.random.Generator) -> Array:
    """Nominal points (count, 3) in lung, with replacement, not at the voxels' middles."""
    voxels = np.flatnonzero(lung > 0.9)
    chosen = np.unravel_index(voxels[rng.integers(len(voxels), size=count)], lung.shape)
    middles = [grid.axis(dimension)[where] for dimension, where in enumerate(chosen)]
    steps = np.asarray(grid.spacing_mm) / np.asarray(grid.scale)
    shifts = rng.uniform(-0.5, 0.5, (count, 3)) * steps
    return np.asarray(np.stack(middles, axis=1) + shifts, dtype=np.float32)


def _fill(filled: Array, grid: Grid, centre: Array, radii_mm: Array, ragged: Array) -> None:
    offsets = [
        ((grid.axis(dimension) - centre[dimension]) * grid.scale[dimension] / radius).astype(
            np.float32
        )
        ** 2
        for dimension, radius in enumerate(radii_mm)
    ]
    distance = np.sqrt(
        offsets[0][:, None, None] + offsets[1][None, :, None] + offsets[2][None, None, :]
    )
    distance += ragged
    np.maximum(filled, np.clip((1.0 - distance) / _EDGE + 0.5, 0.0, 1.0), out=filled)
    haze = np.clip((_HAZE_REACH - distance) / _EDGE + 0.5, 0.0, 1.0)
    haze *= _HAZE * np.clip(1.0 + 2.5 * ragged, 0.3, 1.7)
    np.maximum(filled, haze, out=filled)


def _lobe(grid: Grid, centre: Array) -> Array:
    """Share (D, H, 1) on the point's side of the oblique fissure."""
    below = fissure_distance_mm(grid.axis(0)[:, None], grid.axis(1)[None, :])
    side = np.sign(fissure_distance_mm(centre[0], centre[1])) or 1.0
    share = np.clip(side * below / grid.nominal_spacing_mm() + 0.5, 0.0, 1.0)
    return np.asarray(share[:, :, None], dtype=np.float32)


def fissure_distance_mm(z_mm: Array, y_mm: Array) -> Array:
    """How far a point lies below the oblique fissure, high behind and low before."""
    return np.asarray(z_mm - 190.0 + 1.14 * y_mm, dtype=np.float32)
