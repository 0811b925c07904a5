"""A NumPy archive -> the picture or volume that it holds."""

import hashlib
import zipfile
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from csi_predictor.data.image import Image, SourceFacts
from csi_predictor.data.readers.source import Source
from csi_predictor.errors import ImageError

_KEYS = ("image", "arr_0")


def read_npz(source: Source) -> Image:
    """The array `image`, else `arr_0`, else the only one: (H, W), or (D, H, W) along LPS.

    Pickled objects are never loaded.

    Raises:
        ImageError: BAD_HEADER, COLOUR, TOO_LARGE, TRUNCATED or DECODE_FAILED.
    """
    stored = _stored(source)
    if stored.dtype.kind not in "iufb":
        raise ImageError(
            source.path, "BAD_HEADER", f"an array of {stored.dtype}: expected real numbers"
        )
    if stored.ndim == 3 and stored.shape[-1] in (3, 4):
        raise ImageError(source.path, "COLOUR", f"shape {stored.shape}: expected no channels")
    if stored.ndim not in (2, 3):
        raise ImageError(
            source.path, "BAD_HEADER", f"shape {stored.shape}: expected (H, W) or (D, H, W)"
        )
    source.check_size(*stored.shape)
    finite = np.isfinite(stored)
    return Image(
        pixels=np.where(finite, stored, 0).astype(np.float32),
        padding=None if finite.all() else ~finite,
        has_integer_pixels=stored.dtype.kind in "iub",
        facts=SourceFacts(
            path=source.path,
            format="npz",
            sha256=hashlib.sha256(source.content).hexdigest(),
            decoder=f"numpy {np.__version__}",
            rows=stored.shape[-2],
            columns=stored.shape[-1],
        ),
    )


def _stored(source: Source) -> NDArray[Any]:
    try:
        with zipfile.ZipFile(BytesIO(source.content)) as archive:
            size = sum(member.file_size for member in archive.infolist())
        if size > source.max_bytes:
            raise ImageError(
                source.path, "TOO_LARGE", f"{size} bytes: expected at most {source.max_bytes}"
            )
        with np.load(BytesIO(source.content), allow_pickle=False) as arrays:
            result: NDArray[Any] = arrays[_key(arrays.files, source)]
            return result
    except ImageError:
        raise
    except zipfile.BadZipFile as error:
        raise ImageError(source.path, "TRUNCATED", "the archive has no whole end") from error
    except Exception as error:  # zipfile lets zlib.error, struct.error and RuntimeError through
        raise ImageError(
            source.path, "DECODE_FAILED", f"the array can't be read ({type(error).__name__})"
        ) from error


def _key(names: list[str], source: Source) -> str:
    for key in _KEYS:
        if key in names:
            return key
    if len(names) == 1:
        return names[0]
    raise ImageError(
        source.path, "BAD_HEADER", f"{len(names)} arrays: expected `image`, `arr_0` or a single one"
    )
