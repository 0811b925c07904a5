"""CT volumes as gzipped NIfTI-1 files, stored along several orientations.

Source: nifti1.h of the NIfTI Data Format Working Group, whose byte offsets stand below.
"""

import gzip
import struct
import zlib
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from csi_predictor.files import write_bytes

ORIENTATIONS: Final = ("RAS", "LAS", "LPS", "LPI")
"""Where each axis of a file runs: right or left, anterior or posterior, superior or inferior. Each
is in use: NIfTI's own, dcm2niix's, DICOM's, and DICOM's from the head down."""

_HEADER_BYTES, _DATA_OFFSET = 348, 352
_INT16 = 4
_MM = 2
_SCANNER_ANATOMICAL = 1
_NOTE = slice(148, 228)
_TURNS: Final = {(1, 1, 1): 0, (1, -1, -1): 1, (-1, 1, -1): 2, (-1, -1, 1): 3}
"""Of a rotation with these signs on its diagonal, the part of the quaternion that is 1."""


def write_ct(
    path: Path,
    hu: NDArray[np.int16],
    spacing_mm: tuple[float, float, float],
    *,
    orientation: str,
    note: str,
) -> None:
    """Write a volume whole or not at all.

    Args:
        path: Where, `.nii.gz`; a file there is replaced.
        hu: (D, H, W) in HU; its axes run down, to the back and to the patient's left.
        spacing_mm: Distance of voxels along (D, H, W).
        orientation: One of `ORIENTATIONS`.
        note: Text of the header, at most 79 ASCII characters.

    Raises:
        ResourceError: The disk is full.
    """
    # The volume runs (from the last axis on) to L, P and I; a file axis to another end is turned.
    is_turned = [letter not in "LPI" for letter in orientation]
    steps = tuple(slice(None, None, -1 if turned else 1) for turned in reversed(is_turned))
    stored = np.ascontiguousarray(hu[steps], dtype="<i2")
    # To NIfTI, right, front and up are positive.
    signs = tuple(1 if letter in "RAS" else -1 for letter in orientation)
    header = _header(stored.shape, spacing_mm, signs, note)
    # Noise doesn't compress: level 1 is as small as 9, and the time of writing is left out.
    write_bytes(path, gzip.compress(header + stored.tobytes(), compresslevel=1, mtime=0))


def read_note(path: Path) -> str | None:
    """The text of a header; None where there is no such file, or no whole header in it."""
    try:
        with path.open("rb") as file:
            start = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16).decompress(
                file.read(4096), _HEADER_BYTES
            )
    except (FileNotFoundError, zlib.error):
        return None
    if len(start) < _HEADER_BYTES:
        return None
    return start[_NOTE].rstrip(b"\0").decode("ascii", errors="replace")


def _header(
    shape: tuple[int, ...],
    spacing_mm: tuple[float, float, float],
    signs: tuple[int, ...],
    note: str,
) -> bytes:
    size, steps = shape[::-1], spacing_mm[::-1]
    # A mirror is a turn after the third axis is reversed, which pixdim[0] says.
    handedness = int(np.prod(signs))
    quaternion = [0.0, 0.0, 0.0]
    turn = _TURNS[signs[0], signs[1], signs[2] * handedness]
    if turn:
        quaternion[turn - 1] = 1.0
    # The middle of the volume lies in the scanner's middle.
    offsets = [
        -sign * step * (count - 1) / 2 for sign, step, count in zip(signs, steps, size, strict=True)
    ]
    header = bytearray(_DATA_OFFSET)
    struct.pack_into("<i", header, 0, _HEADER_BYTES)
    struct.pack_into("<8h", header, 40, 3, *size, 1, 1, 1, 1)
    struct.pack_into("<2h", header, 70, _INT16, 16)
    struct.pack_into("<8f", header, 76, handedness, *steps, 0, 0, 0, 0)
    struct.pack_into("<3f", header, 108, _DATA_OFFSET, 1.0, 0.0)
    header[123] = _MM
    header[_NOTE] = note.encode("ascii").ljust(80, b"\0")
    struct.pack_into("<2h", header, 252, _SCANNER_ANATOMICAL, _SCANNER_ANATOMICAL)
    struct.pack_into("<6f", header, 256, *quaternion, *offsets)
    for row, (sign, step, offset) in enumerate(zip(signs, steps, offsets, strict=True)):
        values = [0.0, 0.0, 0.0, offset]
        values[row] = sign * step
        struct.pack_into("<4f", header, 280 + 16 * row, *values)
    header[344:348] = b"n+1\0"
    return bytes(header)
