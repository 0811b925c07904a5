"""What is in a file, whatever its name: its SHA-256, remembered between runs."""

import hashlib
import json
import time
from collections.abc import Callable
from pathlib import Path

from loguru import logger

from csi_predictor.errors import ImageError
from csi_predictor.files import sha256_of, write_text

Signature = tuple[int, int, int]
_SETTLED_NS = 2_000_000_000
"""A file touched less than 2 s ago may change again unseen: FAT's time stamps have that grain."""


def hash_file(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal.

    Raises:
        ImageError: The file can't be read.
    """
    try:
        return sha256_of(path)
    except PermissionError as error:
        raise ImageError(path, "NO_PERMISSION", "no permission to read it") from error
    except OSError as error:
        raise ImageError(path, "UNREADABLE", f"can't be read ({error.strerror})") from error


class ContentIndex:
    """Hashes by path, so that a second run doesn't read gigabytes only to hash them.

    A remembered hash is used while the file's size, modification and change time are the same. The
    index only saves time: where it is lost or damaged, files are hashed again.

    Args:
        path: JSON; paths stand in it as hashes, for a file's name may name a patient.
        signature: Size, modification and change time of a file or folder; None = can't be told.
    """

    def __init__(
        self, path: Path, signature: Callable[[Path], Signature | None] | None = None
    ) -> None:
        self._path = path
        self._signature = signature or file_signature
        self._known = _read_index(path)

    def find(self, path: Path) -> str | None:
        """The hash of a file that hasn't changed since it was remembered, else None."""
        size, modified, changed, content = self._known.get(_key(path), (0, 0, 0, ""))
        return content if content and self._signature(path) == (size, modified, changed) else None

    def remember(self, path: Path, content: str) -> None:
        """Keep a file's hash, unless it was touched so lately that it may change unseen."""
        signature = self._signature(path)
        if signature is not None and time.time_ns() - max(signature[1:]) > _SETTLED_NS:
            self._known[_key(path)] = (*signature, content)

    def save(self) -> None:
        """Write the index, together with what other runs wrote meanwhile.

        Raises:
            ResourceError: The disk is full.
        """
        self._known = _read_index(self._path) | self._known
        write_text(self._path, json.dumps(self._known, sort_keys=True))


def _read_index(path: Path) -> dict[str, tuple[int, int, int, str]]:
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
        return {
            str(key): (int(size), int(modified), int(changed), str(content))
            for key, (size, modified, changed, content) in entries.items()
        }
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, AttributeError):
        logger.warning("{}: damaged: the files are hashed again", path)
        return {}


def _key(path: Path) -> str:
    return hashlib.sha256(str(path.absolute()).encode(errors="surrogateescape")).hexdigest()


def file_signature(path: Path) -> Signature | None:
    """Size, modification and change time; None where the file can't be looked at."""
    try:
        facts = path.stat()
    except OSError:
        return None  # whoever reads the file next says what is wrong
    return (facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns)
