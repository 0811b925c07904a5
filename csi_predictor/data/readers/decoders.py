"""Which decoder serves which transfer syntax: one table, pinned, so that the decoder is known.

pydicom would try every plug-in that is installed, python-gdcm too, which ends the whole process on
damaged codestreams. This module is also the plug-in (pydicom's contract: `DECODER_DEPENDENCIES`,
`is_available`, a decode function) that lends it imagecodecs.
"""

from functools import cache
from importlib.metadata import version
from typing import Any, Literal, NamedTuple

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, uid
from pydicom.pixels.decoders.base import DecodeRunner, get_decoder

Plugin = Literal["", "imagecodecs", "pillow", "pylibjpeg"]


class Decoder(NamedTuple):
    """What decodes a transfer syntax.

    Attributes:
        plugin: pydicom's name of it; empty for uncompressed pixels.
        package: The distribution whose version is stamped.
    """

    plugin: Plugin
    package: str


_NATIVE = Decoder("", "pydicom")
_PILLOW = Decoder("pillow", "pillow")
_IMAGECODECS = Decoder("imagecodecs", "imagecodecs")
_OPENJPEG = Decoder("pylibjpeg", "pylibjpeg-openjpeg")

DECODERS: dict[str, Decoder] = {
    uid.ImplicitVRLittleEndian: _NATIVE,
    uid.ExplicitVRLittleEndian: _NATIVE,
    uid.ExplicitVRBigEndian: _NATIVE,
    uid.DeflatedExplicitVRLittleEndian: _NATIVE,
    uid.JPEGBaseline8Bit: _PILLOW,
    uid.JPEGExtended12Bit: _IMAGECODECS,  # Pillow has no 12-bit JPEG
    uid.JPEGLossless: _IMAGECODECS,
    uid.JPEGLosslessSV1: _IMAGECODECS,
    uid.JPEGLSLossless: _IMAGECODECS,
    uid.JPEGLSNearLossless: _IMAGECODECS,
    uid.JPEG2000Lossless: _OPENJPEG,
    uid.JPEG2000: _OPENJPEG,
    uid.HTJ2KLossless: _OPENJPEG,
    uid.HTJ2KLosslessRPCL: _OPENJPEG,
    uid.HTJ2K: _OPENJPEG,
    uid.RLELossless: Decoder("pylibjpeg", "pylibjpeg-rle"),
}

DECODER_DEPENDENCIES = {
    syntax: ("numpy", "imagecodecs")
    for syntax, decoder in DECODERS.items()
    if decoder is _IMAGECODECS
}

_JPEG_LS = (uid.JPEGLSLossless, uid.JPEGLSNearLossless)


class DecodingError(Exception):
    """The pinned decoder refused a frame; the text names its exception's type only."""


def decode(dataset: Dataset, transfer_syntax: str) -> NDArray[Any]:
    """(Rows, Columns) stored values of the first frame, in the integer type of the header.

    Bits above BitsStored, such as old overlays, are cleared, and signed values extended.

    Raises:
        DecodingError: The decoder failed.
    """
    decoder = get_decoder(transfer_syntax)
    plugin = DECODERS[transfer_syntax].plugin
    if plugin == "imagecodecs" and plugin not in decoder.available_plugins:
        decoder.add_plugin(plugin, (__name__, "_decode_frame"))
    try:
        pixels, _ = decoder.as_array(dataset, index=0, raw=True, decoding_plugin=plugin)
    except Exception as error:
        raise DecodingError(type(error).__name__) from None
    except BaseException as error:
        # A panic of pylibjpeg-rle's Rust isn't an Exception, and its type can't be imported.
        if type(error).__name__ != "PanicException":
            raise
        raise DecodingError("PanicException") from None
    result: NDArray[Any] = pixels
    return result


@cache
def decoder_name(transfer_syntax: str) -> str:
    """The decoder's package and version, as stamped on every score."""
    package = DECODERS[transfer_syntax].package
    return f"{package} {version(package)}"


def is_available(transfer_syntax: str) -> bool:
    """Whether imagecodecs was built with the codec. Part of pydicom's plug-in contract."""
    codec = imagecodecs.JPEGLS if transfer_syntax in _JPEG_LS else imagecodecs.JPEG8
    return bool(codec.available)


def _decode_frame(frame: bytes, runner: DecodeRunner) -> bytearray:
    """One frame's bytes in the width of BitsAllocated. Part of pydicom's plug-in contract."""
    if runner.transfer_syntax in _JPEG_LS:
        pixels = imagecodecs.jpegls_decode(frame)
    else:
        pixels = imagecodecs.jpeg8_decode(frame)
    if pixels.shape != (runner.rows, runner.columns):
        raise ValueError(f"decoded to {pixels.shape}")
    # A 16-bit element may hold a codestream of 8 bits or fewer.
    return bytearray(pixels.astype(np.dtype(f"<u{runner.bits_allocated // 8}"), copy=False))
