"""Images that are the same under different ids: a leak when they lie in different parts."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from csi_predictor.data.content import hash_file
from csi_predictor.data.manifest import Row
from csi_predictor.data.split import Split
from csi_predictor.errors import ImageError

_HEAD_BYTES = 65536


class GivesPixels(Protocol):
    """What gives the pixels of an image: a `PixelStore`, or a set that holds them as published."""

    def get(self, row: Row) -> NDArray[Any]:
        """The pixels of an image."""
        ...


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

    Cheap: only files of equal size and equal first 64 KiB are read in full. Images that share one
    file, as those of an npz set, and folders of slices aren't compared: `find_equal_pixels` does
    that. Leaks come first.
    """
    num_images = Counter(row.path for row in rows)
    groups: Iterable[Sequence[Row]] = [
        [row for row in rows if num_images[row.path] == 1 and not row.path.is_dir()]
    ]
    for key in (_size, _hash_head, hash_file):
        groups = [equal for group in groups for equal in _equal(group, _of_path(key))]
    return _report(groups, splits)


def find_equal_pixels(
    rows: Sequence[Row], splits: Sequence[Split], images: GivesPixels
) -> tuple[DuplicateGroup, ...]:
    """Groups of images with equal pixels, as one picture in two formats; see above.

    Reads every image once, from the cache where it is filled.
    """
    hashes = {row.file_id: hashlib.sha256(images.get(row).tobytes()).digest() for row in rows}
    return _report(_equal(rows, lambda row: hashes[row.file_id]), splits)


def _of_path(key: Callable[[Path], Hashable]) -> Callable[[Row], Hashable]:
    return lambda row: key(row.path)


def _equal(rows: Sequence[Row], key: Callable[[Row], Hashable]) -> list[list[Row]]:
    groups: dict[Hashable, list[Row]] = defaultdict(list)
    for row in rows:
        try:
            groups[key(row)].append(row)
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
    return tuple(sorted(found, key=lambda each: (not each.is_leak, each.file_ids)))
