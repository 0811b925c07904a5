"""One prepared image on disk: a `.npy` file that ends in a checksum."""

import hashlib
import io
import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from loguru import logger
from numpy.typing import NDArray

from csi_predictor.errors import ConfigError
from csi_predictor.files import write_bytes
from csi_predictor.specs import InputSpec

PREPARE_VERSION = 1
"""Raise it with each change of `prepare` that changes pixels: older entries are then not found."""

_AFTER_PREPARE = frozenset({"channels", "mean", "std"})
_UNSET: dict[str, Any] = {
    "is_eight_bit": False,
    "processor": None,
    "value_range": None,
    "hu_range": None,
    "spacing_mm": None,
}
"""Fields that came later: they count when set, so that entries made before them stay valid."""
_CHECKSUM_BYTES = 4


def spec_key(spec: InputSpec) -> str:
    """Name of all that decides prepared pixels beside the file: the spec and `PREPARE_VERSION`.

    Channels, mean and std are applied afterwards, so networks that differ only in them share
    entries.
    """
    facts = {
        name: value
        for name, value in spec.to_dict().items()
        if name not in _AFTER_PREPARE and not (name in _UNSET and value == _UNSET[name])
    }
    text = json.dumps({"version": PREPARE_VERSION, **facts}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def write_entry(path: Path, pixels: NDArray[np.float32]) -> None:
    """Write an entry; NumPy can load it too, for it ignores the 4 bytes (CRC-32) at the end.

    Raises:
        ResourceError: The disk is full.
        ConfigError: The folder can't be written.
    """
    buffer = io.BytesIO()
    np.save(buffer, np.ascontiguousarray(pixels, dtype=np.float32), allow_pickle=False)
    array = buffer.getvalue()
    try:
        write_bytes(path, array + zlib.crc32(array).to_bytes(_CHECKSUM_BYTES))
    except OSError as error:
        raise ConfigError(
            f"[DATA] CACHE_DIR: {path.parent} can't be written ({error.strerror}): expected a "
            "folder that you may write, or CACHE = memory or none"
        ) from error


def read_entry(path: Path) -> NDArray[np.float32] | None:
    """The pixels of an entry; None when there is none, or a damaged one (the log says so)."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    array, checksum = content[:-_CHECKSUM_BYTES], content[-_CHECKSUM_BYTES:]
    if not array or zlib.crc32(array).to_bytes(_CHECKSUM_BYTES) != checksum:
        logger.warning("{}: damaged cache entry: the image is prepared again", path)
        return None
    pixels: NDArray[np.float32] = np.load(io.BytesIO(array), allow_pickle=False)
    return pixels
