"""A trust is fitted on some rows, kept, and put on others; it never gives another answer."""

import json
from pathlib import Path

import numpy as np
import pytest

from csi_predictor.inference.label_predictions import LabelPredictions
from csi_predictor.inference.predictions import Floats, Predictions
from csi_predictor.inference.spread import spread_of
from csi_predictor.specs import ZONES, TargetSpec
from csi_predictor.uncertainty.triage import TriageSettings
from csi_predictor.uncertainty.trust import (
    Trust,
    TrustSettings,
    apply_trust,
    fit_trust,
    join_trusted,
    without_trust,
)

SETTINGS = TrustSettings(
    coverage=0.8,
    policies=("threshold", "budget"),
    triage=TriageSettings(target_accuracy=0.9, review_budget=0.25),
)


def zones(count: int = 200, *, seed: int = 0, gain: float = 3.0) -> Predictions:
    """Grades drawn from honest distributions, told `gain` times too surely."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 1.5, size=(count, 6, 4))
    honest = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    told = np.exp(gain * logits) / np.exp(gain * logits).sum(axis=-1, keepdims=True)
    drawn = (honest.cumsum(axis=-1) < rng.random((count, 6, 1))).sum(axis=-1)
    targets = np.where(rng.random((count, 6)) < 0.1, np.nan, drawn)
    names = tuple(f"i{seed}-{k}" for k in range(count))
    return Predictions(
        file_ids=names,
        patient_ids=names,
        paths=tuple(map(Path, names)),
        targets=targets,
        grade_probs=told,
        p_ungradable=rng.random((count, 6)),
        spread=spread_of(told[None]),
    )


def labels(count: int = 300, *, seed: int = 0, task: str = "multilabel") -> LabelPredictions:
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 1.5, size=(count, 3))
    names = tuple(f"i{k}" for k in range(count))
    if task == "multilabel":
        targets: Floats = (rng.random((count, 3)) < 1 / (1 + np.exp(-logits))).astype(float)
        probs = 1 / (1 + np.exp(-3 * logits))
    else:
        honest = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        targets = (honest.cumsum(axis=1) < rng.random((count, 1))).sum(axis=1)[:, None] * 1.0
        probs = np.exp(3 * logits) / np.exp(3 * logits).sum(axis=1, keepdims=True)
    return LabelPredictions(
        file_ids=names,
        patient_ids=names,
        paths=tuple(map(Path, names)),
        target_spec=TargetSpec(task=task, names=("a", "b", "c"), num_classes=2),  # type: ignore[arg-type]
        targets=targets,
        probs=probs,
        thresholds=(0.3, 0.5, 0.9) if task == "multilabel" else (),
    )


def test_a_trust_survives_its_file_to_the_bit() -> None:
    trust = fit_trust(zones(), SETTINGS, fitted_on="the validation images")
    kept = Trust.from_dict(json.loads(json.dumps(trust.to_dict(), allow_nan=False)))
    assert kept == trust
    unseen = zones(seed=1)
    one, other = apply_trust(trust, unseen), apply_trust(kept, unseen)
    np.testing.assert_array_equal(one.questions.probs, other.questions.probs)
    np.testing.assert_array_equal(one.defers["budget"], other.defers["budget"])


@pytest.mark.parametrize("method", ["temperature", "vector", "isotonic"])
@pytest.mark.parametrize("scope", ["head", "question"])
def test_calibration_gives_no_other_grade_and_no_other_csi(method: str, scope: str) -> None:
    settings = TrustSettings(calibration=method, scope=scope)  # type: ignore[arg-type]
    before = zones(seed=2)
    after = apply_trust(fit_trust(zones(), settings, fitted_on="x"), before).after
    assert isinstance(after, Predictions)
    np.testing.assert_array_equal(after.grades, before.grades)
    np.testing.assert_array_equal(after.expected, before.expected)
    np.testing.assert_array_equal(after.csi, before.csi)
    assert not np.allclose(after.grade_probs, before.grade_probs)


@pytest.mark.parametrize("method", ["temperature", "vector", "isotonic"])
@pytest.mark.parametrize("task", ["multilabel", "multiclass"])
def test_calibration_gives_no_other_call_and_no_other_class(method: str, task: str) -> None:
    settings = TrustSettings(calibration=method)  # type: ignore[arg-type]
    before = labels(task=task, seed=1)
    after = apply_trust(fit_trust(labels(task=task), settings, fitted_on="x"), before).after
    assert isinstance(after, LabelPredictions)
    np.testing.assert_array_equal(after.called, before.called)
    assert len(after.thresholds) == len(before.thresholds)


def test_a_label_is_called_from_its_calibrated_threshold_on() -> None:
    settings = TrustSettings(scope="question")
    after = apply_trust(fit_trust(labels(), settings, fitted_on="x"), labels(seed=1)).after
    assert isinstance(after, LabelPredictions)
    np.testing.assert_array_equal(after.probs >= np.array(after.thresholds), after.called)
    assert after.thresholds[1] == pytest.approx(0.5)
    assert after.thresholds[2] < 0.9  # logit(0.9) / 3 = 0.73: probability 0.675
    assert after.thresholds[2] == pytest.approx(0.675, abs=0.03)


def test_folds_are_judged_each_by_its_own_trust() -> None:
    first = fit_trust(zones(), SETTINGS, fitted_on="x")
    second = fit_trust(zones(gain=1.0), SETTINGS, fitted_on="x")
    parts = [apply_trust(first, zones(seed=3)), apply_trust(second, zones(seed=4))]
    whole = join_trusted(parts)
    assert whole.sets is not None
    assert parts[1].sets is not None
    np.testing.assert_array_equal(whole.questions.probs[200:], parts[1].questions.probs)
    np.testing.assert_array_equal(whole.sets[200:], parts[1].sets)
    np.testing.assert_array_equal(whole.questions.given[:200], parts[0].questions.given)
    assert set(whole.defers) == {"threshold", "budget"}
    assert len(whole.after.patient_ids) == len(whole.unsure) == 400


def test_without_a_trust_nothing_is_promised() -> None:
    answers = without_trust(zones(), "entropy")
    assert answers.after is answers.before
    assert answers.sets is None
    assert not answers.defers
    assert answers.unsure.shape == (200,)


def test_triage_threshold_is_chosen_without_the_rows_it_is_measured_on__weakness_001_01() -> None:
    trust = fit_trust(zones(), SETTINGS, fitted_on="the validation images")
    frozen = trust.to_dict()
    for seed in (5, 6):
        apply_trust(trust, zones(seed=seed))
    assert trust.to_dict() == frozen
    assert apply_trust(trust, zones(seed=5)).defers["budget"].mean() == pytest.approx(0.25, abs=0.1)


def test_one_index_takes_everything_that_hangs_on_the_images() -> None:
    after = apply_trust(fit_trust(zones(), SETTINGS, fitted_on="x"), zones(seed=1)).after
    index = np.array([7, 3])
    taken = after.take(index)
    assert isinstance(after, Predictions)
    assert isinstance(taken, Predictions)
    np.testing.assert_array_equal(taken.grades, after.grades[index])
    assert taken.spread is not None
    assert after.spread is not None
    np.testing.assert_array_equal(taken.spread.total, after.spread.total[index])
    assert len(ZONES) == taken.grades.shape[1]
