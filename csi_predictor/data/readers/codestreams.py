"""What a compressed frame says of itself, read before any decoder takes memory for it."""

import struct
from typing import NamedTuple

from pydicom.uid import (
    UID,
    JPEG2000TransferSyntaxes,
    JPEGLSTransferSyntaxes,
    JPEGTransferSyntaxes,
    RLELossless,
)

_J2K_START = b"\xff\x4f\xff\x51"
_END_OF_CODESTREAM = b"\xff\xd9"  # EOI of JPEG and JPEG-LS, EOC of JPEG 2000
_NOT_SOF = (0xC4, 0xC8, 0xCC)  # DHT, JPG, DAC lie within the range of the SOF markers
_SOF_OF_JPEG_LS = 0xF7
_STANDALONE = (0x01, *range(0xD0, 0xD9))
_LARGEST_RLE_GAIN = 64


class FrameSize(NamedTuple):
    """Size and depth that a codestream claims."""

    rows: int
    columns: int
    components: int
    precision: int


def frame_size(frame: bytes, transfer_syntax: UID) -> FrameSize | None:
    """What the codestream claims; None where the coding carries no size (RLE).

    Raises:
        ValueError: No size marker where the coding has to have one.

    Source:
        ITU-T T.81 B.2.2 (SOF), T.87 C.2.2 (SOF55), T.800 A.5.1 (SIZ).
    """
    if transfer_syntax in JPEG2000TransferSyntaxes:
        return _j2k_size(frame)
    if transfer_syntax in (*JPEGTransferSyntaxes, *JPEGLSTransferSyntaxes):
        return _jpeg_size(frame)
    return None


def is_cut(frame: bytes, transfer_syntax: UID, num_bytes: int) -> bool:
    """Whether a frame ends early, so that a decoder would fill what is missing.

    Args:
        frame: The codestream.
        transfer_syntax: Its coding.
        num_bytes: Of the decoded frame.
    """
    if transfer_syntax == RLELossless:
        # Two bytes of a replicate run give at most 128 (PS3.5 G.3.1).
        return len(frame) * _LARGEST_RLE_GAIN < num_bytes
    # One end marker, padded to an even length; some writers pad with more.
    return _END_OF_CODESTREAM not in frame[-64:]


def _j2k_size(frame: bytes) -> FrameSize:
    start = frame.find(_J2K_START, 0, 4096)  # a JP2 wrapper before it is wrong but seen
    if start < 0 or len(frame) < start + 43:
        raise ValueError("no SIZ marker at the start of the JPEG 2000 codestream")
    width, height, left, top = struct.unpack_from(">4I", frame, start + 8)
    components, depth = struct.unpack_from(">HB", frame, start + 40)
    return FrameSize(height - top, width - left, components, (depth & 0x7F) + 1)


def _jpeg_size(frame: bytes) -> FrameSize:
    position = 2
    while position + 9 < len(frame):
        if frame[position] != 0xFF:
            break
        marker = frame[position + 1]
        if marker == 0xFF or marker in _STANDALONE:  # fill byte, or a marker without a length
            position += 1 if marker == 0xFF else 2
            continue
        if marker == _SOF_OF_JPEG_LS or (0xC0 <= marker <= 0xCF and marker not in _NOT_SOF):
            precision, rows, columns, components = struct.unpack_from(">BHHB", frame, position + 4)
            return FrameSize(rows, columns, components, precision)
        position += 2 + int(struct.unpack_from(">H", frame, position + 2)[0])
    raise ValueError("no SOF marker in the JPEG codestream")
