"""One published file over HTTP: taken up where it broke off, kept only with the published MD5."""

import errno
import hashlib
import math
from http import HTTPStatus
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from filelock import FileLock
from loguru import logger

from csi_predictor.errors import ResourceError
from csi_predictor.progress import Progress

WORKPLACE = ".download"
"""Beside the file: partial downloads and locks; may be deleted when nothing runs."""

_MIB = 2**20
_TIMEOUT_S = 60.0
_FULL_DISK = (errno.ENOSPC, errno.EDQUOT)


def download(address: str, path: Path, *, md5: str) -> None:
    """Fetch a file, unless another process has fetched it meanwhile.

    Args:
        address: Of the file, http or https.
        path: Where it shall lie.
        md5: Published, hexadecimal.

    Raises:
        OSError: No network, refused, broke off (run again to go on), or another MD5 (it was
            deleted); the text says which.
        ResourceError: The disk is full.
    """
    workplace = path.parent / WORKPLACE
    workplace.mkdir(parents=True, exist_ok=True)
    partial = workplace / f"{path.name}.{md5[:16]}.partial"
    with FileLock(workplace / f"{path.name}.lock"):
        if path.is_file():
            return
        try:
            _receive(address, partial)
        except URLError as error:  # HTTPError is one
            raise OSError(f"{address}: {_reason(error)}") from error
        except HTTPException as error:
            raise OSError(f"{address}: {type(error).__name__} {error}".rstrip()) from error
        except OSError as error:
            if error.errno not in _FULL_DISK:
                raise
            raise ResourceError(
                f"{partial}: the disk is full ({error.strerror}): free some space and run it "
                "again; it goes on from there"
            ) from error
        found = md5_of(partial)
        if found != md5:
            partial.unlink()
            raise OSError(f"{address} arrived with MD5 {found}: expected {md5}: it was deleted")
        partial.replace(path)


def md5_of(path: Path) -> str:
    """Hexadecimal MD5 of a file's content, to be compared with a published one."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _receive(address: str, partial: Path) -> None:
    """Fetch what the partial file still lacks."""
    present = partial.stat().st_size if partial.is_file() else 0
    request = Request(address, headers={"Range": f"bytes={present}-"} if present else {})
    try:
        answer = urlopen(request, timeout=_TIMEOUT_S)
    except HTTPError as error:
        if error.code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            return  # nothing is lacking
        raise
    with answer:
        is_resumed = answer.status == HTTPStatus.PARTIAL_CONTENT
        start = present if is_resumed else 0
        size = int(answer.headers.get("Content-Length") or 0)
        logger.info(
            "Downloading {}: {:.1f} MiB{}",
            address,
            (start + size) / _MIB,
            f", of which {start / _MIB:.1f} are here" if start else "",
        )
        with (
            partial.open("ab" if is_resumed else "wb") as file,
            Progress(partial.name, math.ceil(size / _MIB), unit="MiB") as progress,
        ):
            while chunk := answer.read(_MIB):
                file.write(chunk)
                progress.advance()
    received = partial.stat().st_size - start
    if received < size:
        raise OSError(f"{address}: broke off after {received} of {size} bytes")


def _reason(error: URLError) -> str:
    if isinstance(error, HTTPError):
        return f"answered {error.code} {error.reason}"
    return str(error.reason)
