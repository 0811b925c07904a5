"""What lies between the lungs as solids on a grid, in the nominal frame of `anatomy`."""

import numpy as np

from csi_predictor.synthesis.grid import Grid, Solid, ellipsoid, profile, span, stack
from csi_predictor.synthesis.habitus import Habitus


def draw_mediastinum(grid: Grid, habitus: Habitus) -> list[Solid]:
    """What the lungs give way to: heart, great vessels, aorta, the tissue beside the spine."""
    return [
        _draw_heart(grid, habitus),
        _draw_column(grid, habitus),
        _draw_spine_bed(grid),
        *_draw_aorta(grid, habitus),
    ]


def _draw_heart(grid: Grid, habitus: Habitus) -> Solid:
    bottom = habitus.left_dome_z_mm + 30.0
    levels = span(grid.axis(0), 130.0, bottom)
    z = grid.axis(0)[levels]
    # The heart stands on the diaphragm: its lower half moves with the dome.
    level = 138.0 + (z - 138.0) * (302.0 - 138.0) / (bottom - 17.0 - 138.0)
    right_border = profile(
        level,
        [
            (130, 6),
            (145, 15),
            (165, 18),
            (190, 25),
            (212, 35),
            (238, 42),
            (262, 42),
            (285, 34),
            (302, 20),
            (318, 4),
        ],
    )
    left_border = profile(
        level,
        [
            (130, 8),
            (140, 22),
            (153, 33),
            (168, 39),
            (186, 45),
            (215, 63),
            (240, 79),
            (262, 87),
            (282, 86),
            (298, 72),
            (318, 38),
        ],
    )
    right_border, left_border = (
        right_border * (0.5 + 0.5 * habitus.heart),
        left_border * habitus.heart,
    )
    return stack(
        grid,
        levels,
        centre_x=(left_border - right_border) / 2,
        centre_y=profile(level, [(138, -8), (200, -24), (260, -30), (318, -38)]),
        half_width=(left_border + right_border) / 2,
        half_depth=profile(level, [(130, 3), (155, 28), (185, 44), (240, 52), (300, 40), (318, 22)])
        * habitus.heart,
        power=2.1,
    )


def _draw_column(grid: Grid, habitus: Habitus) -> Solid:
    levels = span(grid.axis(0), 0.0, 225.0)
    z = grid.axis(0)[levels]
    right_border = profile(
        z, [(50, 40), (66, 31), (90, 24), (115, 23), (140, 26), (175, 22), (225, 8)]
    )
    left_border = profile(
        z, [(50, 42), (66, 34), (85, 26), (110, 23), (140, 24), (175, 20), (225, 8)]
    )
    return stack(
        grid,
        levels,
        centre_x=(left_border - right_border) / 2,
        centre_y=profile(z, [(60, 8), (175, -6)]),
        half_width=habitus.mediastinum * (left_border + right_border) / 2,
        half_depth=profile(z, [(60, 32), (120, 42), (165, 40), (225, 3)]),
        power=2.0,
    )


def _draw_spine_bed(grid: Grid) -> Solid:
    levels = span(grid.axis(0), 0.0, 420.0)
    z = grid.axis(0)[levels]
    ones = np.ones_like(z)
    width = profile(z, [(50, 19), (200, 21), (330, 27)])
    return stack(
        grid,
        levels,
        centre_x=0 * ones,
        centre_y=82 * ones,
        half_width=width,
        half_depth=44 * ones,
        power=2.4,
    )


def _draw_aorta(grid: Grid, habitus: Habitus) -> list[Solid]:
    knob = habitus.knob
    arch = ellipsoid(grid, (122.0, 8.0, 15.0 + 3 * knob), (12.0 + 6 * knob, 32.0, 13.0 + 6 * knob))
    levels = span(grid.axis(0), 122.0, 345.0)
    z = grid.axis(0)[levels]
    descending = stack(
        grid,
        levels,
        centre_x=profile(z, [(122, 22), (180, 21), (260, 15), (345, 4)]) + 4 * (knob - 1),
        centre_y=profile(z, [(122, 30), (160, 46), (300, 42)]),
        half_width=0 * z + 11.5 + 1.5 * knob,
        half_depth=0 * z + 12.0,
        power=2.0,
    )
    return [arch, descending]
