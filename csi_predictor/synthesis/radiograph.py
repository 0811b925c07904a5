"""From optical depth to the picture a radiologist sees: scatter, noise, detail and tone."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from csi_predictor.synthesis.grid import Array


@dataclass(frozen=True, slots=True)
class Exposure:
    """How a picture was taken and processed.

    Attributes:
        scatter: Scattered light relative to the primary beam's mean behind the patient.
        noise: Standard deviation of the quantum noise in optical depth behind a mean mediastinum.
        blur_px: Standard deviation of the focal spot's and the patient's motion blur, at 512
            pixels.
        brightness: Shift of the tone curve in optical depth; negative is darker.
        contrast: Slope of the tone curve relative to the standard one.
        detail: Strength of the edge enhancement, 0 for none.
    """

    scatter: float
    noise: float
    blur_px: float
    brightness: float
    contrast: float
    detail: float


def draw_exposure(rng: np.random.Generator, *, noise: float) -> Exposure:
    """Draw an exposure; `noise` scales quantum noise and the spread of the tone curve."""
    return Exposure(
        scatter=float(rng.uniform(0.04, 0.14)),
        noise=float(noise * np.exp(rng.normal(-3.7, 0.35))),
        blur_px=float(rng.uniform(0.45, 0.9)),
        brightness=float(rng.normal(0.0, 0.13 * noise)),
        contrast=float(np.exp(rng.normal(0.0, 0.10 * noise))),
        detail=float(rng.uniform(0.5, 1.1)),
    )


def expose(optical_depth: Array, exposure: Exposure, rng: np.random.Generator) -> Array:
    """The processed picture in [0, 1], 1 for dense, of optical depths (rows, columns).

    Beer-Lambert for the primary beam, a broad veil of scatter, Poisson noise in its Gaussian limit,
    the logarithm that every digital detector's processing takes, then detail enhancement and a
    sigmoid tone curve.
    """
    scale = optical_depth.shape[0] / 512
    primary = np.exp(
        -ndimage.gaussian_filter(optical_depth, exposure.blur_px * scale, truncate=3.0)
    )
    veil = smooth(np.minimum(primary, 0.35), 36 * scale)
    light = primary + exposure.scatter * veil
    depth = -np.log(light)
    reference = abdomen_depth(depth)
    # N photons have a relative error 1 / sqrt(N): the noise in depth grows as exp(depth / 2).
    grain = rng.standard_normal(depth.shape, dtype=np.float32)
    depth += exposure.noise * np.exp(0.5 * (depth - reference)) * grain
    return tone(enhance(depth - reference, exposure.detail, scale), exposure)


def abdomen_depth(depth: Array) -> float:
    """Depth of the upper abdomen's middle, which no change of the lungs can touch."""
    rows, columns = depth.shape
    patch = depth[int(0.82 * rows) : int(0.96 * rows), int(0.44 * columns) : int(0.56 * columns)]
    return float(np.median(patch))


def enhance(depth: Array, detail: float, scale: float) -> Array:
    """Flatten broad differences of depth and sharpen fine ones, as unsharp masks do.

    Args:
        depth: (rows, columns) relative to the abdomen's.
        detail: Strength of the sharpening.
        scale: Edge of the picture over 512 pixels.
    """
    broad = smooth(depth, 30 * scale)
    np.maximum(broad, -2.6, out=broad)  # the air beside the patient stays black
    middle = ndimage.gaussian_filter(depth, 3.2 * scale, truncate=2.5)
    return np.asarray(depth - 0.3 * broad + 0.5 * detail * (depth - middle), dtype=np.float32)


def tone(depth: Array, exposure: Exposure) -> Array:
    """Sigmoid tone curve of depth relative to the abdomen's, which comes to lie near 0.86."""
    slope = 1.4 * exposure.contrast
    return np.asarray(
        1.0 / (1.0 + np.exp(-slope * (depth + 1.35 + exposure.brightness))), dtype=np.float32
    )


def smooth(picture: Array, sigma_px: float) -> Array:
    """A broad Gaussian blur, computed on a picture eight times smaller."""
    step = 8 if min(picture.shape) >= 64 and sigma_px > 8 else 1
    if step == 1:
        return np.asarray(ndimage.gaussian_filter(picture, sigma_px), dtype=np.float32)
    rows, columns = (size // step for size in picture.shape)
    small = (
        picture[: rows * step, : columns * step]
        .reshape(rows, step, columns, step)
        .mean(axis=(1, 3))
    )
    small = ndimage.gaussian_filter(small, sigma_px / step)
    zoom = picture.shape[0] / rows, picture.shape[1] / columns
    return np.asarray(
        ndimage.zoom(small, zoom, order=1, grid_mode=True, mode="nearest"), dtype=np.float32
    )
