"""The stored values of a data set with one grey frame: checked, decoded by the pinned decoder."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import get_frame
from pydicom.uid import UID

from csi_predictor.data.readers.codestreams import FrameSize, frame_size, is_cut
from csi_predictor.data.readers.decoders import DECODERS, DecodingError, decode, decoder_name
from csi_predictor.data.readers.dicom_checks import PixelFormat, pixel_format
from csi_predictor.data.readers.dicom_dataset import Header
from csi_predictor.data.readers.source import Source
from csi_predictor.errors import ImageError

_LIMITS_OF_PADDING = ("PixelPaddingValue", "PixelPaddingRangeLimit")


@dataclass(frozen=True, eq=False)
class StoredFrame:
    """What a frame holds.

    Attributes:
        pixels: (Rows, Columns) stored values, in the integer type of the header.
        padding: Same shape, True where there is no picture; None when there is picture everywhere.
        layout: Size and depth.
        syntax: The transfer syntax that they were coded in.
    """

    pixels: NDArray[Any]
    padding: NDArray[np.bool_] | None
    layout: PixelFormat
    syntax: UID


def read_frame(header: Header, source: Source) -> StoredFrame:
    """The pixels of a data set's first frame.

    Raises:
        ImageError: BAD_HEADER, TOO_LARGE, UNSUPPORTED_TS, TRUNCATED, COLOUR or DECODE_FAILED.
    """
    layout = pixel_format(header, source)
    syntax = _transfer_syntax(header, source)
    _check_frame(header, layout, syntax, source)
    try:
        stored = decode(header.dataset, syntax)
    except DecodingError as error:
        raise ImageError(
            source.path,
            "DECODE_FAILED",
            f"{decoder_name(syntax)} can't decode {syntax.name} pixels ({error})",
        ) from None
    return StoredFrame(stored, _padding(header, layout, stored), layout, syntax)


def _transfer_syntax(header: Header, source: Source) -> UID:
    """The file's transfer syntax; without file meta the one that its bytes are written in."""
    meta = getattr(header.dataset, "file_meta", None)
    syntax = meta.get("TransferSyntaxUID") if meta is not None else None
    if syntax is None:
        is_implicit, is_little = header.dataset.original_encoding
        explicit = "1.2.840.10008.1.2.1" if is_little else "1.2.840.10008.1.2.2"
        syntax = UID("1.2.840.10008.1.2" if is_implicit else explicit)
        header.dataset.file_meta = FileMetaDataset()
        header.dataset.file_meta.TransferSyntaxUID = syntax
    if syntax not in DECODERS:
        raise ImageError(
            source.path,
            "UNSUPPORTED_TS",
            f"(0002,0010) Transfer Syntax UID = {UID(syntax).name}: expected one of "
            f"{', '.join(UID(known).name for known in DECODERS)}",
        )
    return UID(syntax)


def _check_frame(header: Header, layout: PixelFormat, syntax: UID, source: Source) -> None:
    """Hold the pixel data's length, or what its codestream claims, against the header."""
    data = header.dataset.PixelData
    if not syntax.is_encapsulated:
        if len(data) < layout.num_bytes:
            raise _truncated(source, f"{len(data)} bytes of pixels", f"{layout.num_bytes}")
        if len(data) >= 2 * layout.num_bytes + 2:
            raise ImageError(
                source.path,
                "BAD_HEADER",
                f"{len(data)} bytes of pixels: expected {layout.num_bytes} for "
                f"{layout.rows} x {layout.columns} at {layout.bits_allocated} bits",
            )
        return
    try:
        frame = get_frame(data, 0, number_of_frames=1)
        claimed = frame_size(frame, syntax)
    except Exception as error:  # struct.error, ValueError, IndexError: pydicom's and ours
        if header.ends_early:
            raise _truncated(source, "the file's end within the pixels", "all") from None
        raise ImageError(
            source.path,
            "DECODE_FAILED",
            f"the {syntax.name} frame has no readable start ({type(error).__name__})",
        ) from None
    if header.ends_early or is_cut(frame, syntax, layout.num_bytes):
        raise _truncated(source, f"{len(frame)} bytes of a frame without its end", "the end")
    if claimed is not None:
        _check_claim(claimed, layout, source)


def _check_claim(claimed: FrameSize, layout: PixelFormat, source: Source) -> None:
    if claimed.components != 1:
        raise ImageError(
            source.path, "COLOUR", f"a codestream of {claimed.components} components: expected 1"
        )
    found = claimed.rows, claimed.columns
    if found != (layout.rows, layout.columns) or claimed.precision > layout.bits_allocated:
        raise ImageError(
            source.path,
            "BAD_HEADER",
            f"a codestream of {found[0]} x {found[1]} at {claimed.precision} bits: expected "
            f"{layout.rows} x {layout.columns} at up to {layout.bits_allocated} by the header",
        )


def _truncated(source: Source, found: str, expected: str) -> ImageError:
    return ImageError(source.path, "TRUNCATED", f"{found}: expected {expected}")


def _padding(header: Header, layout: PixelFormat, stored: NDArray[Any]) -> NDArray[np.bool_] | None:
    """Where the pixels are padding. Source: PS3.3 C.7.5.1.1.2."""
    limits = [header.integer(keyword) for keyword in _LIMITS_OF_PADDING]
    is_signed = header.integer("PixelRepresentation") == 1
    given = [
        _as_pixel(limit, layout.bits_allocated, is_signed=is_signed)
        for limit in limits
        if limit is not None
    ]
    if limits[0] is None:
        return None
    padding: NDArray[np.bool_] = (stored >= min(given)) & (stored <= max(given))
    return padding if padding.any() else None


def _as_pixel(value: int, bits_allocated: int, *, is_signed: bool) -> int:
    """A value as the pixels' own type has it, of which some files write US for SS or the reverse.

    Source:
        PS3.5 6.2: SS is two's complement.
    """
    if is_signed and value >= 1 << (bits_allocated - 1):
        return value - (1 << bits_allocated)
    return value + (1 << bits_allocated) if value < 0 and not is_signed else value
