"""The one way from a file to the network's input, for training, evaluation and scoring alike."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from csi_predictor.data.geometry import fit
from csi_predictor.data.image import SourceFacts
from csi_predictor.data.intensity import to_model_range
from csi_predictor.data.readers import read_image
from csi_predictor.specs import InputSpec


@dataclass(frozen=True, eq=False)
class Prepared:
    """A picture as the network will see it, before channels and normalisation.

    Attributes:
        pixels: (H, W) float32 in [0, 1].
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
    """
    image = read_image(
        path, max_megapixels=max_megapixels, allow_secondary_capture=allow_secondary_capture
    )
    fitted = fit(to_model_range(image, spec), spec)
    return Prepared(np.ascontiguousarray(fitted.pixels), fitted.facts)


def to_tensor(pixels: NDArray[np.float32], spec: InputSpec) -> torch.Tensor:
    """(H, W) in [0, 1] -> (C, H, W) float32: repeated into the channels, minus mean, over std."""
    mean = torch.tensor(spec.mean, dtype=torch.float32).view(-1, 1, 1)
    std = torch.tensor(spec.std, dtype=torch.float32).view(-1, 1, 1)
    return (torch.from_numpy(pixels)[None] - mean) / std  # (1, H, W) -> (C, H, W)
