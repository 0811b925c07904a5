import math
import statistics
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from csi_predictor.data.manifest import Row
from csi_predictor.data.split import Split, folds_by_patient, split_by_patient
from csi_predictor.errors import LabelsError

PARTS = ("train", "val", "test")


def make_row(name: str, patient: str, grade: float = 1.0) -> Row:
    return Row(name, patient, Path(f"{name}.png"), (grade,) * 6)


def graded_rows(num_patients: int, seed: int = 0) -> list[Row]:
    """1 to 3 images a patient, grades as skewed as real ones."""
    rng = np.random.default_rng(seed)
    rows = []
    for patient in range(num_patients):
        severity = rng.beta(1, 2) * 3
        for image in range(rng.integers(1, 4)):
            grades = np.clip(np.round(severity + rng.normal(0, 0.5, 6)), 0, 3)
            rows.append(
                Row(f"i{patient}_{image}", f"p{patient}", Path("x"), tuple(map(float, grades)))
            )
    return rows


def mean_grade(rows: list[Row], file_ids: tuple[str, ...]) -> float:
    return statistics.fmean(
        grade for row in rows if row.file_id in set(file_ids) for grade in row.targets
    )


tables = st.lists(
    st.tuples(st.integers(0, 12), st.sampled_from([0.0, 1.0, 2.0, 3.0, math.nan])),
    min_size=3,
    max_size=40,
).map(lambda cells: [make_row(f"i{n}", f"p{p}", g) for n, (p, g) in enumerate(cells)])


@given(
    tables, st.integers(0, 5), st.sampled_from([(0.15, 0.15), (0.0, 0.2), (0.4, 0.0), (0.3, 0.6)])
)
@settings(deadline=None, max_examples=60)
def test_patients_are_never_in_two_parts__weakness_15(
    rows: list[Row], seed: int, fractions: tuple[float, float]
) -> None:
    num_parts = 1 + sum(fraction > 0 for fraction in fractions)
    if len({row.patient_id for row in rows}) < num_parts:
        with pytest.raises(LabelsError, match="patients can't be split into"):
            split_by_patient(rows, val_fraction=fractions[0], test_fraction=fractions[1], seed=seed)
        return
    split = split_by_patient(rows, val_fraction=fractions[0], test_fraction=fractions[1], seed=seed)
    patients = [
        {row.patient_id for row in rows if row.file_id in getattr(split, part)} for part in PARTS
    ]
    assert patients[0].isdisjoint(patients[1] | patients[2])
    assert patients[1].isdisjoint(patients[2])
    assert sorted(split.train + split.val + split.test) == sorted(row.file_id for row in rows)
    assert [bool(part) for part in (split.val, split.test)] == [f > 0 for f in fractions]
    assert split.train


@given(tables, st.integers(2, 5), st.integers(0, 5))
@settings(deadline=None, max_examples=40)
def test_test_parts_of_folds_are_disjoint_and_cover_all(
    rows: list[Row], folds: int, seed: int
) -> None:
    if len({row.patient_id for row in rows}) < folds:
        return
    splits = folds_by_patient(rows, folds=folds, val_fraction=0, seed=seed)
    tested = [file_id for split in splits for file_id in split.test]
    assert sorted(tested) == sorted(row.file_id for row in rows)
    assert all(split.test for split in splits)
    for split in splits:
        split.check_disjoint(rows)


def test_images_are_shared_out_near_the_fractions() -> None:
    rows = graded_rows(200)
    for seed in range(5):
        split = split_by_patient(rows, val_fraction=0.15, test_fraction=0.15, seed=seed)
        assert len(split.val) / len(rows) == pytest.approx(0.15, abs=0.01)
        assert len(split.test) / len(rows) == pytest.approx(0.15, abs=0.01)


def test_stratification_is_better_than_chance__weakness_15() -> None:
    rows = graded_rows(120)
    overall = mean_grade(rows, tuple(row.file_id for row in rows))
    drawn, random = [], []
    for seed in range(30):
        split = split_by_patient(rows, val_fraction=0.15, test_fraction=0.15, seed=seed)
        drawn.append(mean_grade(rows, split.test) - overall)
        chosen = np.random.default_rng(seed).choice(120, size=18, replace=False)
        patients = {f"p{number}" for number in chosen}
        ids = tuple(row.file_id for row in rows if row.patient_id in patients)
        random.append(mean_grade(rows, ids) - overall)
    assert statistics.pstdev(drawn) < 0.4 * statistics.pstdev(random)
    assert abs(statistics.fmean(drawn)) < 0.05  # and not biased


def test_split_is_the_same_in_any_row_order_and_other_with_another_seed() -> None:
    rows = graded_rows(50)
    split = split_by_patient(rows, val_fraction=0.2, test_fraction=0.2, seed=1)
    assert split == split_by_patient(rows[::-1], val_fraction=0.2, test_fraction=0.2, seed=1)
    assert split != split_by_patient(rows, val_fraction=0.2, test_fraction=0.2, seed=2)


def test_three_patients_fill_three_parts() -> None:
    rows = [make_row(f"i{n}", f"p{n % 3}", float(n % 4)) for n in range(9)]
    split = split_by_patient(rows, val_fraction=0.15, test_fraction=0.15, seed=0)
    assert [len(getattr(split, part)) for part in PARTS] == [3, 3, 3]


def test_too_few_patients_say_what_to_do() -> None:
    rows = [make_row("a", "p"), make_row("b", "p"), make_row("c", "q")]
    with pytest.raises(
        LabelsError,
        match=r"2 patients can't be split into 3 parts: expected at .*"
        r"set VAL_FRACTION or TEST_FRACTION = 0, add images, or check",
    ):
        split_by_patient(rows, val_fraction=0.15, test_fraction=0.15, seed=0)
    with pytest.raises(LabelsError, match=r"split into 4 parts.*set FOLDS to at most 2"):
        folds_by_patient(rows, folds=4, val_fraction=0, seed=0)


def test_folds_differ_little_in_size_and_grade() -> None:
    rows = graded_rows(150)
    splits = folds_by_patient(rows, folds=5, val_fraction=0.15, seed=3)
    sizes = [len(split.test) for split in splits]
    assert max(sizes) - min(sizes) <= 3  # a patient has at most 3 images
    means = [mean_grade(rows, split.test) for split in splits]
    assert max(means) - min(means) < 0.15
    assert all(abs(len(split.val) / len(rows) - 0.15) < 0.02 for split in splits)


def test_folds_leave_something_to_train_on() -> None:
    rows = graded_rows(20)
    with pytest.raises(LabelsError, match=r"VAL_FRACTION = 0.5: with FOLDS = 2 nothing is left"):
        folds_by_patient(rows, folds=2, val_fraction=0.5, seed=0)


def test_leaks_and_lost_images_are_named_by_file_and_never_by_patient() -> None:
    rows = [make_row("a", "Doe"), make_row("b", "Doe"), make_row("c", "Roe"), make_row("d", "Poe")]
    with pytest.raises(LabelsError) as caught:
        Split(("a", "c"), ("b", "c"), ("x",)).check_disjoint(rows)
    assert caught.value.problems == (
        "c is in the split 2 times: expected once",
        "x is in the split and not in the labels table: remove it from one of them",
        "d is in the labels table and not in the split: add it, or name it in EXCLUDED_FILE_IDS",
        "one patient's images are in several parts: a in train, b in val: put them all in one",
    )
