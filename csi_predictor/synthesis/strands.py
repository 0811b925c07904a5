"""Fine structures as clouds of points: ribs, vessels, bronchi, interstitial lines, catheters.

A tube of radius r is a dense row of points; a disc of radius r around each, summed along the row,
gives the tube's exact path length 2 sqrt(r^2 - d^2) at distance d from its axis. Each point carries
attenuation times volume, so one cloud can be projected sharply at any image size and angle, or
painted into a coarse volume.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from csi_predictor.synthesis.grid import Array

NIB_RADII_MM: Final = (
    (0.45, 0.45),
    (0.8, 0.8),
    (1.2, 1.2),
    (1.7, 1.7),
    (2.4, 2.4),
    (3.4, 3.4),
    (4.8, 4.8),
    (6.8, 6.8),
    (10.0, 10.0),
    (16.0, 16.0),
    (24.0, 24.0),
    (6.3, 3.6),
    (5.3, 2.7),
)
"""Half height and half width of the discs that draw a point; the last two: ribs and marrow."""

RIB_NIB, MARROW_NIB = 11, 12
_ROUND_RADII_MM = np.array([height for height, _ in NIB_RADII_MM[:RIB_NIB]], dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Strands:
    """A cloud of points.

    Attributes:
        points_mm: (N, 3) nominal positions as (z, y, x).
        content_mm2: (N,) linear attenuation in 1/mm beyond the surrounding tissue's, times volume
            in mm3.
        nib: (N,) index of the disc in `NIB_RADII_MM`.
    """

    points_mm: Array
    content_mm2: Array
    nib: np.ndarray[tuple[int], np.dtype[np.int8]]


def join(parts: Sequence[Strands]) -> Strands:
    """All points of several clouds."""
    if not parts:
        return Strands(np.zeros((0, 3), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int8))
    return Strands(
        np.concatenate([part.points_mm for part in parts]),
        np.concatenate([part.content_mm2 for part in parts]),
        np.concatenate([part.nib for part in parts]),
    )


def round_nib(radius_mm: Array) -> np.ndarray[tuple[int], np.dtype[np.int8]]:
    """The disc nearest in size to each radius (N,)."""
    between = np.sqrt(_ROUND_RADII_MM[1:] * _ROUND_RADII_MM[:-1])
    return np.searchsorted(between, radius_mm).astype(np.int8)


def tube(
    path_mm: Array, radius_mm: Array | float, attenuation_per_mm: float, *, step_mm: float = 0.6
) -> Strands:
    """A round tube along a polyline.

    Args:
        path_mm: (P, 3) vertices as (z, y, x).
        radius_mm: One radius, or one for each vertex.
        attenuation_per_mm: Linear attenuation beyond the surrounding tissue's; negative for air.
        step_mm: Distance between points.
    """
    points, radius, length = _resample(path_mm, radius_mm, step_mm)
    content = attenuation_per_mm * np.pi * radius**2 * length
    return Strands(points, content.astype(np.float32), round_nib(radius))


def tubes(
    paths_mm: Array, radii_mm: Array, attenuation_per_mm: float, *, step_mm: float = 0.6
) -> Strands:
    """Many round tubes at once.

    Args:
        paths_mm: (T, P, 3) vertices of T polylines.
        radii_mm: (T, P) radius at each vertex.
        attenuation_per_mm: Linear attenuation beyond the surrounding tissue's.
        step_mm: Distance between points, about.
    """
    starts, ends = (
        paths_mm[:, :-1].reshape(-1, 3),
        paths_mm[:, 1:].reshape(-1, 3),
    )  # (T, P, 3) -> (T * (P - 1), 3)
    radius_from, radius_to = radii_mm[:, :-1].ravel(), radii_mm[:, 1:].ravel()
    lengths = np.linalg.norm(ends - starts, axis=1)
    counts = np.maximum(np.ceil(lengths / step_mm), 1).astype(np.int64)
    piece = np.repeat(np.arange(len(counts)), counts)
    rank = np.arange(len(piece)) - np.repeat(np.cumsum(counts) - counts, counts)
    share = ((rank + 0.5) / counts[piece]).astype(np.float32)
    points = starts[piece] + share[:, None] * (ends - starts)[piece]
    radius = (radius_from[piece] + share * (radius_to - radius_from)[piece]).astype(np.float32)
    content = attenuation_per_mm * np.pi * radius**2 * (lengths / counts)[piece]
    return Strands(points.astype(np.float32), content.astype(np.float32), round_nib(radius))


def shell(
    path_mm: Array,
    radius_mm: float,
    wall_mm: float,
    *,
    wall: float,
    core: float,
    step_mm: float = 0.6,
) -> Strands:
    """A hollow tube: bone cortex around marrow, or a bronchus wall around air.

    Args:
        path_mm: (P, 3) vertices as (z, y, x).
        radius_mm: Outer radius.
        wall_mm: Thickness of the wall.
        wall: Attenuation of the wall in 1/mm beyond the surrounding tissue's.
        core: The same of what the wall encloses.
        step_mm: Distance between points.
    """
    outer = tube(path_mm, radius_mm, wall, step_mm=step_mm)
    inner = tube(path_mm, radius_mm - wall_mm, core - wall, step_mm=step_mm)
    return join([outer, inner])


def rib_tube(
    path_mm: Array, *, wall: float, core: float, size: float = 1.0, step_mm: float = 0.7
) -> Strands:
    """A rib: flat section, 12.6 by 7.2 mm, with a dense rim around marrow."""
    points, _, length = _resample(path_mm, 1.0, step_mm)
    clouds = []
    for nib, attenuation in ((RIB_NIB, wall), (MARROW_NIB, core - wall)):
        height, width = NIB_RADII_MM[nib]
        content = size * attenuation * np.pi * height * width * length
        clouds.append(
            Strands(points, content.astype(np.float32), np.full(len(points), nib, np.int8))
        )
    return join(clouds)


def cloud(
    points_mm: Array, volume_mm3: Array | float, radius_mm: Array | float, attenuation_per_mm: float
) -> Strands:
    """Single grains: points (N, 3) with a volume each, drawn as discs of a radius each."""
    count = len(points_mm)
    content = np.broadcast_to(
        np.asarray(volume_mm3, np.float32) * np.float32(attenuation_per_mm), (count,)
    )
    radius = np.broadcast_to(np.asarray(radius_mm, np.float32), (count,))
    return Strands(
        np.asarray(points_mm, np.float32), np.array(content, np.float32), round_nib(radius)
    )


def smooth_path(knots_mm: Sequence[tuple[float, float, float]] | Array, count: int = 40) -> Array:
    """A curve (count, 3) through knots (K, 3): Catmull-Rom cubics over the chords' lengths."""
    knots = np.asarray(knots_mm, dtype=np.float64)
    steps = np.diff(knots, axis=0)
    chord = np.sqrt((steps**2).sum(axis=1))
    along = np.concatenate([[0.0], np.cumsum(chord)])
    slope = np.empty_like(knots)
    slope[1:-1] = (knots[2:] - knots[:-2]) / (along[2:] - along[:-2])[:, None]
    slope[[0, -1]] = steps[[0, -1]] / chord[[0, -1], None]
    where = np.linspace(0.0, along[-1], count)
    piece = np.clip(np.searchsorted(along, where, side="right") - 1, 0, len(chord) - 1)
    t, run = ((where - along[piece]) / chord[piece])[:, None], chord[piece][:, None]
    back = 1 - t
    path = back**2 * (1 + 2 * t) * knots[piece] + t**2 * (3 - 2 * t) * knots[piece + 1]
    path += run * t * back * (back * slope[piece] - t * slope[piece + 1])
    return np.asarray(path, dtype=np.float32)


def _resample(
    path_mm: Array, radius_mm: Array | float, step_mm: float
) -> tuple[Array, Array, Array]:
    """Points, radii and lengths at even steps along a polyline."""
    path = np.asarray(path_mm, dtype=np.float32)
    lengths = np.linalg.norm(np.diff(path, axis=0), axis=1)
    along = np.concatenate([[0.0], np.cumsum(lengths)])
    count = max(int(along[-1] / step_mm), 1)
    where = (np.arange(count) + 0.5) * (along[-1] / count)
    points = np.stack([np.interp(where, along, path[:, axis]) for axis in range(3)], axis=1)
    radius = np.interp(
        where, along, np.broadcast_to(np.asarray(radius_mm, np.float32), (len(path),))
    )
    return (
        points.astype(np.float32),
        radius.astype(np.float32),
        np.full(count, along[-1] / count, np.float32),
    )
