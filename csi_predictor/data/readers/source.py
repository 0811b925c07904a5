"""One file's bytes, read once and bounded, and the rules under which it is read."""

import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from csi_predictor.errors import ImageError

_HEAD_BYTES = 4096
_BYTES_PER_PIXEL = 4
_HEADER_BYTES = 64 << 20


@dataclass(frozen=True, kw_only=True)
class Source:
    """A file's content and the rules under which it is read.

    Attributes:
        path: For messages only: the content alone decides how it is read.
        content: The whole file.
        max_megapixels: A larger picture or volume is refused before it is decoded.
        allow_secondary_capture: Whether DICOM Secondary Capture counts as a radiograph.
    """

    path: Path
    content: bytes
    max_megapixels: float
    allow_secondary_capture: bool = False

    @property
    def max_bytes(self) -> int:
        """Largest uncompressed content that a picture of `max_megapixels` can need."""
        return max_bytes(self.max_megapixels)

    def check_size(self, *shape: int) -> None:
        """Refuse a picture by its header, before memory is taken for it.

        Raises:
            ImageError: BAD_HEADER for a side below 1, TOO_LARGE above `max_megapixels`.
        """
        found = " x ".join(map(str, shape))
        if min(shape) < 1:
            raise ImageError(self.path, "BAD_HEADER", f"size {found}: expected 1 or more")
        pixels = 1
        for side in shape:
            pixels *= int(side)
        if pixels > self.max_megapixels * 1e6:
            raise ImageError(
                self.path,
                "TOO_LARGE",
                f"size {found}: expected at most {self.max_megapixels:g} megapixels",
            )


def max_bytes(max_megapixels: float) -> int:
    """Bytes of a picture of that size at 32 bits a pixel, and room for its header."""
    return int(max_megapixels * 1e6) * _BYTES_PER_PIXEL + _HEADER_BYTES


def read_content(
    path: Path,
    limit: int,
    is_wanted: Callable[[bytes], bool],
    *,
    prefix_bytes: int | None = None,
) -> bytes:
    """The content of a file whose first bytes are wanted.

    Args:
        path: A regular file.
        limit: Bytes above which the file is refused.
        is_wanted: Asked with the first bytes, so that a film isn't read to be refused.
        prefix_bytes: Read no more than about this much; None reads all.

    Raises:
        ImageError: NO_PERMISSION, UNREADABLE, NOT_AN_IMAGE or TOO_LARGE.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise ImageError(path, "UNREADABLE", "not a regular file")
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
            if not is_wanted(head):
                found = "no known picture format" if head else "an empty file"
                raise ImageError(
                    path, "NOT_AN_IMAGE", f"{found}: expected DICOM, NIfTI, PNG, JPEG, TIFF or npz"
                )
            if status.st_size > limit:
                raise ImageError(
                    path, "TOO_LARGE", f"{status.st_size} bytes: expected at most {limit}"
                )
            # Python takes memory for all that is asked for, before it reads.
            wanted = status.st_size if prefix_bytes is None else prefix_bytes
            return head + file.read(wanted)
    except PermissionError as error:
        raise ImageError(path, "NO_PERMISSION", "the file may not be read") from error
    except OSError as error:
        raise ImageError(path, "UNREADABLE", error.strerror or type(error).__name__) from error
