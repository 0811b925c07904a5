"""The chest of a patient on the back as a CT volume in HU, before anything has befallen it."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from csi_predictor.synthesis.anatomy import (
    APEX_Z_MM,
    CAGE_CENTRE_Y,
    CAGE_HALF_DEPTH,
    CAGE_HALF_WIDTH,
    LEFT,
    RIGHT,
    diaphragm_z_mm,
    draw_body,
    draw_lung,
)
from csi_predictor.synthesis.attenuation import CORTICAL_BONE_PER_MM, SOFT_TISSUE_PER_MM
from csi_predictor.synthesis.bones import (
    RIB_DROP_MM,
    RIB_END_DEGREES,
    rib_paths,
    vertebra_z_mm,
)
from csi_predictor.synthesis.ct_strands import paint_strands
from csi_predictor.synthesis.grid import Array, Grid, Solid, ellipsoid, mix, profile, span, stack
from csi_predictor.synthesis.habitus import Habitus
from csi_predictor.synthesis.mediastinum import draw_mediastinum
from csi_predictor.synthesis.noise import smooth_noise
from csi_predictor.synthesis.strands import join, rib_tube

FIELD_MM: Final = (336.0, 336.0, 336.0)
CENTRE_Z_MM: Final = 198.0
"""Level in the middle of the volume: from above the apices to the upper abdomen."""

AIR_HU: Final = -1000.0
FAT_HU: Final = -100.0
MUSCLE_HU: Final = 50.0
BLOOD_HU: Final = 40.0
LIVER_HU: Final = 60.0
DISC_HU, MARROW_HU, STERNUM_HU, CANAL_HU = 90.0, 260.0, 180.0, 15.0


@dataclass(frozen=True, slots=True)
class Chest:
    """A chest whose lungs are still empty space.

    Attributes:
        grid: Where the volume lies.
        hu: (D, H, W) Hounsfield units of all but the lungs, which show mediastinal fat.
        lungs: For each side (-1 right, 1 left) the share (D, H, W) of each voxel that is lung.
    """

    grid: Grid
    hu: Array
    lungs: dict[int, Array]


def ct_grid(shape: tuple[int, int, int], habitus: Habitus) -> Grid:
    """The grid of a scan; its field is the same for every patient."""
    return Grid(
        shape=shape, extent_mm=FIELD_MM, scale=habitus.scale, centre_mm=(CENTRE_Z_MM, 5.0, 0.0)
    )


def draw_chest(grid: Grid, habitus: Habitus, rng: np.random.Generator) -> Chest:
    """Draw body, bones and mediastinum; the arms are up, out of the field."""
    hu = np.full(grid.shape, AIR_HU, dtype=np.float32)
    trunk, _, _, *breasts = draw_body(grid, habitus)
    muscles = draw_body(grid, habitus, inset_mm=habitus.fat_mm)[0]
    for solid, value in ((trunk, FAT_HU), *((breast, FAT_HU) for breast in breasts)):
        np.maximum(hu[solid.box], _over_air(solid, value), out=hu[solid.box])
    mix(hu, muscles, MUSCLE_HU)
    cage = _draw_cage(grid)
    _fill_cage(hu, cage, grid, habitus, rng)
    heart, column, bed, *aorta = draw_mediastinum(grid, habitus)
    inside = _cut(heart, cage)
    mix(hu, inside, BLOOD_HU)
    for part in aorta:
        mix(hu, part, BLOOD_HU)
    mix(hu, bed, MUSCLE_HU)
    _add_bones(hu, grid, habitus, rng)
    lungs = {}
    for side in (RIGHT, LEFT):
        lung = np.zeros(grid.shape, dtype=np.float32)
        solid = draw_lung(grid, habitus, side)
        lung[solid.box] = solid.filling
        for organ in (heart, column, bed, *aorta):
            lung[organ.box] *= 1.0 - organ.filling
        lungs[side] = lung
    return Chest(grid, hu, lungs)


def _over_air(solid: Solid, value: float) -> Array:
    return np.asarray(AIR_HU + solid.filling * np.float32(value - AIR_HU), dtype=np.float32)


def _draw_cage(grid: Grid) -> Solid:
    levels = span(grid.axis(0), APEX_Z_MM - 4.0, 400.0)
    z = grid.axis(0)[levels]
    return stack(
        grid,
        levels,
        centre_x=0 * z,
        centre_y=profile(z, CAGE_CENTRE_Y),
        half_width=profile(z, CAGE_HALF_WIDTH),
        half_depth=profile(z, CAGE_HALF_DEPTH),
        power=2.6,
    )


def _cut(solid: Solid, cage: Solid) -> Solid:
    """The part of a solid within the rib cage, whose box holds the solid's across and along."""
    box = tuple(
        slice(max(own.start, other.start), min(own.stop, other.stop))
        for own, other in zip(solid.box, cage.box, strict=True)
    )
    parts = [
        each.filling[
            tuple(
                slice(part.start - own.start, part.stop - own.start)
                for part, own in zip(box, each.box, strict=True)
            )
        ]
        for each in (solid, cage)
    ]
    return Solid((box[0], box[1], box[2]), parts[0] * parts[1])


def _fill_cage(
    hu: Array, cage: Solid, grid: Grid, habitus: Habitus, rng: np.random.Generator
) -> None:
    """Mediastinal fat above the diaphragm; below it liver, spleen, stomach in uneven fat."""
    levels, rows, columns = cage.box
    z, y = grid.axis(0)[levels][:, None, None], grid.axis(1)[rows][None, :, None]
    x = grid.axis(2)[columns][None, None, :]
    is_right = x < 0
    dome = np.where(
        is_right, diaphragm_z_mm(habitus, RIGHT, y, x), diaphragm_z_mm(habitus, LEFT, y, x)
    )
    below = np.clip((z - dome) / grid.nominal_spacing_mm() + 0.5, 0.0, 1.0)
    liver = np.clip((35.0 - x - 0.25 * (z - 290.0)) / 8.0, 0.0, 1.0)
    uneven = -45.0 + 35.0 * smooth_noise(cage.filling.shape, (8, 10, 12), rng)
    inside = FAT_HU + below * (uneven + liver * (LIVER_HU - uneven) - FAT_HU)
    part = hu[cage.box]
    part += cage.filling * (inside.astype(np.float32) - part)
    top = habitus.left_dome_z_mm
    for organ, value in (
        (ellipsoid(grid, (top + 48, 42.0, 92.0), (38.0, 26.0, 24.0)), MUSCLE_HU),
        (ellipsoid(grid, (top + 44, -12.0, 62.0), (34.0, 34.0, 34.0)), 20.0),
    ):
        mix(hu, organ, value)
    # On the back the stomach's gas rises to the front.
    bubble = ellipsoid(grid, (top + 44, -24.0, 62.0), (24.0, 19.0, 24.0))
    if habitus.stomach_bubble > 0.2:
        mix(hu, bubble, AIR_HU)


def _add_bones(hu: Array, grid: Grid, habitus: Habitus, rng: np.random.Generator) -> None:
    # Bone thins with age: about a quarter of its mineral from 30 to 90 years.
    density = float(np.interp(habitus.age_years, (30, 90), (1.25, 0.9)))
    wall = density * (CORTICAL_BONE_PER_MM - SOFT_TISSUE_PER_MM)
    ends = np.array(RIB_END_DEGREES) + rng.normal(0, 3, 12)
    drops = np.array(RIB_DROP_MM) * habitus.rib_slope
    ribs = [
        rib_tube(path, wall=wall, core=0.25 * wall)
        for side in (RIGHT, LEFT)
        for path in rib_paths(side, ends, drops)
    ]
    hu += np.minimum(paint_strands(join(ribs), grid, rng, copies=4), 900.0)
    for solid, value in _spine(grid):
        mix(hu, solid, density * value)
    levels = span(grid.axis(0), 95.0, 245.0)
    z = grid.axis(0)[levels]
    front = profile(z, CAGE_CENTRE_Y) - profile(z, CAGE_HALF_DEPTH) - 6.0
    sternum = stack(
        grid,
        levels,
        centre_x=0 * z,
        centre_y=front,
        half_width=profile(z, [(95, 24), (130, 17), (200, 19), (245, 8)]),
        half_depth=0 * z + 6.0,
    )
    mix(hu, sternum, density * STERNUM_HU)


def _spine(grid: Grid) -> list[tuple[Solid, float]]:
    """Vertebrae and discs, the canal, the arches behind it."""
    z = grid.axis(0)
    levels = slice(0, len(z))
    width = profile(z, [(40, 13), (300, 19)])

    def column(y: float, half_width: Array, half_depth: float) -> Solid:
        return stack(
            grid,
            levels,
            centre_x=0 * z,
            centre_y=0 * z + y,
            half_width=half_width,
            half_depth=0 * z + half_depth,
        )

    bodies, discs = column(64.0, width, 14.0), column(64.0, width, 14.0)
    middles = np.array([vertebra_z_mm(number) for number in range(-4, 17)])
    nearest = np.abs(z[:, None] - middles).argmin(axis=1)
    height = np.diff(middles, append=middles[-1] + 26.0)[nearest]
    is_body = np.clip((0.38 * height - np.abs(z - middles[nearest])) / 2.0 + 0.5, 0.0, 1.0)
    bodies.filling[:] *= is_body[:, None, None].astype(np.float32)
    return [
        (discs, DISC_HU),
        (bodies, MARROW_HU),
        (column(92.0, 0.7 * width, 9.0), MARROW_HU),
        (column(84.0, 0 * z + 8.0, 7.0), CANAL_HU),
    ]
