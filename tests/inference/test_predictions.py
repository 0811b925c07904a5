"""Grades, CSI and ungradable zones from probabilities, by hand."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from csi_predictor.inference.predictions import Predictions, concatenate, given_grade


def make(
    grade_probs: list[list[list[float]]],
    p_ungradable: list[list[float]],
    targets: list[list[float]],
) -> Predictions:
    count = len(targets)
    return Predictions(
        file_ids=tuple(f"f{i}" for i in range(count)),
        patient_ids=tuple(f"p{i}" for i in range(count)),
        paths=tuple(Path(f"{i}.png") for i in range(count)),
        targets=np.array(targets),
        grade_probs=np.array(grade_probs),
        p_ungradable=np.array(p_ungradable),
    )


def test_the_grade_is_the_rounded_mean_of_its_distribution() -> None:
    probabilities = np.array(
        [
            [1, 0, 0, 0],
            [0.51, 0, 0, 0.49],  # mean 1.47, median 0
            [0.5, 0, 0, 0.5],  # mean 1.5: half up
            [0.3, 0.15, 0.15, 0.4],  # most likely 3, mean 1.65
            [0, 0, 0.4, 0.6],
            [0, 0, 0, 1],
        ],
        dtype=float,
    )
    assert given_grade(probabilities).tolist() == [0, 1, 2, 2, 3, 3]


def test_the_grade_minimises_the_expected_squared_error() -> None:
    probabilities = np.random.default_rng(0).dirichlet(np.ones(4), size=200)
    cost = np.subtract.outer(np.arange(4), np.arange(4)) ** 2
    assert (given_grade(probabilities) == (probabilities @ cost).argmin(axis=1)).all()


def test_the_csi_is_the_mean_of_the_gradable_zones() -> None:
    sure = np.eye(4)
    found = make([[sure[3], sure[1], sure[2]]], [[0.9, 0.1, 0.5]], [[3.0, np.nan, 1.0]])
    assert found.is_ungradable.tolist() == [[True, False, True]]
    assert found.csi.tolist() == [1.0]
    assert found.csi_true.tolist() == [2.0]
    assert found.grades.tolist() == [[3, 1, 2]]


def test_an_image_with_nothing_gradable_has_no_csi__weakness_7() -> None:
    sure = np.eye(4)
    found = make([[sure[0], sure[0]]], [[1.0, 0.7]], [[np.nan, np.nan]])
    assert np.isnan(found.csi).all()
    assert np.isnan(found.csi_true).all()


def test_too_few_gradable_zones_give_no_csi() -> None:
    sure = np.eye(4)
    found = make([[sure[3], sure[1], sure[2]]], [[0.9, 0.1, 0.1]], [[3.0, 1.0, 1.0]])
    assert replace(found, min_gradable_zones=2).csi.tolist() == [1.5]
    assert np.isnan(replace(found, min_gradable_zones=3).csi).all()


def test_pooled_folds_keep_their_order() -> None:
    sure = np.eye(4)
    one = make([[sure[0]], [sure[1]]], [[0.0], [0.1]], [[0.0], [1.0]])
    two = make([[sure[2]]], [[0.2]], [[2.0]])
    both = concatenate([one, two])
    assert both.targets[:, 0].tolist() == [0.0, 1.0, 2.0]
    assert both.p_ungradable[:, 0] == pytest.approx([0.0, 0.1, 0.2])
    assert len(both) == 3
    assert both.take(np.array([2, 0])).grades[:, 0].tolist() == [2, 0]
