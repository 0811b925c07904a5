"""Fine structures painted into a coarse volume."""

import numpy as np

from csi_predictor.synthesis.attenuation import WATER_PER_MM
from csi_predictor.synthesis.grid import Array, Grid
from csi_predictor.synthesis.strands import NIB_RADII_MM, Strands

_HU_OF_WATER = 1000.0
_RADII_MM = np.array(NIB_RADII_MM, dtype=np.float32)


def paint_strands(
    strands: Strands, grid: Grid, rng: np.random.Generator, *, copies: int = 2
) -> Array:
    """What strands add to each voxel (D, H, W), in HU.

    Each point is scattered through its ball, so a thin vessel fills the share of a voxel that it
    takes up, and a thick one many voxels.

    Args:
        strands: Points with their content.
        grid: Where to paint.
        rng: For the scattering.
        copies: Scattered points for each point.
    """
    if not len(strands.points_mm):
        return np.zeros(grid.shape, dtype=np.float32)
    count = len(strands.points_mm)
    heading = rng.standard_normal((copies, count, 3), dtype=np.float32)
    reach = np.cbrt(rng.random((copies, count, 1), dtype=np.float32))
    heading *= reach / np.linalg.norm(heading, axis=-1, keepdims=True)
    height, width = _RADII_MM[strands.nib].T
    points = strands.points_mm + heading * np.stack([height, width, width], axis=1)
    where = grid.to_physical(points.reshape(-1, 3)) / np.asarray(grid.spacing_mm, np.float32)
    voxel = np.floor(where + np.asarray(grid.shape, np.float32) / 2).astype(np.int64)
    is_inside = ((voxel >= 0) & (voxel < grid.shape)).all(axis=1)
    index = np.ravel_multi_index(tuple(voxel[is_inside].T), grid.shape)
    content = np.tile(strands.content_mm2, copies)[is_inside]
    # Content is in nominal mm3/mm; the patient's size stretches it.
    volume_mm3 = float(np.prod(grid.spacing_mm) / np.prod(grid.scale)) * copies
    hu = content * np.float32(_HU_OF_WATER / WATER_PER_MM / volume_mm3)
    total = np.bincount(index, weights=hu, minlength=int(np.prod(grid.shape)))
    return np.asarray(total.reshape(grid.shape), dtype=np.float32)
