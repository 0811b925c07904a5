"""What earlier runs found out, so that running again does only what is new."""

import errno
import json
import time
from pathlib import Path
from types import TracebackType

from filelock import FileLock, Timeout
from loguru import logger

from csi_predictor.errors import ConfigError, ResourceError
from csi_predictor.files import sha256_of
from csi_predictor.scoring.records import (
    Record,
    RejectedRecord,
    decode_record,
    encode_record,
)
from csi_predictor.scoring.worklist import WorkItem

NAME = "ledger.jsonl"
_LOCK_NAME = ".ledger.lock"
_SETTLED_NS = 2_000_000_000
"""A file touched so lately may change again within its time stamp's grain (FAT's is 2 s)."""
_PASSING_REASONS = frozenset({"FAILED", "NO_PERMISSION", "UNREADABLE"})


class Ledger:
    """One JSON line a file and setup, appended as soon as it is known; a torn line counts as none.

    Use as a context manager: one process at a time works with a folder. A file is known while its
    name, its content (by size and time stamp, else by hash) and the setup are the same. Lines of
    other setups stay, and serve again when that setup comes back.

    Args:
        folder: OUTPUT_DIR.
        setup_sha256: Of model, settings and program.
    """

    def __init__(self, folder: Path, *, setup_sha256: str) -> None:
        self._path = folder / NAME
        self._lock = FileLock(folder / _LOCK_NAME, timeout=0)
        self._setup_sha256 = setup_sha256
        self._known: dict[str, tuple[int, int, Record]] = {}

    def __enter__(self) -> "Ledger":
        """Take the folder and read what is known.

        Raises:
            ConfigError: The folder can't be written, or another process scores into it.
        """
        folder = self._path.parent
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock.acquire()
            self._file = self._path.open("ab+")
        except Timeout as error:
            raise ConfigError(
                f"[SCORING] OUTPUT_DIR = {folder}: another process scores into it: wait for it, or "
                "choose another folder"
            ) from error
        except OSError as error:
            self._lock.release()
            raise ConfigError(
                f"[SCORING] OUTPUT_DIR = {folder}: can't be written ({error.strerror}): expected a "
                "folder that this user may write"
            ) from error
        self._read()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._file.close()
        self._lock.release()

    def find(self, item: WorkItem) -> Record | None:
        """What is known of a file as it is now."""
        size, mtime_ns, record = self._known.get(item.name, (-1, 0, None))
        if record is None or size != item.size:
            return None
        if mtime_ns == item.mtime_ns:
            return record
        try:
            return record if sha256_of(item.path) == record.file_sha256 else None
        except OSError:
            return None  # whoever reads it next says what is wrong

    def book(self, item: WorkItem, record: Record) -> None:
        """Keep what was found out; a failure that may pass isn't kept, so it is tried again.

        Raises:
            ResourceError: The disk is full.
        """
        if isinstance(record, RejectedRecord) and record.reason in _PASSING_REASONS:
            return
        is_settled = time.time_ns() - item.mtime_ns > _SETTLED_NS
        line = {
            "setup_sha256": self._setup_sha256,
            "name": item.name,
            "size": item.size,
            "mtime_ns": item.mtime_ns if is_settled else 0,
            "record": encode_record(record),
        }
        try:
            self._file.write(json.dumps(line).encode() + b"\n")
            self._file.flush()
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise ResourceError(
                f"{self._path}: the disk is full ({error.strerror}): free some space and run it "
                "again; what was found out before is kept"
            ) from error

    def _read(self) -> None:
        """Take over this setup's whole lines, and make the file's end ready to append to."""
        num_others = 0
        line = b""
        self._file.seek(0)
        for line in self._file:
            try:
                values = json.loads(line)
                known = (values["size"], values["mtime_ns"], decode_record(values["record"]))
                if values["setup_sha256"] == self._setup_sha256:
                    self._known[values["name"]] = known
                else:
                    num_others += 1
            except (ValueError, TypeError, KeyError):
                continue  # torn by a kill, or of another version: the file is scored again
        if line and not line.endswith(b"\n"):
            self._file.write(b"\n")
        if num_others and not self._known:
            logger.info("Model, settings or version are new here: every file is scored again")
