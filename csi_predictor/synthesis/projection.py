"""Line integrals of volumes and strands along a parallel beam near the frontal direction."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from scipy.interpolate import CubicSpline
from scipy.special import j1

from csi_predictor.synthesis.grid import Array, Grid
from csi_predictor.synthesis.strands import NIB_RADII_MM, Strands


@dataclass(frozen=True, slots=True)
class View:
    """How the patient stands in the beam.

    Attributes:
        rotation_deg: Turn about the long axis; positive turns the patient's left side towards the
            detector.
        tilt_deg: Nod about the left-right axis; positive is lordotic.
        size: (rows, columns) of the picture in pixels over the grid's whole extent.
    """

    rotation_deg: float
    tilt_deg: float
    size: tuple[int, int]


def project_volume(volume: Array, grid: Grid, view: View) -> Array:
    """Optical depth (rows, columns) of a volume (D, H, W) in 1/mm.

    Sheared sums: each frontal slice is shifted by its depth times the tangent of the angle, which
    for parallel rays is exact; the slices' sum is then resampled smoothly to the picture.
    """
    depth_mm, height_mm, width_mm = grid.spacing_mm
    offset = (np.arange(grid.shape[1]) + 0.5) * height_mm - grid.extent_mm[1] / 2
    down = offset * np.tan(np.deg2rad(view.tilt_deg)) / depth_mm
    right = offset * np.tan(np.deg2rad(view.rotation_deg)) / width_mm
    pad = int(np.ceil(max(np.abs(down).max(), np.abs(right).max()))) + 1
    total = np.zeros((grid.shape[0] + 2 * pad, grid.shape[2] + 2 * pad), dtype=np.float32)
    for index in range(grid.shape[1]):
        _add_shifted(total, volume[:, index, :], pad + down[index], pad + right[index])
    cosines = np.cos(np.deg2rad(view.tilt_deg)), np.cos(np.deg2rad(view.rotation_deg))
    total = total[pad:-pad, pad:-pad] * np.float32(height_mm / (cosines[0] * cosines[1]))
    rows = _resampling(grid.shape[0], view.size[0], float(cosines[0]))
    columns = _resampling(grid.shape[2], view.size[1], float(cosines[1]))
    return np.asarray(rows @ total @ columns.T)


def _add_shifted(total: Array, part: Array, down: float, right: float) -> None:
    row, column = int(np.floor(down)), int(np.floor(right))
    below, beside = np.float32(down - row), np.float32(right - column)
    height, width = part.shape
    for step_down, share in ((0, 1 - below), (1, below)):
        for step_right, weight in ((0, share * (1 - beside)), (1, share * beside)):
            if weight > 1e-6:
                first, left = row + step_down, column + step_right
                total[first : first + height, left : left + width] += weight * part


@lru_cache(maxsize=64)
def _resampling(count: int, size: int, cosine: float) -> Array:
    """Cubic interpolation (size, count) from voxels to pixels seen under an angle."""
    pixels = ((np.arange(size) + 0.5) / size - 0.5) / cosine + 0.5
    where = np.clip(pixels * count - 0.5, 0, count - 1)
    return np.asarray(CubicSpline(np.arange(count), np.eye(count))(where), dtype=np.float32)


def project_points(points_mm: Array, grid: Grid, view: View) -> tuple[Array, Array]:
    """Rows (N,) and columns (N,) in fractional pixels of nominal points (N, 3)."""
    physical = grid.to_physical(points_mm)
    turn, nod = np.deg2rad(view.rotation_deg), np.deg2rad(view.tilt_deg)
    down = physical[:, 0] * np.cos(nod) + physical[:, 1] * np.sin(nod)
    right = physical[:, 2] * np.cos(turn) + physical[:, 1] * np.sin(turn)
    rows = (down / grid.extent_mm[0] + 0.5) * view.size[0] - 0.5
    columns = (right / grid.extent_mm[2] + 0.5) * view.size[1] - 0.5
    return rows, columns


def project_strands(strands: Strands, grid: Grid, view: View) -> Array:
    """Optical depth (rows, columns) of strands.

    Points are binned by disc, and each bin is convolved with its disc's exact Fourier transform.
    """
    pixel_mm = grid.extent_mm[0] / view.size[0], grid.extent_mm[2] / view.size[1]
    margin = int(np.ceil(26.0 * max(grid.scale) / min(pixel_mm)))
    canvas = (
        fft.next_fast_len(view.size[0] + 2 * margin, True),
        fft.next_fast_len(view.size[1] + 2 * margin, True),
    )
    rows, columns = project_points(strands.points_mm, grid, view)
    # Content is in nominal mm3/mm; the patient's size stretches lengths, so path lengths too.
    content = strands.content_mm2 * np.float32(np.prod(grid.scale) / (pixel_mm[0] * pixel_mm[1]))
    spectrum: NDArray[np.complex64] | None = None
    for nib in np.unique(strands.nib):
        chosen = strands.nib == nib
        image = _bin(rows[chosen] + margin, columns[chosen] + margin, content[chosen], canvas)
        radii = tuple(
            radius * scale / pixel
            for radius, scale, pixel in zip(
                NIB_RADII_MM[nib], grid.scale[::2], pixel_mm, strict=True
            )
        )
        term = fft.rfft2(image) * _disc_transform(canvas, radii[0], radii[1])
        spectrum = term if spectrum is None else spectrum + term
    if spectrum is None:
        return np.zeros(view.size, dtype=np.float32)
    picture = fft.irfft2(spectrum, s=canvas)[
        margin : margin + view.size[0], margin : margin + view.size[1]
    ]
    return np.asarray(picture, dtype=np.float32)


def _bin(rows: Array, columns: Array, content: Array, canvas: tuple[int, int]) -> Array:
    """Sum of the points' content in a picture, each shared by its four nearest pixels."""
    inside = (rows >= 0) & (rows < canvas[0] - 1) & (columns >= 0) & (columns < canvas[1] - 1)
    rows, columns, content = rows[inside], columns[inside], content[inside]
    top, left = rows.astype(np.int64), columns.astype(np.int64)
    below, beside = rows - top, columns - left
    total = np.zeros(canvas[0] * canvas[1])
    for step_down, share in ((0, 1 - below), (1, below)):
        for step_right, weight in ((0, 1 - beside), (1, beside)):
            index = (top + step_down) * canvas[1] + left + step_right
            total += np.bincount(index, weights=content * share * weight, minlength=total.size)
    return total.reshape(canvas).astype(np.float32)


def _disc_transform(canvas: tuple[int, int], height: float, width: float) -> Array:
    """Fourier transform of an elliptic disc of unit volume by its radii in pixels: 2 J1(q) / q."""
    down = fft.fftfreq(canvas[0]) * height
    right = fft.rfftfreq(canvas[1]) * width
    q = 2 * np.pi * np.sqrt(down[:, None] ** 2 + right[None, :] ** 2)
    radius, transform = _radial_transform(float(np.ceil(q.max())))
    return np.asarray(np.interp(q, radius, transform), dtype=np.float32)


@lru_cache(maxsize=64)
def _radial_transform(reach: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The curve 2 J1(q) / q from 0 to `reach`, finely sampled."""
    q = np.linspace(0.0, reach, int(reach / 0.02) + 2)
    return q, np.divide(2 * j1(q), q, out=np.ones_like(q), where=q > 0)
