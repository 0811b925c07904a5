from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from csi_predictor.evaluation.evaluate import evaluate
from csi_predictor.evaluation.figures import with_intervals
from csi_predictor.evaluation.labels import evaluate_labels
from csi_predictor.evaluation.main_draws import counted_draws, ranked_draws
from csi_predictor.inference.label_predictions import LabelPredictions
from csi_predictor.metrics.bootstrap import resample_patients
from csi_predictor.specs import TargetSpec

NAN = float("nan")


def make_labels(targets, probs, *, task="multilabel", names=None) -> LabelPredictions:
    ids = tuple(f"image{index}" for index in range(len(probs)))
    chosen = names or tuple("abcdefgh"[: probs.shape[1]])
    return LabelPredictions(
        file_ids=ids,
        patient_ids=tuple(f"p{index // 2}" for index in range(len(probs))),
        paths=tuple(map(Path, ids)),
        target_spec=TargetSpec(task=task, names=chosen, num_classes=len(chosen)),
        targets=targets,
        probs=probs,
        thresholds=(0.4,) * len(chosen) if task == "multilabel" else (),
    )


@pytest.fixture
def labels() -> LabelPredictions:
    rng = np.random.default_rng(2)
    targets = (rng.random((90, 3)) < [0.2, 0.5, 0.7]).astype(float)
    probs = np.clip(0.3 * targets + 0.7 * rng.random((90, 3)), 0, 1)
    targets[rng.random((90, 3)) < 0.1] = NAN
    return make_labels(targets, probs)


@pytest.fixture(params=[2, 3])
def classes(request) -> LabelPredictions:
    rng = np.random.default_rng(3)
    targets = rng.integers(0, request.param, 90).astype(float)
    probs = (
        rng.dirichlet(np.ones(request.param), 90) + 0.4 * np.eye(request.param)[targets.astype(int)]
    )
    targets[5] = NAN
    probs /= probs.sum(axis=1, keepdims=True)
    return make_labels(targets[:, None], probs, task="multiclass")


def test_zones_have_the_figures_of_their_evaluation(make_predictions) -> None:
    rng = np.random.default_rng(1)
    targets = rng.integers(0, 4, (50, 6)).astype(float)
    targets[rng.random((50, 6)) < 0.1] = NAN
    grades = np.clip(np.nan_to_num(targets) + rng.integers(-1, 2, (50, 6)), 0, 3)
    made = make_predictions(targets, grades, p_ungradable=rng.random((50, 6)) * 0.6)
    resampling = resample_patients(made.patient_ids, rounds=40, seed=0)
    found = with_intervals(counted_draws(made, resampling))
    expected = evaluate(made, rounds=40, seed=0).metrics
    assert found == pytest.approx({name: expected[name] for name in found})
    assert {"zone_mae", "zone_qwk", "zone_bias", "csi_mae", "ece"} <= set(found)


def test_labels_have_the_figures_of_their_evaluation(labels) -> None:
    resampling = resample_patients(labels.patient_ids, rounds=40, seed=0)
    draws = counted_draws(labels, resampling) | ranked_draws(labels, resampling)
    found = with_intervals(draws)
    expected = evaluate_labels(labels, rounds=40, seed=0).metrics
    shared = {name: value for name, value in found.items() if name in expected}
    assert shared == pytest.approx({name: expected[name] for name in shared}, abs=1e-9)
    assert {"auroc_macro", "auprc_macro", "f1_macro", "ece", "brier"} <= set(shared)
    for name in ("sensitivity", "specificity"):
        by_label = [block[name] for block in expected["labels"].values()]
        assert found[f"{name}_macro"] == pytest.approx(np.mean(by_label))


def test_classes_have_the_figures_of_their_evaluation(classes) -> None:
    resampling = resample_patients(classes.patient_ids, rounds=40, seed=0)
    found = with_intervals(counted_draws(classes, resampling) | ranked_draws(classes, resampling))
    expected = evaluate_labels(classes, rounds=40, seed=0).metrics
    assert found == pytest.approx({name: expected[name] for name in found}, abs=1e-9)
    assert {"accuracy", "balanced_accuracy", "auroc_macro", "ece"} <= set(found)


def test_a_calibrated_answer_stays_the_one_that_was_given(classes) -> None:
    flat = np.full_like(classes.probs, 1 / classes.probs.shape[1])
    calibrated = replace(classes, probs=flat, kept_calls=classes.called)
    resampling = resample_patients(classes.patient_ids, rounds=0, seed=0)
    found, before = (counted_draws(each, resampling) for each in (calibrated, classes))
    assert found["accuracy"] == before["accuracy"]
    share = abs(float(before["accuracy"][0]) - 1 / classes.probs.shape[1])
    assert found["ece"][0] == pytest.approx(share)


def test_another_index_may_be_counted_in_place_of_the_zones_own(make_predictions) -> None:
    made = make_predictions([[0] * 6, [2] * 6], [[1] * 6, [2] * 6])
    resampling = resample_patients(made.patient_ids, rounds=0, seed=0)
    assert counted_draws(made, resampling)["csi_mae"] == 0.5
    assert counted_draws(made, resampling, csi=np.array([1.0, NAN]))["csi_mae"] == 1.0
