"""Folds of labels: whole patients, and rare labels in every part."""

import math
from pathlib import Path

import numpy as np
import pytest

from csi_predictor.data.label_split import deal_by_labels
from csi_predictor.data.manifest import Row
from csi_predictor.data.split import folds_by_patient, split_by_patient


def row(index: int, *targets: float, patient: str = "") -> Row:
    return Row(f"r{index}", patient or f"p{index}", Path("x.png"), targets)


def random_rows(prevalence: list[float], count: int, seed: int = 0) -> list[Row]:
    truth = np.random.default_rng(seed).random((count, len(prevalence))) < prevalence
    return [row(index, *map(float, line)) for index, line in enumerate(truth)]


def test_ten_positives_of_a_rare_label_are_two_in_each_of_five_folds() -> None:
    rows = [row(index, float(index < 10), float(index % 2)) for index in range(100)]
    for split in folds_by_patient(rows, folds=5, val_fraction=0, seed=1, task="multilabel"):
        test = [each for each in rows if each.file_id in split.test]
        assert [sum(each.targets[k] for each in test) for k in (0, 1)] == [2, 10]
        assert len(test) == 20


def test_every_label_is_near_its_share_in_every_fold() -> None:
    rows = random_rows([0.03, 0.1, 0.3, 0.5], 400)
    total = np.sum([each.targets for each in rows], axis=0)
    for split in folds_by_patient(rows, folds=5, val_fraction=0, seed=7, task="multilabel"):
        counts = np.sum([each.targets for each in rows if each.file_id in split.test], axis=0)
        assert (np.abs(counts - total / 5) <= 2).all()


def test_classes_are_stratified() -> None:
    rows = [row(index, float(index % 10 == 0)) for index in range(100)]
    split = split_by_patient(rows, val_fraction=0.2, test_fraction=0.2, seed=3, task="multiclass")
    by_id = {each.file_id: each for each in rows}
    assert [sum(by_id[i].targets[0] for i in part) for part in (split.val, split.test)] == [2, 2]
    assert [len(part) for part in (split.train, split.val, split.test)] == [60, 20, 20]


def test_a_patient_stays_whole_and_unknown_labels_count_not() -> None:
    rows = [
        row(index, 1.0 if index % 3 else math.nan, float(index % 2), patient=f"p{index // 4}")
        for index in range(80)
    ]
    splits = folds_by_patient(rows, folds=4, val_fraction=0.1, seed=5, task="multilabel")
    for split in splits:
        split.check_disjoint(rows)
    assert sorted(i for split in splits for i in split.test) == sorted(r.file_id for r in rows)


def test_the_draw_depends_on_the_seed_and_not_on_the_order_of_the_rows() -> None:
    rows = random_rows([0.1, 0.4], 60)
    first, other, again = (
        folds_by_patient(given, folds=3, val_fraction=0, seed=seed, task="multilabel")
        for given, seed in ((rows, 1), (rows, 2), (rows[::-1], 1))
    )
    assert first == again != other


@pytest.mark.parametrize("task", ["multilabel", "multiclass"])
def test_no_part_is_left_without_patients(task: str) -> None:
    rows = [row(index, 1.0) for index in range(4)]
    split = split_by_patient(rows, val_fraction=0.05, test_fraction=0.05, seed=0, task=task)
    assert all((split.train, split.val, split.test))


def test_patients_without_a_label_fill_up_what_lacks() -> None:
    patients = {f"p{i}": [row(i, 0.0)] for i in range(10)}
    dealt = deal_by_labels(patients, {"a": 0.7, "b": 0.3}, task="multilabel", seed="0")
    assert {part: len(names) for part, names in dealt.items()} == {"a": 7, "b": 3}
