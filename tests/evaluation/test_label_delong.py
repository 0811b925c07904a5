from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from csi_predictor.evaluation.label_delong import areas_of, delong_block
from csi_predictor.inference.label_predictions import LabelPredictions
from csi_predictor.metrics.delong import logit_interval, roc_areas
from csi_predictor.specs import TargetSpec


def make_labels(targets, probs, *, patients=None, task="multilabel") -> LabelPredictions:
    ids = tuple(f"image{index}" for index in range(len(probs)))
    names = tuple("abcd"[: probs.shape[1]])
    return LabelPredictions(
        file_ids=ids,
        patient_ids=ids if patients is None else patients,
        paths=tuple(map(Path, ids)),
        target_spec=TargetSpec(task=task, names=names, num_classes=len(names)),
        targets=targets,
        probs=probs,
    )


@pytest.fixture
def tables() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(4)
    targets = (rng.random((80, 2)) < 0.4).astype(float)
    probs = np.clip(0.3 * targets + 0.7 * rng.random((80, 2)), 0, 1)
    targets[rng.random((80, 2)) < 0.1] = np.nan
    return targets, probs


def test_the_interval_is_delongs_over_the_known_answers(tables) -> None:
    targets, probs = tables
    found = delong_block(make_labels(targets, probs))
    for k, name in enumerate("ab"):
        known = np.isfinite(targets[:, k])
        areas = roc_areas(targets[known, k] == 1, probs[None, known, k])
        assert areas.values[0] == pytest.approx(roc_auc_score(targets[known, k], probs[known, k]))
        expected = logit_interval(areas.values[0], areas.covariance[0, 0])
        ends = found[name]["auroc_delong_ci_low"], found[name]["auroc_delong_ci_high"]
        assert ends == pytest.approx(expected)
        normal = areas.values[0] + stats.norm.ppf([0.025, 0.975]) * np.sqrt(areas.covariance[0, 0])
        assert ends == pytest.approx(normal, abs=0.03)


def test_images_of_one_patient_dont_count_as_several(tables) -> None:
    targets, probs = tables
    once = delong_block(make_labels(targets, probs))
    patients = tuple(f"p{index % 80}" for index in range(240))
    copies = np.tile(targets, (3, 1)), np.tile(probs, (3, 1))
    by_patient = delong_block(make_labels(*copies, patients=patients))
    as_if_independent = delong_block(make_labels(*copies))
    for name in "ab":
        assert by_patient[name] == pytest.approx(once[name])
        assert as_if_independent[name]["auroc_delong_ci_low"] > once[name]["auroc_delong_ci_low"]


def test_each_class_is_held_against_the_rest() -> None:
    rng = np.random.default_rng(5)
    targets = rng.integers(0, 3, 60).astype(float)
    probs = rng.dirichlet(np.ones(3), 60)
    targets[0] = np.nan
    found = delong_block(make_labels(targets[:, None], probs, task="multiclass"))
    areas = roc_areas(targets[1:] == 2, probs[None, 1:, 2])
    expected = logit_interval(areas.values[0], areas.covariance[0, 0])
    assert tuple(found["c"].values()) == pytest.approx(expected)


@pytest.mark.parametrize(
    "truth", [[1, 1, 1, 1], [np.nan] * 4, [1, 0, np.nan, np.nan], [1, 1, 0, 0]]
)
def test_what_cant_be_measured_has_no_interval(truth) -> None:
    """One kind only, nothing known, one positive alone, and a perfect ranking."""
    made = make_labels(
        np.array(truth, dtype=float)[:, None], np.array([[0.9], [0.8], [0.3], [0.2]])
    )
    assert delong_block(made) == {"a": {"auroc_delong_ci_low": None, "auroc_delong_ci_high": None}}


def test_two_models_areas_come_with_their_covariance(tables) -> None:
    targets, probs = tables
    models = [make_labels(targets, each) for each in (probs, 1 - probs)]
    areas = areas_of(models, 0)
    assert areas.values.sum() == pytest.approx(1)
    assert areas.covariance[0, 1] == pytest.approx(-areas.covariance[0, 0])
