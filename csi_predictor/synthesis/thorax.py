"""The procedural thorax: a volume of attenuation, its lungs and zones, its fine structures."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from csi_predictor.synthesis.anatomy import (
    APEX_Z_MM,
    LEFT,
    RIGHT,
    draw_body,
    draw_gas,
    draw_humeral_heads,
    draw_lung,
)
from csi_predictor.synthesis.attenuation import (
    AIR_PER_MM,
    FAT_PER_MM,
    LUNG_PER_MM,
    SOFT_TISSUE_PER_MM,
    TRABECULAR_BONE_PER_MM,
)
from csi_predictor.synthesis.bones import draw_bones
from csi_predictor.synthesis.grid import Array, Grid, Solid, mix
from csi_predictor.synthesis.habitus import Habitus
from csi_predictor.synthesis.mediastinum import draw_mediastinum
from csi_predictor.synthesis.strands import Strands
from csi_predictor.synthesis.vessels import (
    Tree,
    draw_airways,
    grow_tree,
    join_trees,
    scatter_targets,
)

FIELD_OF_VIEW_MM = 400.0
DEPTH_MM = 300.0
SOFT, FAT = SOFT_TISSUE_PER_MM, FAT_PER_MM


@dataclass(frozen=True, slots=True)
class Thorax:
    """A patient before anything has befallen the lungs.

    Attributes:
        grid: Where the volumes lie; (D, H, W) run superior-inferior, anterior-posterior, patient's
            right-left.
        habitus: The body.
        attenuation_per_mm: (D, H, W) linear attenuation of the soft organs with clear lungs, in
            1/mm.
        lung: (D, H, W) share of each voxel that is lung, 0 to 1.
        zones: (D, H, W) 0 outside the lungs, else 1 + the index in `specs.ZONES`.
        zone_levels_mm: For each side (-1 right, 1 left) the four nominal levels that bound its
            three zones.
        bones: The skeleton.
        airways: Trachea and main bronchi.
        vessels: For each side its arteries and veins.
        hila_mm: For each side where its vessels enter, as (z, y, x).
    """

    grid: Grid
    habitus: Habitus
    attenuation_per_mm: Array
    lung: Array
    zones: NDArray[np.uint8]
    zone_levels_mm: dict[int, tuple[float, float, float, float]]
    bones: Strands
    airways: Strands
    vessels: dict[int, Tree]
    hila_mm: dict[int, Array]


def build_thorax(
    habitus: Habitus,
    *,
    shape: tuple[int, int, int] = (192, 72, 192),
    shift_mm: tuple[float, float] = (0.0, 0.0),
) -> Thorax:
    """Draw a patient's thorax with clear lungs.

    Args:
        habitus: The body.
        shape: Voxels of the volume (D, H, W).
        shift_mm: How far the patient stands from the middle of the field of view, (down, to the
            image's right).
    """
    rng = np.random.default_rng((habitus.seed, 0))
    grid = Grid(
        shape=shape,
        extent_mm=(FIELD_OF_VIEW_MM, DEPTH_MM, FIELD_OF_VIEW_MM),
        scale=habitus.scale,
        centre_mm=(204.0 - shift_mm[0], 0.0, -shift_mm[1]),
    )
    volume = _fill_body(grid, habitus)
    lung = np.zeros(shape, dtype=np.float32)
    for side in (RIGHT, LEFT):
        solid = draw_lung(grid, habitus, side)
        lung[solid.box] = np.maximum(lung[solid.box], solid.filling)
    for organ in draw_mediastinum(grid, habitus):
        lung[organ.box] *= 1.0 - organ.filling
    volume += lung * (LUNG_PER_MM - volume)
    for head in draw_humeral_heads(grid):
        mix(volume, head, 1.15 * TRABECULAR_BONE_PER_MM)
    for gas in draw_gas(grid, habitus, rng):
        mix(volume, gas, AIR_PER_MM)
    levels = {side: _zone_levels(habitus, side) for side in (RIGHT, LEFT)}
    hila = {RIGHT: np.array([156, 2, -31], np.float32), LEFT: np.array([147, 4, 33], np.float32)}
    return Thorax(
        grid=grid,
        habitus=habitus,
        attenuation_per_mm=volume,
        lung=lung,
        zones=_label_zones(grid, lung, levels),
        zone_levels_mm=levels,
        bones=draw_bones(habitus),
        airways=draw_airways(hila),
        vessels={side: _grow_vessels(grid, lung, side, hila[side], rng) for side in (RIGHT, LEFT)},
        hila_mm=hila,
    )


def _fill_body(grid: Grid, habitus: Habitus) -> Array:
    volume = np.zeros(grid.shape, dtype=np.float32)
    for solid in draw_body(grid, habitus):
        _raise(volume, solid, FAT)
    for solid in draw_body(grid, habitus, inset_mm=habitus.fat_mm):
        _raise(volume, solid, SOFT)
    return volume


def _raise(volume: Array, solid: Solid, value: float) -> None:
    """Let a solid of at least `value` show where the volume is thinner: a union of bodies."""
    part = volume[solid.box]
    np.maximum(part, solid.filling * np.float32(value), out=part)


def _zone_levels(habitus: Habitus, side: int) -> tuple[float, float, float, float]:
    dome = habitus.right_dome_z_mm if side == RIGHT else habitus.left_dome_z_mm
    base = dome + 0.35 * habitus.dome_height_mm
    third = (base - APEX_Z_MM) / 3
    return APEX_Z_MM, APEX_Z_MM + third, APEX_Z_MM + 2 * third, base


def _label_zones(
    grid: Grid, lung: Array, levels: dict[int, tuple[float, float, float, float]]
) -> NDArray[np.uint8]:
    z, x = grid.axis(0), grid.axis(2)
    label = np.zeros((len(z), len(x)), dtype=np.uint8)
    for side, column in ((RIGHT, x < 0), (LEFT, x >= 0)):
        third = np.digitize(z, levels[side][1:3])
        first = 1 if side == RIGHT else 2
        label[:, column] = (first + 2 * third)[:, None]
    return (lung > 0.5) * label[:, None, :]


def _grow_vessels(
    grid: Grid, lung: Array, side: int, hilum: Array, rng: np.random.Generator
) -> Tree:
    half = slice(0, grid.shape[2] // 2) if side == RIGHT else slice(grid.shape[2] // 2, None)
    axes = (grid.axis(0), grid.axis(1), grid.axis(2)[half])
    arteries = hilum + 0.93 * (scatter_targets(lung[:, :, half], axes, 300, rng) - hilum)
    venous_root = hilum + np.array([22, -6, 0], np.float32)
    veins = venous_root + 0.88 * (scatter_targets(lung[:, :, half], axes, 110, rng) - venous_root)
    upper = np.median(arteries[:, 0]) > arteries[:, 0] + 12
    above = hilum - np.array([7, 0, 0], np.float32)
    return join_trees(
        [
            grow_tree(above, arteries[upper], rng),
            grow_tree(hilum, arteries[~upper], rng),
            grow_tree(venous_root, veins, rng),
        ]
    )
