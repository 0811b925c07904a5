"""A published MedMNIST file: its pictures or volumes, their labels and the official split."""

from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np
from loguru import logger
from numpy.typing import NDArray

from csi_predictor.data.download import download as download_file
from csi_predictor.data.label_counts import log_label_counts
from csi_predictor.data.label_rows import warn_of_unknown_ids
from csi_predictor.data.manifest import FILE_AS_PATIENT, Row
from csi_predictor.data.medmnist_file import (
    compare_with_published,
    origin,
    read_images,
    read_labels,
)
from csi_predictor.data.split import PARTS, Split
from csi_predictor.errors import ConfigError, LabelsError
from csi_predictor.medmnist_sets import MedMnistFacts, find_medmnist_set
from csi_predictor.specs import TargetSpec

_FEWEST_DIGITS = 5


class MedMnistSet:
    """An opened file, its structure checked; a part's pictures are read when first asked for.

    Args:
        path: The file.
        facts: What is published of the set.
        size: Edge of its pictures or volumes.
        rows: Of all parts.
        split: The published one.

    Attributes:
        target_spec: `multilabel`, or `multiclass`, also of two and of ordered classes.
    """

    def __init__(
        self, path: Path, facts: MedMnistFacts, size: int, rows: tuple[Row, ...], split: Split
    ) -> None:
        self.path = path
        self.facts = facts
        self.size = size
        self.rows = rows
        self.split = split
        self.target_spec = TargetSpec(
            task=facts.task,
            names=facts.labels,
            num_classes=2 if facts.task == "multilabel" else len(facts.labels),
        )
        self._images: dict[str, NDArray[np.uint8]] = {}

    def images(self, part: str) -> NDArray[np.uint8]:
        """(N, H, W), (N, H, W, 3) or (N, D, H, W) of `train`, `val` or `test`; stays in memory.

        Raises:
            LabelsError: The file is damaged.
        """
        if part not in self._images:
            self._images[part] = read_images(self.path, self.facts, self.size, part)
        return self._images[part]

    def get(self, row: Row) -> NDArray[np.uint8]:
        """(H, W), (H, W, 3) or (D, H, W) as stored; not to be written to.

        Raises:
            LabelsError: The file is damaged.
        """
        part, _, number = row.file_id.partition("_")
        picture: NDArray[np.uint8] = self.images(part)[int(number)]
        return picture


def read_medmnist(
    folder: Path,
    flag: str,
    *,
    size: int = 28,
    download: bool = False,
    offline: bool = False,
    excluded_file_ids: Collection[str] = (),
    is_known: bool = False,
) -> MedMnistSet:
    """The set in a folder's `flag.npz` (28) or `flag_size.npz`, with its structure checked.

    File ids are `train_00000` and so on, in the file's order. The file names no patients, so each
    image is its own. A file with another MD5 than the published one is read all the same, and the
    log warns that figures can't be compared with published ones.

    Args:
        folder: Of the file.
        flag: The set's name, as `pathmnist`.
        size: Edge of its pictures or volumes.
        download: Whether to fetch a missing file into the folder.
        offline: Never ask the network, even so.
        excluded_file_ids: Left out.
        is_known: Whether this run has read it before: it isn't compared with the published file
            again, and nothing is logged.

    Raises:
        ConfigError: There is no such set or size.
        LabelsError: The file is missing, damaged or another one; all that is wrong with it.
        ResourceError: The disk is full.
    """
    facts = find_medmnist_set(flag)
    if size not in facts.sizes:
        raise ConfigError(
            f"[DATA] MEDMNIST_SIZE = {size}: {facts.flag} is published in "
            f"{', '.join(map(str, facts.sizes))}: expected one of them"
        )
    path = folder / facts.file_name(size)
    if not path.is_file():
        _fetch(path, facts, size, is_wanted=download, offline=offline)
    labels = read_labels(path, facts, size)
    rows = _make_rows(path, labels)
    if not is_known:
        compare_with_published(path, facts, size, labels)
        warn_of_unknown_ids(path.name, (row.file_id for row in rows), excluded_file_ids)
    excluded = frozenset(excluded_file_ids)
    rows = tuple(row for row in rows if row.file_id not in excluded)
    found = MedMnistSet(path, facts, size, rows, _published_split(rows))
    if not is_known:
        _log(found)
    return found


def _fetch(path: Path, facts: MedMnistFacts, size: int, *, is_wanted: bool, offline: bool) -> None:
    advice = f"put {facts.file_name(size)} of {origin(facts, size)} there"
    if not is_wanted:
        raise LabelsError(
            f"{path}: no such file: {advice}, or set [DATA] MEDMNIST_DOWNLOAD = true to fetch it"
        )
    if offline:
        raise LabelsError(f"{path}: no such file, and [RUNTIME] OFFLINE = true: {advice}")
    try:
        download_file(facts.address(size), path, md5=facts.published_md5(size))
    except OSError as error:
        raise LabelsError(
            f"{path}: no such file, and the download failed: {error}: run it again to go on with "
            f"it, or {advice}"
        ) from error


def _make_rows(path: Path, labels: Mapping[str, NDArray[np.int64]]) -> tuple[Row, ...]:
    digits = max(_FEWEST_DIGITS, *(len(str(len(values) - 1)) for values in labels.values()))
    return tuple(
        Row(file_id, f"{FILE_AS_PATIENT}{file_id}", path, tuple(targets))
        for part in PARTS
        for number, targets in enumerate(labels[part].astype(np.float64).tolist())
        if (file_id := f"{part}_{number:0{digits}}")
    )


def _published_split(rows: tuple[Row, ...]) -> Split:
    members: dict[str, list[str]] = {part: [] for part in PARTS}
    for row in rows:
        members[row.file_id.partition("_")[0]].append(row.file_id)
    return Split(**{part: tuple(file_ids) for part, file_ids in members.items()})


def _log(found: MedMnistSet) -> None:
    counts = (len(getattr(found.split, part)) for part in PARTS)
    logger.info(
        "{}: {} of size {}: {} train, {} val, {} test; it names no patients, so each image counts "
        "as its own",
        found.path.name,
        found.facts.published_task,
        found.size,
        *counts,
    )
    targets = [row.targets for row in found.rows if row.file_id.startswith("train_")]
    log_label_counts(f"{found.path.name}, train", found.target_spec, targets)
