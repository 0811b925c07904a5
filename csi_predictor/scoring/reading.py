"""One file to a picture the network can take, or to its refusal; runs in a child process."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from csi_predictor.data.prepare import Prepared
from csi_predictor.errors import ImageError, ReasonCode
from csi_predictor.files import sha256_of
from csi_predictor.scoring.worklist import WorkItem

Prepare = Callable[[Path], Prepared]
_MOST_HASHED_BYTES = 1 << 30
"""A larger file is refused by its first bytes or its size, sooner than it could be hashed."""


@dataclass(frozen=True)
class Refusal:
    """Why a file isn't scored.

    Attributes:
        reason: The code in `rejected.csv`.
        detail: What was found, without patient data.
        file_sha256: Of the content; empty when it is unreadable or huge.
    """

    reason: ReasonCode
    detail: str
    file_sha256: str = ""


def read_file(item: WorkItem, *, prepare: Prepare) -> Prepared | Refusal:
    """The prepared picture, or why there is none; raises nothing but KeyboardInterrupt."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom's warnings quote values: patient data
            return prepare(item.path)
    except ImageError as error:
        return Refusal(error.reason, error.detail, _hash_or_nothing(item))
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a decoder's Rust panic isn't an Exception
        # the type only: a foreign message can quote the file's values
        return Refusal("FAILED", type(error).__name__, _hash_or_nothing(item))


def _hash_or_nothing(item: WorkItem) -> str:
    if item.size > _MOST_HASHED_BYTES:
        return ""
    try:
        return sha256_of(item.path)
    except OSError:
        return ""
