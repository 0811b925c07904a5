"""Slices put in order by their place in the patient, or the reason why they make no volume."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from csi_predictor.data.readers.series_slices import Slice
from csi_predictor.errors import ImageError

_SAME_DIRECTION = 1e-3
_SAME_SPACING = 1e-3
_SAME_PLACE_MM = 0.01
_TILT_DEG = 0.2
_DRIFT_PX = 0.5
_GAP = 1.5
"""Distances above this share of the usual one mean that a slice is missing."""
_UNEVEN = 0.2
"""Share of the distance by which a slice may lie off its place: positions are often rounded."""

Points = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Stack:
    """Slices at equal distances, one above the other.

    Attributes:
        slices: Along the slice normal.
        directions: (3, 3) unit direction of x (along rows), y (down columns) and z (the slice
            normal) in L, P, S.
        spacing_mm: Along x, y, z.
        notes: What was left out.
    """

    slices: tuple[Slice, ...]
    directions: Points
    spacing_mm: tuple[float, float, float]
    notes: tuple[str, ...] = ()


def stack_slices(
    slices: Sequence[Slice], *, folder: Path, is_same: Callable[[Slice, Slice], bool]
) -> Stack:
    """The slices in order of their position along the slice normal, never of number or name.

    Of slices at one place with the same pixels one is kept. Gantry tilt is refused: the sheared
    volume would have to be resampled, and a chest isn't scanned so.

    Args:
        slices: Of one series, each placed; two or more.
        folder: For messages.
        is_same: Whether two slices have the same pixels.

    Raises:
        ImageError: BAD_HEADER for mixed sizes, spacings or orientations, different pixels at one
            place, gantry tilt, sideways or uneven steps; TRUNCATED for a missing slice.

    Source:
        PS3.3 C.7.6.2.1.1: the normal is the cross product of the two directions, and a slice's
        place along it is the dot product with Image Position (Patient).
    """
    _check_equal(slices, folder)
    directions = _directions(slices, folder)
    ordered = sorted(
        slices, key=lambda each: (_along(each, directions), each.path, each.frame_index)
    )
    kept, num_doubles = _without_doubles(ordered, directions, folder, is_same)
    points = np.array([each.position for each in kept])
    _check_above_each_other(points @ directions.T, kept[0].spacing_mm, folder)
    step = _step_mm(points @ directions[2], kept, folder)
    row_mm, column_mm = kept[0].spacing_mm
    return Stack(
        tuple(kept),
        directions,
        (column_mm, row_mm, step),
        (f"{num_doubles} duplicate slices left out",) if num_doubles else (),
    )


def _along(each: Slice, directions: Points) -> float:
    return float(directions[2] @ np.array(each.position))


def _check_equal(slices: Sequence[Slice], folder: Path) -> None:
    sizes = Counter(each.size for each in slices)
    if len(sizes) > 1:
        found = ", ".join(f"{rows} x {cols} ({n} slices)" for (rows, cols), n in sizes.items())
        raise _bad(folder, f"slices of different sizes: {found}", "one size")
    spacings = np.array([each.spacing_mm for each in slices])
    if not (np.isfinite(spacings).all() and (spacings > 0).all()):
        raise _bad(folder, "a (0028,0030) Pixel Spacing that isn't positive", "millimetres")
    lowest, highest = spacings.min(axis=0), spacings.max(axis=0)
    if (highest - lowest > _SAME_SPACING * highest).any():
        raise _bad(
            folder,
            f"(0028,0030) Pixel Spacing from {_pair(lowest)} to {_pair(highest)} mm",
            "one spacing in all slices",
        )


def _directions(slices: Sequence[Slice], folder: Path) -> Points:
    axes = np.array([each.orientation for each in slices]).reshape(-1, 2, 3)
    lengths = np.linalg.norm(axes, axis=2)
    if not np.isfinite(axes).all() or (np.abs(lengths - 1.0) > 0.01).any():
        raise _bad(folder, "(0020,0037) Image Orientation isn't of unit length", "two directions")
    if (np.abs((axes[:, 0] * axes[:, 1]).sum(axis=1)) > 0.01).any():
        raise _bad(folder, "rows and columns aren't at right angles", "right angles")
    groups = _group_directions(axes)
    if len(groups) > 1:
        counts = " and ".join(map(str, sorted(groups, reverse=True)))
        raise _bad(
            folder,
            f"slices of {len(groups)} orientations ({counts} slices)",
            "one: take the other images out of the series",
        )
    x = axes[0, 0] / lengths[0, 0]
    y = axes[0, 1] - (axes[0, 1] @ x) * x
    y /= np.linalg.norm(y)
    return np.stack([x, y, np.cross(x, y)])


def _group_directions(axes: Points) -> list[int]:
    """How many slices have each orientation."""
    counts = []
    rest = axes.reshape(-1, 6)
    while len(rest):
        is_equal = np.abs(rest - rest[0]).max(axis=1) <= _SAME_DIRECTION
        counts.append(int(is_equal.sum()))
        rest = rest[~is_equal]
    return counts


def _without_doubles(
    ordered: Sequence[Slice],
    directions: Points,
    folder: Path,
    is_same: Callable[[Slice, Slice], bool],
) -> tuple[list[Slice], int]:
    kept = [ordered[0]]
    for each in ordered[1:]:
        before = kept[-1]
        if np.abs(np.subtract(each.position, before.position)).max() > _SAME_PLACE_MM:
            kept.append(each)
        elif not is_same(before, each):
            raise _bad(
                folder,
                f"{before.name} and {each.name} lie at the same place "
                f"({_along(each, directions):.1f} mm) with different pixels",
                "one slice a place: several phases or reconstructions need a series each",
            )
    return kept, len(ordered) - len(kept)


def _check_above_each_other(points: Points, spacing_mm: Sequence[float], folder: Path) -> None:
    """Refuse steps that don't follow the normal.

    Args:
        points: (N, 3) positions along x, y and the normal, mm, in order.
        spacing_mm: Between rows, between columns.
        folder: For messages.
    """
    drift = points - points[0]
    height = drift[-1, 2]
    row_mm, column_mm = spacing_mm
    if (np.abs(drift[:, :2]) <= _DRIFT_PX * np.array([column_mm, row_mm])).all():
        return
    sideways = float(np.hypot(*drift[-1, :2]))
    tilt = float(np.rad2deg(np.arctan2(sideways, height)))
    steady = np.outer(drift[:, 2] / height, drift[-1, :2]) if height > 0 else drift[:, :2]
    if tilt > _TILT_DEG and np.allclose(drift[:, :2], steady, atol=0.5 * max(spacing_mm)):
        raise _bad(
            folder,
            f"gantry tilt of {tilt:.1f} degrees: the slices slide sideways by {sideways:.1f} mm",
            "slices along their normal: rectify the series first",
        )
    farthest = float(np.abs(drift[:, :2]).max())
    raise _bad(
        folder,
        f"slices up to {farthest:.1f} mm beside each other",
        "slices one above the other",
    )


def _step_mm(heights: Points, kept: Sequence[Slice], folder: Path) -> float:
    steps = np.diff(heights)
    if not len(steps):
        raise ImageError(folder, "TRUNCATED", "all slices lie at one place: expected several")
    usual = float(np.median(steps))
    gaps = np.flatnonzero(steps > _GAP * usual)
    if len(gaps):
        at = int(gaps[0])
        more = f", and {len(gaps) - 1} more gaps" if len(gaps) > 1 else ""
        raise ImageError(
            folder,
            "TRUNCATED",
            f"a gap of {steps[at]:.2f} mm from {heights[at]:.1f} to {heights[at + 1]:.1f} mm along "
            f"the slice normal (after {kept[at].name}){more}: expected {usual:.2f} mm between "
            "slices: send the missing ones",
        )
    step = float(heights[-1] - heights[0]) / len(steps)
    places = heights[0] + step * np.arange(len(heights))
    if (np.abs(heights - places) > _UNEVEN * step).any():
        raise _bad(
            folder,
            f"slices at distances from {steps.min():.2f} to {steps.max():.2f} mm",
            "equal distances",
        )
    return step


def _pair(values: Points) -> str:
    return f"{values[0]:.4g} x {values[1]:.4g}"


def _bad(folder: Path, found: str, expected: str) -> ImageError:
    return ImageError(folder, "BAD_HEADER", f"{found}: expected {expected}")
