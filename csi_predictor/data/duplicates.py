"""Images that are the same under different ids: a leak when they lie in different parts."""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from csi_predictor.data.cache import PreparedCache
from csi_predictor.data.content import hash_file
from csi_predictor.data.manifest import Row
from csi_predictor.data.split import Split
from csi_predictor.errors import ImageError

_HEAD_BYTES = 65536


@dataclass(frozen=True)
class DuplicateGroup:
    """Equal images.

    Attributes:
        file_ids: At least two, sorted.
        parts: The part of each, in the same order; of several folds, in the first that parts them.
        num_patients: How many patients they are said to be of.
    """

    file_ids: tuple[str, ...]
    parts: tuple[str, ...]
    num_patients: int

    @property
    def is_leak(self) -> bool:
        """Whether they lie in different parts."""
        return len(set(self.parts)) > 1


def find_equal_files(rows: Sequence[Row], splits: Sequence[Split]) -> tuple[DuplicateGroup, ...]:
    """Groups of files with equal bytes that lie in different parts or belong to several patients.

    Cheap: only files of equal size and equal first 64 KiB are read in full.
    """
    groups: Iterable[Sequence[Row]] = [rows]
    for key in (_size, _hash_head, hash_file):
        groups = [equal for group in groups for equal in _equal(group, key)]
    return _report(groups, splits)


def find_equal_pixels(
    rows: Sequence[Row], splits: Sequence[Split], cache: PreparedCache
) -> tuple[DuplicateGroup, ...]:
    """Groups of images with equal prepared pixels, as one picture in two formats; see above.

    Reads every image once, from the cache where it is filled.
    """
    hashes = {row.path: hashlib.sha256(cache.get(row).tobytes()).hexdigest() for row in rows}
    return _report(_equal(rows, hashes.__getitem__), splits)


def _equal(rows: Sequence[Row], key: Callable[[Path], Hashable]) -> list[list[Row]]:
    groups: dict[Hashable, list[Row]] = defaultdict(list)
    for row in rows:
        try:
            groups[key(row.path)].append(row)
        except (OSError, ImageError):
            continue  # PreparedCache.fill reports all unreadable files at once
    return [group for group in groups.values() if len(group) > 1]


def _size(path: Path) -> int:
    return path.stat().st_size


def _hash_head(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.sha256(file.read(_HEAD_BYTES)).digest()


def _report(groups: Iterable[Sequence[Row]], splits: Sequence[Split]) -> tuple[DuplicateGroup, ...]:
    part_of = [split.part_of() for split in splits]
    found = []
    for group in groups:
        ids = tuple(sorted(row.file_id for row in group))
        parts = [tuple(part[file_id] for file_id in ids) for part in part_of]
        parting = max(parts, key=lambda each: len(set(each)) > 1)  # the first such, if any
        duplicate = DuplicateGroup(ids, parting, len({row.patient_id for row in group}))
        if duplicate.is_leak or duplicate.num_patients > 1:
            found.append(duplicate)
    return tuple(sorted(found, key=lambda each: each.file_ids))
