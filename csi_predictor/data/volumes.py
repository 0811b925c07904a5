"""The one way from a CT volume's files to the network's input, in training and inference alike."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from csi_predictor.data.image import Image
from csi_predictor.data.prepare import Prepared
from csi_predictor.data.readers import read_image
from csi_predictor.data.readers.series import MAX_MEGAVOXELS, read_series
from csi_predictor.data.readers.series_slices import is_dicom_file
from csi_predictor.data.volume_geometry import resample, volume_taps
from csi_predictor.errors import ImageError
from csi_predictor.specs import InputSpec

Floats = NDArray[np.float32]

_AIR_HU = -300
"""Air is -1000, lung about -850, fat -100: every CT of a trunk has voxels below it."""


def prepare_volume(
    path: Path, spec: InputSpec, *, max_megapixels: float = MAX_MEGAVOXELS
) -> Prepared:
    """Read one volume and bring it to the network's range, spacing and size.

    Values are Hounsfield units; those of `hu_range` become 0 and 1, the ones beyond it too. Without
    `hu_range` the spec's percentiles of the valid voxels do. Padding and what is added around the
    volume is 0. With `spacing_mm` the volume is resampled and its middle cut out, without it the
    whole volume is resized; `volume_geometry.axis_taps` says how.

    One volume as stored (float32) and a few planes are in memory.

    Args:
        path: A NIfTI or npz file, a DICOM file of several frames, or a folder of DICOM series.
        spec: Its `size`, `spacing_mm`, `hu_range` and `percentiles` are used.
        max_megapixels: A larger volume is refused before it is decoded; megavoxels.

    Returns:
        Pixels (D, H, W) float32 in [0, 1]: D from the feet to the head, H from front to back, W
        from the patient's right to left.

    Raises:
        ImageError: With the reason code of what was found.
        ValueError: The spec isn't one of volumes.
    """
    _check_spec(spec)
    image = read_volume(path, max_megapixels=max_megapixels)
    low, high = spec.value_range or spec.hu_range or _percentiles(image, spec)
    notes = tuple(_doubts(image, spec))
    pixels = resample(_planes(image, low, high), volume_taps(image, spec))
    np.clip(pixels, 0.0, 1.0, out=pixels)  # sums of weights may pass 1 in the last bit
    if pixels.min() == pixels.max():
        raise ImageError(
            path,
            "CONSTANT_IMAGE",
            f"all voxels are equal after the range from {low:g} to {high:g}: expected contrast",
        )
    return Prepared(pixels, replace(image.facts, notes=(*image.facts.notes, *notes)))


def _doubts(image: Image, spec: InputSpec) -> Iterator[str]:
    """What is allowed and seldom meant, for the log."""
    if spec.hu_range is not None:
        slope, intercept = image.display.rescale_slope, image.display.rescale_intercept
        lowest = float(image.pixels.min()) * slope + intercept
        if lowest > _AIR_HU:
            yield (
                f"no voxel below {_AIR_HU} HU, where CT has air: expected Hounsfield units; is the "
                "rescale missing?"
            )
    if spec.spacing_mm is None:
        return
    if image.spacing_mm is None:
        return
    extent = np.array(image.pixels.shape) * image.spacing_mm
    shares = extent / (np.array(spec.size) * spec.spacing_mm)
    if shares.max() > 2:
        yield "more than half of the volume lies beyond VOLUME_SHAPE at SPACING_MM and is cut off"
    if shares.min() < 0.5:
        yield "the volume fills less than half of VOLUME_SHAPE at SPACING_MM; the rest is padding"


def read_volume(path: Path, *, max_megapixels: float = MAX_MEGAVOXELS) -> Image:
    """The stored values of a volume, along LPS.

    Raises:
        ImageError: With the reason code of what was found; BAD_HEADER for a picture.
    """
    if path.is_dir() or is_dicom_file(path):
        return read_series(path, max_megapixels=max_megapixels)
    image = read_image(path, max_megapixels=max_megapixels)
    if image.pixels.ndim != 3:
        size = " x ".join(map(str, image.pixels.shape))
        raise ImageError(path, "BAD_HEADER", f"a picture of {size}: expected a volume")
    return image


def _check_spec(spec: InputSpec) -> None:
    if len(spec.size) != 3:
        raise ValueError(f"size {spec.size}: expected (D, H, W)")
    if spec.interpolation != "bilinear":
        raise ValueError(f"interpolation {spec.interpolation}: volumes are resampled linearly")


def _percentiles(image: Image, spec: InputSpec) -> tuple[float, float]:
    """The spec's percentiles of the valid voxels, in modality units."""
    stored = image.pixels if image.padding is None else image.pixels[~image.padding]
    if not stored.size:
        raise ImageError(image.facts.path, "CONSTANT_IMAGE", "every voxel is padding")
    slope, intercept = image.display.rescale_slope, image.display.rescale_intercept
    ranks = spec.percentiles if slope > 0 else [100.0 - rank for rank in spec.percentiles]
    low, high = (float(value) * slope + intercept for value in np.percentile(stored, ranks))
    if not high > low:
        raise ImageError(
            image.facts.path,
            "CONSTANT_IMAGE",
            f"percentiles {spec.percentiles} of the voxels are equal: expected contrast",
        )
    return low, high


def _planes(image: Image, low: float, high: float) -> Callable[[int], Floats]:
    """Gives the planes in [0, 1], padding 0."""
    # (stored * slope + intercept - low) / (high - low): whole numbers stay exact up to the division
    slope, intercept = np.float32(image.display.rescale_slope), image.display.rescale_intercept
    span = np.float32(high - low)
    offset = np.float32(low - intercept)

    def plane_at(index: int) -> Floats:
        plane: Floats = (image.pixels[index] * slope - offset) / span
        np.clip(plane, 0.0, 1.0, out=plane)
        if image.padding is not None:
            plane[image.padding[index]] = 0.0
        return plane

    return plane_at
