"""One reader a format, chosen by what a file holds, never by its name."""

import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from csi_predictor.data.image import Image
from csi_predictor.data.readers.dicom import read_dicom
from csi_predictor.data.readers.dicom_dataset import is_dicom, read_header
from csi_predictor.data.readers.nifti import is_nifti, read_nifti
from csi_predictor.data.readers.npz import read_npz
from csi_predictor.data.readers.raster import read_raster
from csi_predictor.data.readers.source import Source, max_bytes, read_content

Format = Literal["dicom", "nifti", "npz", "raster"]

KNOWN_EXTENSIONS = (
    ".dcm",
    ".dicom",
    ".nii.gz",
    ".nii",
    ".png",
    ".jpg",
    ".jpeg",
    ".tif",
    ".tiff",
    ".npz",
)
"""Where a folder is searched for an id; a file that holds something else is still read as that."""

_READERS: dict[Format, Callable[[Source], Image]] = {
    "dicom": read_dicom,
    "nifti": read_nifti,
    "npz": read_npz,
    "raster": read_raster,
}

_RASTER_MAGIC = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\x00", b"MM\x00*", b"II+\x00")
_NPZ_MAGIC = b"PK\x03\x04"
_GZIP_MAGIC = b"\x1f\x8b"
_PREFIX_BYTES = 1 << 20


def read_image(
    path: Path, *, max_megapixels: float = 100.0, allow_secondary_capture: bool = False
) -> Image:
    """The stored values of a picture or volume, with all that is needed to show them.

    Args:
        path: A DICOM, NIfTI, PNG, JPEG, TIFF or npz file.
        max_megapixels: A larger picture or volume is refused before it is decoded.
        allow_secondary_capture: Whether DICOM Secondary Capture counts as a radiograph.

    Raises:
        ImageError: With the reason code of what was found.
    """
    content = read_content(path, max_bytes(max_megapixels), _is_known)
    source = Source(
        path=path,
        content=content,
        max_megapixels=max_megapixels,
        allow_secondary_capture=allow_secondary_capture,
    )
    return _READERS[format_of(content) or "raster"](source)


def read_patient_id(path: Path, *, max_megapixels: float = 100.0) -> str | None:
    """DICOM's PatientID from the file's beginning; None in another format or without the attribute.

    Raises:
        ImageError: The file can't be read or is damaged.
    """
    content = read_content(path, max_bytes(max_megapixels), _is_known, prefix_bytes=_PREFIX_BYTES)
    if format_of(content) != "dicom":
        return None
    source = Source(path=path, content=content, max_megapixels=max_megapixels)
    return read_header(source, ("PatientID",)).text("PatientID") or None


def format_of(head: bytes) -> Format | None:
    """The format by a file's first bytes; None when no reader knows it."""
    if is_dicom(head):
        return "dicom"
    if head.startswith(_RASTER_MAGIC):
        return "raster"
    if head.startswith(_NPZ_MAGIC):
        return "npz"
    return "nifti" if is_nifti(_unzipped(head)) else None


def _is_known(head: bytes) -> bool:
    return format_of(head) is not None


def _unzipped(head: bytes) -> bytes:
    if not head.startswith(_GZIP_MAGIC):
        return head
    try:
        return zlib.decompressobj(wbits=zlib.MAX_WBITS | 16).decompress(head, 1024)
    except zlib.error:
        return b""
