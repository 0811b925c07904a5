"""Soft organs as solids on a grid: body, lungs and diaphragm, shoulders, gas in the belly.

Nominal frame in mm: z from 0 (chin) downwards, y from front (negative) to back, x from the
patient's right (negative) to the left. Shapes follow the silhouettes of an adult frontal
radiograph; every number is a length in that frame.
"""

import numpy as np

from csi_predictor.synthesis.grid import Array, Grid, Solid, ellipsoid, profile, span, stack
from csi_predictor.synthesis.habitus import Habitus

RIGHT, LEFT = -1, 1
"""Sign of x on the patient's right and left."""

APEX_Z_MM = 58.0
"""Level of the top of both lungs."""

CAGE_HALF_WIDTH = [
    (56, 34),
    (62, 58),
    (72, 74),
    (90, 91),
    (115, 106),
    (150, 121),
    (200, 133),
    (260, 141),
    (300, 143),
    (400, 140),
]
"""Half the inner width of the rib cage by level."""

CAGE_HALF_DEPTH = [
    (56, 14),
    (70, 28),
    (90, 43),
    (115, 58),
    (150, 72),
    (200, 82),
    (260, 88),
    (400, 86),
]
"""Half the inner depth of the rib cage by level."""

CAGE_CENTRE_Y = [(56, 22), (90, 12), (150, 3), (260, 0), (400, 0)]
"""Middle of the rib cage from front to back by level."""


def draw_body(grid: Grid, habitus: Habitus, *, inset_mm: float = 0.0) -> list[Solid]:
    """Trunk, neck, shoulders, arms and breasts; `inset_mm` gives the muscles below the fat."""
    z = grid.axis(0)
    ones = np.ones_like(z)
    girth = habitus.fat_mm - 12.0
    width = [
        (0, 56),
        (30, 60),
        (48, 84),
        (62, 122),
        (80, 158),
        (105, 178),
        (150, 172),
        (200, 166),
        (300, 162),
        (400, 166),
    ]
    depth = [(0, 62), (40, 62), (90, 82), (150, 102), (260, 113), (400, 115)]
    half_width = (
        profile(z, width) + girth * profile(z, [(30, 0.3), (150, 0.8), (300, 1.2)]) - inset_mm
    )
    trunk = stack(
        grid,
        slice(0, len(z)),
        centre_x=0 * ones,
        centre_y=2 * ones,
        half_width=half_width,
        half_depth=profile(z, depth) + girth - 1.3 * inset_mm,
        power=2.7,
    )
    return [trunk, *_draw_arms(grid, girth, inset_mm), *_draw_breasts(grid, habitus, inset_mm)]


def _draw_arms(grid: Grid, girth: float, inset_mm: float) -> list[Solid]:
    levels = span(grid.axis(0), 78.0, 420.0)
    z = grid.axis(0)[levels]
    radius = (
        profile(z, [(78, 8), (95, 34), (130, 46), (250, 43), (400, 40)]) + 0.5 * girth - inset_mm
    )
    reach = profile(z, [(78, 160), (120, 172), (200, 190), (400, 236)]) + girth
    return [
        stack(
            grid,
            levels,
            centre_x=side * reach,
            centre_y=0 * z - 5,
            half_width=radius,
            half_depth=radius,
            power=2.0,
        )
        for side in (RIGHT, LEFT)
    ]


def _draw_breasts(grid: Grid, habitus: Habitus, inset_mm: float) -> list[Solid]:
    if habitus.breast == 0.0 or inset_mm > 0.0:
        return []
    size = habitus.breast
    fold = 262.0 + 16.0 * size
    levels = span(grid.axis(0), fold - 120.0, fold)
    z = grid.axis(0)[levels]
    # Thin above, full just over the fold below: the breast hangs.
    fullness = profile(
        z,
        [
            (fold - 120, 0),
            (fold - 85, 0.18),
            (fold - 50, 0.8),
            (fold - 32, 1.0),
            (fold - 14, 0.72),
            (fold - 4, 0.3),
            (fold, 0),
        ],
    )
    return [
        stack(
            grid,
            levels,
            centre_x=side * (78.0 + 8 * size) + 0 * z,
            centre_y=-100.0 + 0 * z,
            half_width=(46.0 + 12 * size) * np.sqrt(np.maximum(fullness, 0)),
            half_depth=(8.0 + 22.0 * size) * fullness,
            power=2.0,
        )
        for side in (RIGHT, LEFT)
    ]


def draw_lung(grid: Grid, habitus: Habitus, side: int) -> Solid:
    """One lung as rib cage and diaphragm leave it, heart and mediastinum not yet cut out."""
    levels = span(grid.axis(0), APEX_Z_MM, 372.0)
    z = grid.axis(0)[levels]
    lateral = profile(z, [(level, width) for level, width in CAGE_HALF_WIDTH])
    medial = profile(z, [(56, 34), (62, 25), (72, 17), (90, 10), (120, 5), (400, 5)])
    lung = stack(
        grid,
        levels,
        centre_x=side * (lateral + medial) / 2,
        centre_y=profile(z, CAGE_CENTRE_Y),
        half_width=(lateral - medial) / 2,
        half_depth=profile(z, CAGE_HALF_DEPTH),
        power=2.6,
    )
    _, rows, columns = lung.box
    above = (
        diaphragm_z_mm(habitus, side, grid.axis(1)[rows, None], grid.axis(2)[None, columns])
        - z[:, None, None]
    )
    above *= np.float32(0.8 / grid.nominal_spacing_mm())
    above += np.float32(0.5)
    lung.filling[:] *= np.clip(above, 0.0, 1.0, out=above)
    return lung


def diaphragm_z_mm(habitus: Habitus, side: int, y_mm: Array, x_mm: Array) -> Array:
    """Level of one hemidiaphragm above the points (y, x); the arguments broadcast."""
    top = habitus.right_dome_z_mm if side == RIGHT else habitus.left_dome_z_mm
    outward = side * x_mm - (66.0 if side == RIGHT else 72.0)
    lateral = habitus.dome_height_mm * (np.maximum(outward, 0.0) / 74.0) ** 2.4
    medial = 14.0 * (np.minimum(outward, 0.0) / 60.0) ** 2
    behind = 52.0 * (np.maximum(y_mm + 18.0, 0.0) / 100.0) ** 2
    before = 16.0 * (np.minimum(y_mm + 18.0, 0.0) / 70.0) ** 2
    return np.asarray(top + lateral + medial + (behind + before), dtype=np.float32)


def draw_humeral_heads(grid: Grid) -> list[Solid]:
    """The balls of both shoulders."""
    return [
        ellipsoid(grid, (102.0, 2.0, side * 173.0), (24.0, 23.0, 23.0)) for side in (RIGHT, LEFT)
    ]


def draw_gas(grid: Grid, habitus: Habitus, rng: np.random.Generator) -> list[Solid]:
    """Gas below the diaphragm: the stomach bubble, with its fluid level, and some bowel."""
    bubbles: list[Solid] = []
    if habitus.stomach_bubble > 0.2:
        size = habitus.stomach_bubble
        top = habitus.left_dome_z_mm + 9.0
        bubble = ellipsoid(
            grid,
            (top + 13.0 * size, -8.0, 64.0 + rng.normal(0, 8)),
            (12.0 * size + 3, 22.0, 22.0 * size),
        )
        level = np.clip(
            (top + rng.uniform(14, 30) * size - grid.axis(0)[bubble.box[0]]) / 2.5, 0, 1
        )
        bubble.filling[:] *= level[:, None, None].astype(np.float32)
        bubbles.append(bubble)
    for _ in range(int(rng.integers(0, 4))):
        centre = (rng.uniform(350, 395), rng.uniform(-60, -20), rng.uniform(-70, 110))
        bubbles.append(ellipsoid(grid, centre, (rng.uniform(6, 13), 13.0, rng.uniform(9, 20))))
    return bubbles
