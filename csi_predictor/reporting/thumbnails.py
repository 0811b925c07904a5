"""Small pictures for a report."""

import base64
from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Thumbnails = Callable[[str], NDArray[Any]]
"""An image's id -> its pixels, 0 = black to 1 = white."""

HeatPictures = Mapping[str, Sequence[tuple[str, bytes]]]
"""An image's id -> titles and JPEGs of its heat maps."""

_LONGEST_EDGE_PX = 320
_QUALITY = 80


def jpeg_of(pixels: NDArray[Any]) -> bytes:
    """A grey JPEG, at most 320 pixels long, of pixels (H, W) from 0 = black to 1 = white.

    Raises:
        ValueError: The pixels aren't (H, W).
    """
    if pixels.ndim != 2:
        raise ValueError(f"thumbnail has shape {pixels.shape}: expected (H, W)")
    grey = np.clip(np.nan_to_num(pixels), 0, 1) * 255 + 0.5
    picture = Image.fromarray(grey.astype(np.uint8))
    picture.thumbnail((_LONGEST_EDGE_PX, _LONGEST_EDGE_PX), Image.Resampling.LANCZOS)
    buffer = BytesIO()
    picture.save(buffer, format="JPEG", quality=_QUALITY, optimize=True)
    return buffer.getvalue()


def data_uri(content: bytes, kind: str) -> str:
    """`data:image/png;base64,…` of a picture whose kind is `png` or `jpeg`."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"


def heat_cells(heat_maps: HeatPictures, file_id: str) -> list[dict[str, str]]:
    """The heat maps of one image as a template reads them.

    Each JPEG is a pair, whose left half is the plain picture that stands above it anyway: the page
    shows the right half, of this aspect.
    """
    cells = []
    for title, content in heat_maps.get(file_id, ()):
        with Image.open(BytesIO(content)) as pair:
            aspect = f"{pair.width / 2:g} / {pair.height}"
        cells.append({"title": title, "picture": data_uri(content, "jpeg"), "aspect": aspect})
    return cells
