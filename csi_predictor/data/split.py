"""Parts of the images: train, val and test, or folds, never the same patient in two of them.

A part is drawn by patient and stratified on grade: patients in the order of their mean grade form
small blocks, and each block is dealt out so that every part's share of the *images* stays near the
wanted one. Labels and classes are dealt out label by label (`label_split`). The draw is a SHA-256
of seed and patient, so it is the same on every machine, with every library version and in any order
of the rows.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from csi_predictor.data.label_split import deal_by_labels, draw_lot
from csi_predictor.data.manifest import Row
from csi_predictor.data.table import check_no_problems
from csi_predictor.errors import LabelsError
from csi_predictor.specs import Task

PARTS = ("train", "val", "test")
_LARGEST_BLOCK = 20
"""Patients; a part of under 5 % gets none of some blocks rather than the others a coarse order."""


@dataclass(frozen=True)
class Split:
    """Which images train, which choose the epoch and which only measure.

    Attributes:
        train: File ids, sorted.
        val: File ids, sorted; may be empty.
        test: File ids, sorted; may be empty.
    """

    train: tuple[str, ...]
    val: tuple[str, ...] = ()
    test: tuple[str, ...] = ()

    def part_of(self) -> dict[str, str]:
        """File id -> `train`, `val` or `test`."""
        return {file_id: part for part in PARTS for file_id in getattr(self, part)}

    def check_disjoint(self, rows: Sequence[Row]) -> None:
        """Prove that no image and no patient is in two parts, and that each image is in one.

        Raises:
            LabelsError: With the ids of all files that break the rule, or that one side lacks.
        """
        check_no_problems(list(_split_problems(self, rows)))


def split_by_patient(
    rows: Sequence[Row],
    *,
    val_fraction: float,
    test_fraction: float,
    seed: int,
    task: Task = "csi",
) -> Split:
    """A split of all images.

    Args:
        rows: In any order.
        val_fraction: Share of the images, 0 = none.
        test_fraction: Share of the images, 0 = none; both together below 1.
        seed: Another one gives another draw.
        task: Whether the targets are grades, labels or classes.

    Raises:
        LabelsError: Fewer patients than parts.
    """
    shares = {"test": test_fraction, "val": val_fraction, "train": 1 - val_fraction - test_fraction}
    shares = {part: share for part, share in shares.items() if share > 0}
    patients = _group(rows)
    if len(patients) < len(shares):
        raise LabelsError(_too_few(patients, len(shares), "VAL_FRACTION or TEST_FRACTION = 0"))
    dealt = _deal(patients, shares, f"{seed}", task)
    split = Split(**{part: _file_ids(patients, dealt[part]) for part in shares})
    split.check_disjoint(rows)
    return split


def folds_by_patient(
    rows: Sequence[Row], *, folds: int, val_fraction: float, seed: int, task: Task = "csi"
) -> tuple[Split, ...]:
    """One split a fold: the test parts are disjoint and together all images.

    Args:
        rows: In any order.
        folds: How many, at least 2.
        val_fraction: Share of *all* images, taken from those that aren't the fold's test part.
        seed: Another one gives another draw.
        task: Whether the targets are grades, labels or classes.

    Raises:
        LabelsError: Fewer patients than folds, or too few or too small a rest to train on.
    """
    patients = _group(rows)
    if len(patients) < folds:
        raise LabelsError(_too_few(patients, folds, f"FOLDS to at most {len(patients)}"))
    names = [str(fold) for fold in range(folds)]
    dealt = _deal(patients, dict.fromkeys(names, 1 / folds), f"{seed}", task)
    splits = []
    for name in names:
        test = set(_file_ids(patients, dealt[name]))
        rest = split_by_patient(
            [row for row in rows if row.file_id not in test],
            val_fraction=_share_of_rest(val_fraction, folds),
            test_fraction=0,
            seed=draw_lot(f"{seed}/{name}", "val") % 2**32,
            task=task,
        )
        split = Split(rest.train, rest.val, tuple(sorted(test)))
        split.check_disjoint(rows)
        splits.append(split)
    return tuple(splits)


def _share_of_rest(val_fraction: float, folds: int) -> float:
    share = val_fraction / (1 - 1 / folds)
    if share >= 1:
        raise LabelsError(
            f"[DATA] VAL_FRACTION = {val_fraction:g}: with FOLDS = {folds} nothing is left to "
            f"train on: expected less than {1 - 1 / folds:g}"
        )
    return share


def _group(rows: Sequence[Row]) -> dict[str, list[Row]]:
    patients: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        patients[row.patient_id].append(row)
    return patients


def _too_few(patients: Collection[str], needed: int, remedy: str) -> str:
    return (
        f"{len(patients)} patients can't be split into {needed} parts: expected at least {needed}: "
        f"set {remedy}, add images, or check that the patient column (or DICOM's Patient ID) "
        "really names persons"
    )


def _deal(
    patients: Mapping[str, Sequence[Row]], shares: Mapping[str, float], seed: str, task: Task
) -> dict[str, list[str]]:
    """Part -> its patients; each part with at least one."""
    if task != "csi":
        by_label = deal_by_labels(patients, shares, task=task, seed=seed)
        if all(by_label.values()):
            return by_label
    dealt: dict[str, list[str]] = {part: [] for part in shares}
    num_dealt = dict.fromkeys(shares, 0)
    num_seen = 0
    order = _stratified_order(patients, min(shares.values()), seed)
    for position, patient in enumerate(order):
        num_images = len(patients[patient])
        num_seen += num_images
        empty = [part for part in shares if not dealt[part]]
        open_parts = empty if len(empty) == len(order) - position else list(shares)
        lacking = {part: shares[part] * num_seen - num_dealt[part] for part in open_parts}
        part = max(open_parts, key=lambda each: lacking[each])
        dealt[part].append(patient)
        num_dealt[part] += num_images
    return dealt


def _stratified_order(
    patients: Mapping[str, Sequence[Row]], smallest_share: float, seed: str
) -> list[str]:
    """Blocks of neighbouring mean grade; in a block those with many images first, then by lot."""
    by_grade = sorted(
        patients, key=lambda each: (_mean_grade(patients[each]), draw_lot(seed, each))
    )
    block = min(math.ceil(1 / smallest_share - 1e-9), _LARGEST_BLOCK)
    num_blocks = max(len(by_grade) // block, 1)
    bounds = [len(by_grade) * index // num_blocks for index in range(num_blocks + 1)]
    order: list[str] = []
    for start, stop in pairwise(bounds):
        order += sorted(
            by_grade[start:stop], key=lambda each: (-len(patients[each]), draw_lot(seed, each))
        )
    return order


def _mean_grade(rows: Sequence[Row]) -> float:
    """Over all gradable zones of a patient; infinite, so last, when there is none."""
    grades = [grade for row in rows for grade in row.targets if not math.isnan(grade)]
    return math.fsum(grades) / len(grades) if grades else math.inf


def _file_ids(patients: Mapping[str, Sequence[Row]], names: Sequence[str]) -> tuple[str, ...]:
    return tuple(sorted(row.file_id for name in names for row in patients[name]))


def _split_problems(split: Split, rows: Sequence[Row]) -> Iterator[str]:
    counts = Counter(file_id for part in PARTS for file_id in getattr(split, part))
    part_of = split.part_of()
    known = {row.file_id for row in rows}
    for file_id in sorted(file_id for file_id, count in counts.items() if count > 1):
        yield f"{file_id} is in the split {counts[file_id]} times: expected once"
    for file_id in sorted(counts.keys() - known):
        yield f"{file_id} is in the split and not in the labels table: remove it from one of them"
    for file_id in sorted(known - counts.keys()):
        yield (
            f"{file_id} is in the labels table and not in the split: add it, or name it in "
            "EXCLUDED_FILE_IDS"
        )
    for patient_rows in _group(rows).values():
        files = {row.file_id: part_of[row.file_id] for row in patient_rows if row.file_id in counts}
        if len(set(files.values())) > 1:
            listed = ", ".join(f"{file_id} in {part}" for file_id, part in sorted(files.items()))
            yield f"one patient's images are in several parts: {listed}: put them all in one"
