"""PNG, JPEG and TIFF at their own depth; colour and several pages are refused."""

import hashlib
import warnings
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
import PIL
import PIL.Image
import PIL.ImageOps
from numpy.typing import NDArray

from csi_predictor.data.image import DisplayFacts, Image, SourceFacts
from csi_predictor.data.readers.source import Source
from csi_predictor.errors import ImageError

_FORMATS = ("PNG", "JPEG", "TIFF")
_PNG_MAGIC = b"\x89PNG"
_END_MARKS = {"PNG": b"IEND", "JPEG": b"\xff\xd9"}
_PHOTOMETRIC_TAG = 262
_MIN_IS_WHITE = 0
_TURNED_BY_PILLOW = ("1", "L")


@dataclass(frozen=True, eq=False)
class _Decoded:
    """Pixels (H, W) or (H, W, C) as the file has them, and whether 0 is white."""

    pixels: NDArray[Any]
    format: str
    is_inverted: bool = False


def read_raster(source: Source) -> Image:
    """The grey values of a picture file.

    Channels that are equal everywhere and an opaque alpha channel are dropped; a JPEG is turned as
    its EXIF orientation says; a TIFF's MinIsWhite is a polarity, as MONOCHROME1 is.

    Raises:
        ImageError: COLOUR, MULTI_FRAME, TOO_LARGE, TRUNCATED, BAD_HEADER or DECODE_FAILED.
    """
    decoded = _decode(source)
    pixels = _grey(decoded.pixels, source)
    padding = None
    if pixels.dtype.kind == "f" and not np.isfinite(pixels).all():
        padding = ~np.isfinite(pixels)
        pixels = np.where(padding, 0.0, pixels)
    return Image(
        pixels=np.ascontiguousarray(pixels, np.float32),
        padding=padding,
        has_integer_pixels=pixels.dtype.kind in "iub",
        display=DisplayFacts(is_inverted=decoded.is_inverted),
        facts=SourceFacts(
            path=source.path,
            format=decoded.format.lower(),
            sha256=hashlib.sha256(source.content).hexdigest(),
            decoder=f"pillow {PIL.__version__}",
            rows=pixels.shape[0],
            columns=pixels.shape[1],
        ),
    )


def _decode(source: Source) -> _Decoded:
    try:
        with warnings.catch_warnings():
            # Our own limit is checked on the header; Pillow's warns from 89 megapixels.
            warnings.simplefilter("ignore", PIL.Image.DecompressionBombWarning)
            # Metadata that Pillow can't read have no bearing on the pixels.
            warnings.simplefilter("ignore", UserWarning)
            with PIL.Image.open(BytesIO(source.content), formats=_FORMATS) as picture:
                return _pixels(picture, source)
    except ImageError:
        raise
    except PIL.Image.DecompressionBombError as error:
        raise ImageError(
            source.path, "TOO_LARGE", "more pixels than Pillow decodes: expected fewer"
        ) from error
    except PIL.UnidentifiedImageError as error:
        raise ImageError(
            source.path, "BAD_HEADER", "damaged at its start: expected PNG, JPEG or TIFF"
        ) from error
    except Exception as error:  # Pillow's codecs raise OSError, SyntaxError, ValueError, zlib.error
        raise _undecodable(source, error) from error


def _undecodable(source: Source, error: Exception) -> ImageError:
    if "truncated" in str(error).lower() or "not enough" in str(error).lower():
        return ImageError(source.path, "TRUNCATED", "the picture's data end early")
    return ImageError(
        source.path, "DECODE_FAILED", f"the picture can't be decoded ({type(error).__name__})"
    )


def _pixels(picture: PIL.Image.Image, source: Source) -> _Decoded:
    name = picture.format or ""
    source.check_size(picture.height, picture.width)
    frames = getattr(picture, "n_frames", 1)
    if frames > 1:
        raise ImageError(source.path, "MULTI_FRAME", f"{frames} pages: expected 1")
    if name in _END_MARKS and _END_MARKS[name] not in source.content[-4096:]:
        raise ImageError(source.path, "TRUNCATED", f"no end mark of {name}")
    if _is_deep_png(source) or (
        name == "TIFF" and _bits(picture) > 8 and picture.mode in ("RGB", "RGBA", "LA")
    ):
        # Pillow cuts these to 8 bits, and imagecodecs' PNG aborts the process on damaged files.
        raise ImageError(source.path, "COLOUR", "several 16-bit channels: expected one")
    is_min_white = name == "TIFF" and picture.tag_v2.get(_PHOTOMETRIC_TAG) == _MIN_IS_WHITE  # type: ignore[attr-defined]
    is_inverted = is_min_white and picture.mode not in _TURNED_BY_PILLOW
    turned = PIL.ImageOps.exif_transpose(picture)
    if turned.mode in ("P", "PA"):
        turned = turned.convert("RGBA")
    elif turned.mode in ("CMYK", "YCbCr", "LAB", "HSV"):
        raise ImageError(source.path, "COLOUR", f"{turned.mode} pixels: expected grey")
    return _Decoded(np.asarray(turned), name, is_inverted)


def _is_deep_png(source: Source) -> bool:
    """Whether it is a 16-bit PNG with more than one channel.

    Source: PNG specification 11.2.1 (IHDR): depth at byte 24, colour type at byte 25.
    """
    content = source.content
    return content.startswith(_PNG_MAGIC) and content[24] == 16 and content[25] != 0


def _bits(picture: PIL.Image.Image) -> int:
    bits = picture.tag_v2.get(258, (1,))  # type: ignore[attr-defined]
    return int(max(bits) if isinstance(bits, tuple) else bits)


def _grey(pixels: NDArray[Any], source: Source) -> NDArray[Any]:
    """(H, W) from (H, W) or from channels that say the same."""
    if pixels.ndim == 2:
        return pixels
    channels = pixels.shape[2]
    if channels in (2, 4):
        opaque = np.iinfo(pixels.dtype).max
        if (pixels[..., -1] != opaque).any():
            raise ImageError(source.path, "COLOUR", "transparent pixels: expected opaque grey")
        pixels = pixels[..., :-1]
    if any((pixels[..., 0] != pixels[..., channel]).any() for channel in range(pixels.shape[2])):
        raise ImageError(source.path, "COLOUR", "coloured pixels: expected grey")
    return pixels[..., 0]
