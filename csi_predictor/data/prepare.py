"""The one way from a file to the network's input, for training, evaluation and scoring alike."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import torch
from numpy.typing import NDArray

from csi_predictor.data.geometry import fit
from csi_predictor.data.image import Image, SourceFacts
from csi_predictor.data.intensity import to_model_range
from csi_predictor.data.official_processor import run_official_processor
from csi_predictor.data.readers import read_image
from csi_predictor.specs import InputSpec


@dataclass(frozen=True, eq=False)
class Prepared:
    """A picture as the network will see it, before channels and normalisation.

    Attributes:
        pixels: (H, W), or (D, H, W) of a volume, float32 in [0, 1].
        facts: Where it came from.
    """

    pixels: NDArray[np.float32]
    facts: SourceFacts


def prepare(
    path: Path,
    spec: InputSpec,
    *,
    max_megapixels: float = 100.0,
    allow_secondary_capture: bool = False,
) -> Prepared:
    """Read one file and bring it to the network's range and size.

    Args:
        path: A DICOM, NIfTI, PNG, JPEG, TIFF or npz file; its content decides, not its name.
        spec: What the network eats.
        max_megapixels: A larger picture is refused before it is decoded.
        allow_secondary_capture: Whether DICOM Secondary Capture counts as a radiograph.

    Raises:
        ImageError: With the reason code of what was found.
        ConfigError: The installed transformers can't run the spec's official processor.
    """
    image = read_image(
        path, max_megapixels=max_megapixels, allow_secondary_capture=allow_secondary_capture
    )
    shown = to_model_range(image, spec)
    return Prepared(_to_size(shown, spec), shown.facts)


def prepare_picture(picture: PIL.Image.Image | NDArray[Any], spec: InputSpec) -> torch.Tensor:
    """A picture in memory, already as it is to be seen -> the network's input.

    The intensity step is for files and left out: 0 stays black and 255 (or 1.0) white, as in the
    networks' own image processors.

    Args:
        picture: (H, W), or (H, W, 3) for a network of three channels: uint8, or float in [0, 1];
            or a Pillow picture of mode L or RGB.
        spec: What the network eats.

    Returns:
        (C, H, W) float32, normalised.

    Raises:
        ValueError: The picture has another shape, type or range.
        ConfigError: The installed transformers can't run the spec's official processor.
    """
    planes = _planes(np.asarray(picture), spec.channels)
    facts = SourceFacts(
        path=Path("picture"),
        format="array",
        sha256="",
        decoder="",
        rows=planes[0].shape[0],
        columns=planes[0].shape[1],
    )
    sized = [_to_size(Image(pixels=plane, facts=facts), spec) for plane in planes]
    return _normalise(torch.from_numpy(np.stack(sized)), spec)


def to_tensor(pixels: NDArray[np.float32], spec: InputSpec) -> torch.Tensor:
    """Prepared pixels -> the network's input: repeated into the channels, minus mean, over std.

    Args:
        pixels: (H, W) grey or (C, H, W) colour for a picture, (D, H, W) for a volume, in [0, 1].
        spec: What the network eats.

    Returns:
        (C, H, W) or (C, D, H, W) float32.
    """
    planes = torch.from_numpy(pixels)
    if planes.ndim == len(spec.size):
        planes = planes[None]  # (...) -> (1, ...)
    return _normalise(planes, spec)


def _to_size(image: Image, spec: InputSpec) -> NDArray[np.float32]:
    """A picture in [0, 1] at the network's size, by the official processor if the spec has one."""
    if spec.processor is not None:
        return np.ascontiguousarray(run_official_processor(image, spec))
    return np.ascontiguousarray(fit(image, spec).pixels)


def _planes(pixels: NDArray[Any], channels: int) -> list[NDArray[np.float32]]:
    """(H, W) or (H, W, 3) -> one or three (H, W) float32 in [0, 1]."""
    is_colour = pixels.ndim == 3 and pixels.shape[2] == channels == 3
    if pixels.ndim != 2 and not is_colour:
        raise ValueError(
            f"a picture of shape {pixels.shape} for {channels} channels: expected (H, W)"
            + (" or (H, W, 3)" if channels == 3 else "")
        )
    if pixels.dtype == np.uint8:
        pixels = pixels / np.float32(255.0)
    elif pixels.dtype.kind != "f" or not ((pixels >= 0) & (pixels <= 1)).all():
        raise ValueError(f"{pixels.dtype} pixels: expected uint8, or float from 0 to 1")
    pixels = pixels.astype(np.float32, copy=False)
    return [pixels[..., index] for index in range(3)] if is_colour else [pixels]


def _normalise(planes: torch.Tensor, spec: InputSpec) -> torch.Tensor:
    channels_first = (-1, *[1] * len(spec.size))
    mean = torch.tensor(spec.mean, dtype=torch.float32).view(channels_first)
    std = torch.tensor(spec.std, dtype=torch.float32).view(channels_first)
    return (planes - mean) / std  # (1 or C, ...) -> (C, ...)
