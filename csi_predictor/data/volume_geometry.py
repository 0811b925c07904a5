"""From a volume's own grid to the network's: resampled, then cropped or padded, plane by plane."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from csi_predictor.data.image import Image
from csi_predictor.errors import ImageError
from csi_predictor.specs import InputSpec

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Taps:
    """How one axis is resampled: each output is a weighted sum of a few inputs.

    Attributes:
        indices: (N, T) of the inputs; where a weight is 0, any.
        weights: (N, T), adding up to 1; all 0 outside the volume, where the output is 0.
    """

    indices: NDArray[np.intp]
    weights: Floats


def axis_taps(length: int, size: int, step: float | None = None) -> Taps:
    """Linear resampling of an axis, antialiased where it is made coarser.

    The kernel is a triangle that reaches as far as one step, at least one input: so do Pillow and
    PyTorch with `antialias=True`; where the grid isn't made coarser it is linear interpolation.
    The resampled axis has the step's exact distance and its middle lies on the input's middle; it
    is then cut or filled up with zeros at both ends.

    Args:
        length: Of the input.
        size: Of the output.
        step: Distance of outputs in inputs; None stretches the whole axis to `size`.
    """
    step = length / size if step is None else step
    resampled = max(round(length / step), 1)
    excess = resampled - size
    start = excess // 2 if excess > 0 else -(-excess // 2)
    places = np.arange(start, start + size)
    centers = (length - 1) / 2 + (places - (resampled - 1) / 2) * step
    reach = max(step, 1.0)
    num_taps = int(2 * reach) + 1
    indices = np.ceil(centers - reach).astype(np.intp)[:, None] + np.arange(num_taps)
    weights = np.maximum(1.0 - np.abs(indices - centers[:, None]) / reach, 0.0)
    weights[(indices < 0) | (indices >= length)] = 0.0
    is_inside = (places >= 0) & (places < resampled)
    weights[is_inside] /= weights[is_inside].sum(axis=1, keepdims=True)
    weights[~is_inside] = 0.0
    return Taps(np.clip(indices, 0, length - 1), weights.astype(np.float32))


def volume_taps(image: Image, spec: InputSpec) -> tuple[Taps, Taps, Taps]:
    """The resampling of D, H and W that brings a volume to the network's spacing and size.

    Raises:
        ImageError: BAD_HEADER where the spec asks for a spacing and the file gives none.
    """
    steps: Sequence[float | None] = (None, None, None)
    if spec.spacing_mm is not None:
        if image.spacing_mm is None:
            raise ImageError(
                image.facts.path,
                "BAD_HEADER",
                "the distance of its voxels is unknown: expected millimetres, or an input without "
                "[DATA] SPACING_MM",
            )
        steps = [
            wanted / found for wanted, found in zip(spec.spacing_mm, image.spacing_mm, strict=True)
        ]
    depth, height, width = (
        axis_taps(length, size, step)
        for length, size, step in zip(image.pixels.shape, spec.size, steps, strict=True)
    )
    return depth, height, width


def resample(plane_at: Callable[[int], Floats], taps: tuple[Taps, Taps, Taps]) -> Floats:
    """(D, H, W) from the planes of a volume, a few of which are in memory at a time.

    Sums are taken in one order whatever the number of threads, so the result is the same to the
    last bit.

    Args:
        plane_at: Gives the plane (H, W) at an index along D.
        taps: Of D, H and W.
    """
    depth, height, width = taps
    size = (len(depth.weights), len(height.weights), len(width.weights))
    volume = np.zeros(size, np.float32)
    for place, (indices, weights) in enumerate(zip(depth.indices, depth.weights, strict=True)):
        if weights.any():
            taken = [(int(i), w) for i, w in zip(indices, weights, strict=True) if w]
            plane = _weighted(plane_at(index) * weight for index, weight in taken)
            volume[place] = _along_columns(_along_rows(plane, height), width)
    return volume


def _along_rows(plane: Floats, taps: Taps) -> Floats:
    return _weighted(
        plane[index] * weight[:, None]
        for index, weight in zip(taps.indices.T, taps.weights.T, strict=True)
    )


def _along_columns(plane: Floats, taps: Taps) -> Floats:
    return _weighted(
        plane[:, index] * weight
        for index, weight in zip(taps.indices.T, taps.weights.T, strict=True)
    )


def _weighted(parts: Iterable[Floats]) -> Floats:
    total: Floats | None = None
    for part in parts:
        total = part if total is None else np.add(total, part, out=total)
    if total is None:
        raise ValueError("no parts: expected one or more")
    return total
