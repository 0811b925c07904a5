"""Lungs of a CT: parenchyma, emphysema, vessels, airways, pleural fluid."""

from typing import Final

import numpy as np
from scipy.special import ndtri

from csi_predictor.synthesis.anatomy import APEX_Z_MM, LEFT, RIGHT
from csi_predictor.synthesis.attenuation import AIR_PER_MM, SOFT_TISSUE_PER_MM
from csi_predictor.synthesis.ct_body import AIR_HU, BLOOD_HU, Chest
from csi_predictor.synthesis.ct_strands import paint_strands
from csi_predictor.synthesis.findings_plan import smallest
from csi_predictor.synthesis.grid import Array, Grid, ellipsoid, profile
from csi_predictor.synthesis.habitus import Habitus
from csi_predictor.synthesis.noise import smooth_noise
from csi_predictor.synthesis.strands import tubes
from csi_predictor.synthesis.thorax import Thorax, build_thorax
from csi_predictor.synthesis.vessels import BLOOD

EMPHYSEMA_HU: Final = -985.0
EMPHYSEMA_SHARE: Final = 0.40
"""Largest share of a lung that is drawn destroyed."""

_TREE_SHAPE = (96, 36, 96)
_SMALLEST_BRONCHUS_MM = 1.3


def draw_trees(habitus: Habitus) -> Thorax:
    """The patient's vessels and airways, which don't depend on the grid that they're painted on."""
    return build_thorax(habitus, shape=_TREE_SHAPE)


def draw_parenchyma(grid: Grid, rng: np.random.Generator) -> Array:
    """HU of healthy lung everywhere: inspiration differs, the dependent back is denser."""
    base = rng.uniform(-880.0, -815.0)
    gradient = rng.uniform(0.08, 0.22) * grid.axis(1)[None, :, None]
    uneven = 9.0 * smooth_noise(grid.shape, (10, 14, 14), rng)
    return np.asarray(base + gradient + uneven, dtype=np.float32)


def draw_emphysema(grid: Grid, overlap: float, rng: np.random.Generator) -> Array:
    """Share (D, H, W) of each voxel that is destroyed: many small holes, more above, and bullae."""
    share = rng.uniform(smallest(0.05, 0.20, overlap), EMPHYSEMA_SHARE)
    # The upper lobes lead by about three to one.
    local = np.clip(share * profile(grid.axis(0), [(60, 1.75), (170, 1.1), (320, 0.5)]), 0, 0.9)
    field = 0.75 * smooth_noise(grid.shape, (26, 38, 38), rng)
    field += 0.66 * smooth_noise(grid.shape, (9, 12, 12), rng)
    holes = (field - ndtri(1.0 - local).astype(np.float32)[:, None, None]) * np.float32(2.5) + 0.5
    np.clip(holes, 0.0, 1.0, out=holes)
    for _ in range(int(rng.poisson(2.0))):
        side = RIGHT if rng.random() < 0.5 else LEFT
        radius = rng.uniform(7.0, 20.0)
        centre = (
            APEX_Z_MM + rng.uniform(12.0, 80.0),
            rng.uniform(-40.0, 55.0),
            side * rng.uniform(30.0, 95.0),
        )
        bulla = ellipsoid(grid, centre, (radius, radius, radius))
        part = holes[bulla.box]
        np.maximum(part, bulla.filling, out=part)
    return np.asarray(holes, dtype=np.float32)


def add_vessels(content: Array, chest: Chest, trees: Thorax, rng: np.random.Generator) -> None:
    """Add the vessels of both lungs to what the lungs hold."""
    blood = np.zeros_like(content)
    for side in (RIGHT, LEFT):
        tree = trees.vessels[side]
        strands = tubes(tree.paths_mm, tree.radii_mm, BLOOD, step_mm=1.2)
        blood += paint_strands(strands, chest.grid, rng)
    # Where branches cross they don't add up: blood is no denser than blood.
    content += np.clip(BLOOD_HU - content, 0.0, blood)


def add_airways(hu: Array, chest: Chest, trees: Thorax, rng: np.random.Generator) -> None:
    """Put air into the trachea and the main bronchi."""
    air = np.minimum(paint_strands(trees.airways, chest.grid, rng, copies=6), 0.0)
    hu += np.maximum(air, np.minimum(AIR_HU - hu, 0.0))


def draw_bronchi(chest: Chest, trees: Thorax, side: int, rng: np.random.Generator) -> Array:
    """What air in the bronchi of a lung takes from filled lung around them (D, H, W), in HU.

    Bronchi run beside the arteries, a little narrower.
    """
    tree = trees.vessels[side]
    is_large = tree.radii_mm.max(axis=1) > _SMALLEST_BRONCHUS_MM
    beside = tree.paths_mm[is_large] + np.array([0.0, 2.0, 1.5], np.float32)
    strands = tubes(
        beside, 0.85 * tree.radii_mm[is_large], AIR_PER_MM - SOFT_TISSUE_PER_MM, step_mm=1.0
    )
    return paint_strands(strands, chest.grid, rng)


def draw_crescent(grid: Grid, lung: Array, thickness_mm: float, top_z_mm: float) -> Array:
    """Share (D, H, W) of the lung in each voxel that a layer along its back wall takes up.

    The lung that is left is the old one's outline moved to the front: for one on its back, the
    layer is thickest behind, thins out along the side, and fades upwards.

    Args:
        grid: Where the lung lies.
        lung: (D, H, W) share of each voxel that is lung of one side.
        thickness_mm: Physical thickness at the base.
        top_z_mm: Nominal level where it ends.
    """
    z = grid.axis(0)
    rise = profile(z, [(top_z_mm, 0.0), (top_z_mm + 55.0, 0.55), (top_z_mm + 150.0, 1.0)])
    steps = rise * thickness_mm / grid.spacing_mm[1]
    # What lies before the heart or the dome has lung behind it, and no fluid.
    outline = np.maximum.accumulate(lung[:, ::-1], axis=1)[:, ::-1]
    left = np.zeros_like(lung)
    rows = lung.shape[1]
    for level, step in enumerate(steps):
        whole, part = divmod(float(step), 1.0)
        near, far = min(int(whole), rows), min(int(whole) + 1, rows)
        left[level, : rows - near] += (1.0 - part) * outline[level, near:]
        left[level, : rows - far] += part * outline[level, far:]
    kept = np.divide(left, lung, out=np.ones_like(lung), where=lung > 0.0)
    return np.asarray(1.0 - np.minimum(kept, 1.0), dtype=np.float32)
