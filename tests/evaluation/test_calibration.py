import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss, log_loss

from csi_predictor.evaluation.calibration import bin_blocks, calibration_report, reliability_of
from csi_predictor.evaluation.labels import evaluate_labels
from csi_predictor.inference.label_predictions import LabelPredictions
from csi_predictor.inference.questions import Questions, questions_of
from csi_predictor.metrics.bootstrap import resample_patients
from csi_predictor.specs import TargetSpec
from csi_predictor.uncertainty.calibrator_fit import fit_calibrator


def predictions_of(task: str, names: tuple[str, ...], seed: int = 0) -> LabelPredictions:
    """Ninety images of forty-five patients; an answer in ten is unknown."""
    rng = np.random.default_rng(seed)
    if task == "multilabel":
        probs = rng.random((90, len(names)))
        targets = (rng.random(probs.shape) < 0.25 + 0.5 * probs).astype(float)
    else:
        probs = rng.dirichlet(np.ones(len(names)) / 2, 90)
        targets = (rng.random((90, 1)) > probs.cumsum(axis=1)[:, :-1]).sum(axis=1)[:, None] * 1.0
    targets[rng.random(targets.shape) < 0.1] = np.nan
    return LabelPredictions(
        file_ids=tuple(map(str, range(90))),
        patient_ids=tuple(f"p{index // 2}" for index in range(90)),
        paths=(Path("x"),) * 90,
        target_spec=TargetSpec(task=task, names=names, num_classes=2),
        targets=targets,
        probs=probs,
    )


LABELS = predictions_of("multilabel", ("Mass", "Hernia", "Edema"))
CLASSES = predictions_of("multiclass", ("normal", "pneumonia", "edema"))


def draws_of(questions: Questions, rounds: int = 60):
    return resample_patients(questions.patient_ids, rounds=rounds, seed=0)


def halved(questions: Questions) -> Questions:
    """As a temperature of 2 would say it."""
    roots = np.sqrt(questions.probs)
    return replace(questions, probs=roots / roots.sum(axis=-1, keepdims=True))


def zones() -> Questions:
    rng = np.random.default_rng(1)
    probs = rng.dirichlet(np.ones(4), (50, 6))
    targets = rng.integers(0, 4, (50, 6)).astype(float)
    targets[rng.random((50, 6)) < 0.2] = np.nan
    return Questions(
        names=("a", "b", "c", "d", "e", "f"),
        answers=("0", "1", "2", "3"),
        is_ordered=True,
        patient_ids=tuple(map(str, range(50))),
        probs=probs,
        targets=targets,
        given=rng.integers(0, 4, (50, 6)),
    )


@pytest.mark.parametrize("predictions", [LABELS, CLASSES], ids=["labels", "classes"])
def test_ece_brier_and_bins_are_those_of_the_evaluation(predictions) -> None:
    questions = questions_of(predictions)
    report = calibration_report(halved(questions), questions, draws_of(questions))
    metrics = evaluate_labels(predictions, rounds=60, seed=0).metrics
    for name in ("ece", "ece_ci_low", "ece_ci_high", "brier", "brier_ci_low", "brier_ci_high"):
        assert report["after"][name] == pytest.approx(metrics[name])
    bins = zip(report["after"]["bins"], metrics["calibration"]["bins"], strict=True)
    assert all(ours == pytest.approx(theirs) for ours, theirs in bins)


def test_figures_of_labels_equal_scikit_learn() -> None:
    questions = questions_of(LABELS)
    report = calibration_report(questions, questions, draws_of(questions))["before"]
    known = np.isfinite(LABELS.targets)
    truth, probs = LABELS.targets[known], LABELS.probs[known]
    assert report["nll"] == pytest.approx(log_loss(truth, probs))
    each = [
        brier_score_loss(LABELS.targets[k, q], LABELS.probs[k, q]) for q, k in enumerate(known.T)
    ]
    assert report["brier"] == pytest.approx(np.mean(each))
    share, mean = calibration_curve(truth, probs, n_bins=15)
    assert report["mce"] == pytest.approx(np.abs(share - mean).max())
    share, mean = calibration_curve(truth, probs, n_bins=15, strategy="quantile")
    counts = np.diff(
        np.searchsorted(np.sort(probs), np.percentile(probs, np.linspace(0, 100, 16)), "right")
    )
    counts[0] += 1
    expected = (np.abs(share - mean) * counts).sum() / counts.sum()
    assert report["ece_adaptive"] == pytest.approx(expected)
    assert report["mean_confidence"] == pytest.approx(probs.mean())
    assert report["share_right"] == pytest.approx(truth.mean())


def test_figures_of_classes_equal_scikit_learn() -> None:
    questions = questions_of(CLASSES)
    report = calibration_report(questions, questions, draws_of(questions))["before"]
    known = np.isfinite(CLASSES.targets[:, 0])
    truth, probs = CLASSES.targets[known, 0], CLASSES.probs[known]
    assert report["nll"] == pytest.approx(log_loss(truth, probs))
    assert report["brier"] == pytest.approx(brier_score_loss(truth, probs, scale_by_half=False))
    is_right = truth == probs.argmax(axis=1)
    share, mean = calibration_curve(is_right, probs.max(axis=1), n_bins=15)
    assert report["mce"] == pytest.approx(np.abs(share - mean).max())
    assert report["share_right"] == pytest.approx(is_right.mean())


def test_the_class_wise_error_is_the_mean_over_every_answer_of_every_question() -> None:
    # by hand: two zones of two images; gaps of the answers 0.5, 0.5 and 0.2, 0.2
    probs = np.array([[[0.5, 0.5], [0.8, 0.2]]] * 2)
    questions = replace(
        zones().take(np.array([0, 1])),
        names=("a", "b"),
        answers=("0", "1"),
        probs=probs,
        targets=np.zeros((2, 2)),
        given=np.zeros((2, 2), dtype=np.int64),
    )
    report = calibration_report(questions, questions, draws_of(questions))
    assert report["before"]["ece_classwise"] == pytest.approx(0.35)
    assert report["before"]["ece"] == pytest.approx(0.35)
    assert report["before"]["by_question"] == {
        "a": {"n_known": 2, "ece": pytest.approx(0.5)},
        "b": {"n_known": 2, "ece": pytest.approx(0.2)},
    }


def test_confidence_of_zones_is_that_of_the_given_grade() -> None:
    questions = zones()
    confidence, is_right = reliability_of(questions)
    known = questions.is_known
    expected = np.take_along_axis(questions.probs, questions.given[..., None], axis=-1)[..., 0]
    np.testing.assert_array_equal(confidence, expected)
    np.testing.assert_array_equal(is_right[known], (questions.given == questions.targets)[known])
    report = calibration_report(questions, halved(questions), draws_of(questions))
    assert report["confidence_of"] == "given"
    assert report["is_ordered"]
    assert report["n_known"] == known.sum()
    assert sum(each["count"] for each in report["after"]["bins"]) == known.sum()


def test_gain_is_positive_where_calibration_helps_and_has_its_interval() -> None:
    rng = np.random.default_rng(2)
    logits = rng.normal(size=(2000, 3)) * 1.5
    p = 1 / (1 + np.exp(-3 * logits))
    questions = replace(
        questions_of(LABELS),
        patient_ids=tuple(map(str, range(2000))),
        probs=np.stack([1 - p, p], axis=-1),
        targets=(rng.random(p.shape) < 1 / (1 + np.exp(-logits))).astype(float),
        given=(p > 0.5).astype(np.int64),
    )
    validation, test = (questions.take(np.arange(i, 2000, 2)) for i in (0, 1))
    calibrator = fit_calibrator(validation, method="temperature", scope="head")
    after = replace(test, probs=calibrator.apply(test.probs))
    report = calibration_report(test, after, draws_of(test))
    for name in ("ece", "brier", "nll"):
        assert report["gain"][name] == pytest.approx(report["before"][name] - report["after"][name])
        assert 0 < report["gain"][f"{name}_ci_low"] < report["gain"][name]
    assert report["after"]["ece"] < report["before"]["ece"] / 3


def test_the_block_is_plain_json_where_almost_nothing_is_known() -> None:
    questions = zones()
    targets = np.full((50, 6), np.nan)
    targets[3, 2] = 1
    for known in (targets, np.full((50, 6), np.nan)):
        sparse = replace(questions, targets=known)
        report = calibration_report(sparse, sparse, draws_of(sparse))
        json.dumps(report, allow_nan=False)
        assert report["n_known"] == np.isfinite(known).sum()
        assert report["before"]["by_question"]["a"] == {"n_known": 0, "ece": None}
    assert report["before"]["ece"] is None
    assert report["before"]["mce"] is None
    one = questions.take(np.array([0]))
    assert calibration_report(one, one, draws_of(one))["before"]["nll_ci_low"] is None


def test_certain_answers_are_counted__weakness_001_05() -> None:
    questions = replace(zones(), probs=np.eye(4)[zones().given])
    report = calibration_report(questions, questions, draws_of(questions))["before"]
    assert report["bins"][-1]["count"] == questions.is_known.sum()
    assert report["ece"] == report["ece_adaptive"] == report["mce"]
    assert report["ece"] == pytest.approx(1 - questions.is_right[questions.is_known].mean())


def test_an_empty_bin_has_no_accuracy() -> None:
    sums = np.zeros((15, 3))
    sums[14] = [4, 3.9, 3]
    bins = bin_blocks(sums)
    assert bins[0] == {
        "low": 0.0,
        "high": pytest.approx(1 / 15),
        "count": 0,
        "confidence": None,
        "accuracy": None,
    }
    assert (bins[14]["confidence"], bins[14]["accuracy"]) == (pytest.approx(0.975), 0.75)


def test_other_images_or_questions_are_refused() -> None:
    questions = zones()
    for other in (
        replace(questions, names=("x", *questions.names[1:])),
        questions.take(np.arange(50)[::-1].copy()),
    ):
        with pytest.raises(ValueError, match="the same questions about the same images in one ord"):
            calibration_report(questions, other, draws_of(questions))
