"""Small pictures of what a network of labels or classes saw: grey, colour, or a volume's middle."""

from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from csi_predictor.reporting.thumbnails import jpeg_of

_LONGEST_EDGE_PX = 320
_QUALITY = 80


def label_jpeg(pixels: NDArray[Any], *, is_volume: bool) -> bytes:
    """A JPEG, at most 320 pixels long, of values from 0 = black to 1 = white.

    Args:
        pixels: (H, W) grey or (3, H, W) colour; of a volume (D, H, W), whose middle slice is shown.
        is_volume: Tells three slices from three colours.

    Raises:
        ValueError: The pixels have another shape.
    """
    if is_volume and pixels.ndim == 3:
        return jpeg_of(pixels[len(pixels) // 2])
    if is_volume or not (pixels.ndim == 2 or (pixels.ndim == 3 and len(pixels) == 3)):
        expected = "(D, H, W)" if is_volume else "(H, W) or (3, H, W)"
        raise ValueError(f"thumbnail has shape {pixels.shape}: expected {expected}")
    return jpeg_of(pixels) if pixels.ndim == 2 else _colour_jpeg(pixels)


def _colour_jpeg(pixels: NDArray[Any]) -> bytes:
    levels = np.clip(np.nan_to_num(pixels), 0, 1) * 255 + 0.5
    picture = Image.fromarray(np.moveaxis(levels.astype(np.uint8), 0, -1))  # (3, H, W) -> (H, W, 3)
    picture.thumbnail((_LONGEST_EDGE_PX, _LONGEST_EDGE_PX), Image.Resampling.LANCZOS)
    buffer = BytesIO()
    picture.save(buffer, format="JPEG", quality=_QUALITY, optimize=True)
    return buffer.getvalue()
