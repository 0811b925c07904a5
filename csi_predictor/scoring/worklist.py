"""What lies in the folder to score: every entry ends on the list, as work or with its refusal."""

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from csi_predictor.errors import ConfigError, ReasonCode

_LITTER = {
    ".ds_store": "a desktop's own file",
    "thumbs.db": "a desktop's own file",
    "desktop.ini": "a desktop's own file",
    "dicomdir": "an index of DICOM files; the files themselves are listed",
}
_APPLE_DOUBLE = "._"


@dataclass(frozen=True)
class WorkItem:
    """One regular file.

    Attributes:
        name: Path below the root, with forward slashes: what the result tables show.
        path: Where to open it.
        size: Bytes.
        mtime_ns: Last change, nanoseconds since 1970.
    """

    name: str
    path: Path
    size: int
    mtime_ns: int


@dataclass(frozen=True)
class RefusedEntry:
    """An entry that isn't opened, and why."""

    name: str
    reason: ReasonCode
    detail: str


@dataclass(frozen=True)
class Worklist:
    """All that was found, each part by name.

    Attributes:
        items: Files to read.
        refused: Links, special files, folders that can't be listed, a desktop's litter.
        skipped_dirs: Folders of this program's own results; nothing below them was looked at.
    """

    items: tuple[WorkItem, ...]
    refused: tuple[RefusedEntry, ...]
    skipped_dirs: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.items) + len(self.refused)


def list_work(input_dir: Path, *, own_dirs: Iterable[Path] = ()) -> Worklist:
    """The worklist of a folder; links are never followed.

    Args:
        input_dir: The root; may itself be a link.
        own_dirs: Folders where this program writes. One below the root is skipped.

    Raises:
        ConfigError: The root is missing, no folder, can't be listed, holds no file at all, or is
            itself a folder of results.
    """
    root = check_input_dir(input_dir)
    own = {Path(os.path.realpath(folder)) for folder in own_dirs}
    if root in own:
        raise ConfigError(
            f"[SCORING] OUTPUT_DIR = {input_dir}: is INPUT_DIR too, so results would be scored "
            "as images: expected another folder"
        )
    items: list[WorkItem] = []
    refused: list[RefusedEntry] = []
    skipped: list[str] = []
    for found in _walk(root, own):
        match found:
            case WorkItem():
                items.append(found)
            case RefusedEntry():
                refused.append(found)
            case str():
                skipped.append(found)
    if not items and not refused:
        raise ConfigError(
            f"[SCORING] INPUT_DIR = {input_dir}: no file in it: expected DICOM, NIfTI, PNG, JPEG "
            "or TIFF files"
        )
    return Worklist(
        tuple(sorted(items, key=lambda item: item.name)),
        tuple(sorted(refused, key=lambda entry: entry.name)),
        tuple(sorted(skipped)),
    )


def check_input_dir(input_dir: Path) -> Path:
    """The folder's real path.

    Raises:
        ConfigError: It is missing, no folder, or can't be listed.
    """
    if not input_dir.is_dir():
        found = "not a folder" if input_dir.exists() else "no such folder"
        raise ConfigError(
            f"[SCORING] INPUT_DIR = {input_dir}: {found}: expected a folder of images"
        )
    try:
        with os.scandir(input_dir):
            return Path(os.path.realpath(input_dir))
    except OSError as error:
        raise ConfigError(
            f"[SCORING] INPUT_DIR = {input_dir}: can't be listed ({error.strerror}): "
            "expected a folder that this user may read"
        ) from error


def _walk(root: Path, own_dirs: set[Path]) -> Iterator[WorkItem | RefusedEntry | str]:
    """Entries below the root, in no particular order; a `str` is a skipped folder's name."""
    waiting = [root]
    while waiting:
        folder = waiting.pop()
        try:
            with os.scandir(folder) as entries:
                found = list(entries)
        except OSError as error:
            yield _unreadable(_name(folder, root), error)
            continue
        for entry in found:
            path = Path(entry.path)
            if not _is_real_folder(entry):
                yield _file_or_refusal(entry, _name(path, root))
            elif path in own_dirs:
                yield _name(path, root)
            else:
                waiting.append(path)


def _is_real_folder(entry: os.DirEntry[str]) -> bool:
    return entry.is_dir(follow_symlinks=False) and not _is_junction(entry)


def _is_junction(entry: os.DirEntry[str]) -> bool:
    """Windows' links between folders, which Python knows from 3.12 on."""
    return hasattr(entry, "is_junction") and bool(entry.is_junction())


def _file_or_refusal(entry: os.DirEntry[str], name: str) -> WorkItem | RefusedEntry:
    if entry.is_symlink() or _is_junction(entry):
        return RefusedEntry(name, "NOT_AN_IMAGE", "a link; links aren't followed")
    try:
        facts = entry.stat(follow_symlinks=False)
    except OSError as error:
        return _unreadable(name, error)
    if not stat.S_ISREG(facts.st_mode):
        return RefusedEntry(name, "NOT_AN_IMAGE", "a device, pipe or socket, not a file")
    litter = _LITTER.get(entry.name.lower())
    if litter is None and entry.name.startswith(_APPLE_DOUBLE):
        litter = "a desktop's own file"
    if litter is not None:
        return RefusedEntry(name, "NOT_AN_IMAGE", litter)
    return WorkItem(name, Path(entry.path), facts.st_size, facts.st_mtime_ns)


def _unreadable(name: str, error: OSError) -> RefusedEntry:
    reason: ReasonCode = "NO_PERMISSION" if isinstance(error, PermissionError) else "UNREADABLE"
    return RefusedEntry(name, reason, error.strerror or type(error).__name__)


def _name(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()
