"""The sampling grid of a phantom, and solids drawn on it with soft edges."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

Array = NDArray[np.floating[Any]]
Knots = Sequence[tuple[float, float]]
Box = tuple[slice, slice, slice]


@dataclass(frozen=True, slots=True)
class Grid:
    """A regular grid over the patient, seen by the anatomy in its own, size-free millimetres.

    Axes of every volume are (D, H, W): D runs from superior to inferior, H from anterior to
    posterior, W from the patient's right to the left. Summing over H gives a frontal radiograph
    with the patient's right on the image's left.

    Attributes:
        shape: Number of voxels (D, H, W).
        extent_mm: Physical size of the grid along (D, H, W).
        scale: Size of this patient relative to the anatomy's nominal millimetres along (D, H, W).
        centre_mm: Nominal point of the anatomy that lies in the middle of the grid (z, y, x).
    """

    shape: tuple[int, int, int]
    extent_mm: tuple[float, float, float]
    scale: tuple[float, float, float]
    centre_mm: tuple[float, float, float]

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Physical distance between voxels along (D, H, W)."""
        depth, height, width = (
            extent / count for extent, count in zip(self.extent_mm, self.shape, strict=True)
        )
        return depth, height, width

    def axis(self, dimension: int) -> Array:
        """Nominal coordinates in mm of the voxel centres along one dimension."""
        count, extent = self.shape[dimension], self.extent_mm[dimension]
        centres = (np.arange(count, dtype=np.float32) + 0.5) * (extent / count) - extent / 2
        return np.asarray(
            centres / self.scale[dimension] + self.centre_mm[dimension], dtype=np.float32
        )

    def to_physical(self, points_mm: Array) -> Array:
        """Offsets (N, 3) from the grid's middle, in physical mm, of nominal points (z, y, x)."""
        scale = np.asarray(self.scale, dtype=np.float32)
        return (points_mm - np.asarray(self.centre_mm, dtype=np.float32)) * scale

    def nominal_spacing_mm(self) -> float:
        """Width in nominal mm over which the edge of a solid is softened."""
        spacing = zip(self.spacing_mm, self.scale, strict=True)
        return float(np.mean([step / scale for step, scale in spacing]))


@dataclass(frozen=True, slots=True)
class Solid:
    """Part of a volume filled by one organ.

    Attributes:
        box: Where the part lies in the volume.
        filling: Share of each voxel that is filled, 0 to 1, with the box's shape.
    """

    box: Box
    filling: Array


def profile(z_mm: Array, knots: Knots) -> Array:
    """A smooth curve through (z, value) knots without overshoot, constant beyond them."""
    curve = _curve(tuple(knots))
    return np.asarray(curve(np.clip(z_mm, knots[0][0], knots[-1][0])), dtype=np.float32)


@lru_cache(maxsize=256)
def _curve(knots: tuple[tuple[float, float], ...]) -> PchipInterpolator:
    levels, values = zip(*knots, strict=True)
    return PchipInterpolator(levels, values)


def span(axis: Array, low: float, high: float) -> slice:
    """The part of an axis between two coordinates, one voxel wider on each side."""
    first = int(np.searchsorted(axis, low)) - 1
    last = int(np.searchsorted(axis, high)) + 1
    return slice(max(first, 0), min(max(last, 1), len(axis)))


def stack(
    grid: Grid,
    levels: slice,
    *,
    centre_x: Array,
    centre_y: Array,
    half_width: Array,
    half_depth: Array,
    power: float = 2.5,
) -> Solid:
    """A solid whose horizontal sections are superellipses |x/a|^p + |y/b|^p <= 1.

    Args:
        grid: Where to draw.
        levels: Rows of the grid's first dimension that the solid crosses.
        centre_x: Middle of each section in nominal mm; this and the next three have one value for
            each level.
        centre_y: Middle of each section from front (negative) to back.
        half_width: a, half the width of each section; a section of no width is empty.
        half_depth: b, half the depth of each section.
        power: p, 2 for ellipses, more for squarer sections.
    """
    x_axis, y_axis, soft_mm = grid.axis(2), grid.axis(1), grid.nominal_spacing_mm()
    columns = span(
        x_axis, float((centre_x - half_width).min()), float((centre_x + half_width).max())
    )
    rows = span(y_axis, float((centre_y - half_depth).min()), float((centre_y + half_depth).max()))
    width, depth = np.maximum(half_width, 0.5), np.maximum(half_depth, 0.5)
    across = np.abs((x_axis[columns] - centre_x[:, None]) / width[:, None]) ** power
    along = np.abs((y_axis[rows] - centre_y[:, None]) / depth[:, None]) ** power
    # To first order the surface is (1 - f) / |grad f| away, and |grad f| is p / a on the x axis.
    steepness = (np.minimum(width, depth) / (power * soft_mm))[:, None].astype(np.float32)
    filling = ((0.5 + steepness) - steepness * along)[:, :, None] - (steepness * across)[:, None, :]
    np.clip(filling, 0.0, 1.0, out=filling)
    filling *= np.clip(np.minimum(half_width, half_depth) / soft_mm, 0, 1)[:, None, None]
    return Solid((levels, rows, columns), filling)


def ellipsoid(
    grid: Grid,
    centre_mm: tuple[float, float, float],
    radii_mm: tuple[float, float, float],
    *,
    power: float = 2.0,
) -> Solid:
    """An ellipsoid by its nominal centre and radii, each as (z, y, x)."""
    levels = span(grid.axis(0), centre_mm[0] - radii_mm[0], centre_mm[0] + radii_mm[0])
    height = (grid.axis(0)[levels] - centre_mm[0]) / radii_mm[0]
    swell = np.sqrt(np.clip(1.0 - height**2, 0.0, 1.0))
    ones = np.ones_like(swell)
    return stack(
        grid,
        levels,
        centre_x=centre_mm[2] * ones,
        centre_y=centre_mm[1] * ones,
        half_width=radii_mm[2] * swell,
        half_depth=radii_mm[1] * swell,
        power=power,
    )


def mix(volume: Array, solid: Solid, value: float) -> None:
    """Replace what a volume (D, H, W) holds by `value` where the solid is, in its share."""
    part = volume[solid.box]
    part += solid.filling * (np.float32(value) - part)
