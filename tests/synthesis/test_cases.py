"""Grades and patients of the embedded data set."""

import numpy as np
import pytest

from csi_predictor.synthesis.cases import Case, plan_cases


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    return plan_cases(count=3000, seed=11, ungradable_fraction=0.04, grade_overlap=1.0)


@pytest.fixture(scope="module")
def grades(cases: list[Case]) -> np.ndarray:
    return np.array([[np.nan if g is None else g for g in case.grades] for case in cases], float)


def test_the_ungradable_share_is_the_one_asked_for(grades: np.ndarray) -> None:
    assert np.isnan(grades).mean() == pytest.approx(0.04, abs=0.01)


def test_no_zone_is_ungradable_when_none_is_asked_for() -> None:
    cases = plan_cases(count=100, seed=2, ungradable_fraction=0.0, grade_overlap=1.0)
    assert all(None not in case.grades for case in cases)


def test_grades_are_spread_as_the_senior_radiologists_of_the_public_brixia_subset(
    grades: np.ndarray,
) -> None:
    # 192 images: mean 1.206 in all; upper .763, mid 1.331, lower 1.523; right 1.316, left 1.095.
    assert np.nanmean(grades) == pytest.approx(1.206, abs=0.08)
    rows = np.nanmean(grades, axis=0).reshape(3, 2)
    assert rows.mean(axis=1) == pytest.approx([0.763, 1.331, 1.523], abs=0.12)
    assert rows.mean(axis=0) == pytest.approx([1.316, 1.095], abs=0.1)


def test_grades_of_one_image_go_together(grades: np.ndarray) -> None:
    whole = grades[~np.isnan(grades).any(axis=1)]
    between = np.corrcoef(whole.T)[np.triu_indices(6, 1)]
    # In the public subset zones correlate with 0.35 to 0.80.
    assert 0.35 < between.min() < between.max() < 0.85


def test_about_a_quarter_of_the_patients_come_twice(cases: list[Case]) -> None:
    patients = {case.patient_id for case in cases}
    assert (len(cases) - len(patients)) / len(patients) == pytest.approx(0.25, abs=0.05)


def test_without_overlap_severity_is_the_grade() -> None:
    for case in plan_cases(count=30, seed=5, ungradable_fraction=0.0, grade_overlap=0.0):
        assert case.severity == pytest.approx(case.grades)
