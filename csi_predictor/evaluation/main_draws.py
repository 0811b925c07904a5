"""The figures by which two models, or two groups of patients, are compared, in each draw."""

import numpy as np

from csi_predictor.evaluation.comparison import zone_figures
from csi_predictor.inference.label_predictions import LabelPredictions
from csi_predictor.inference.predictions import Floats, Predictions
from csi_predictor.metrics import agreement, calibration, counts, labels
from csi_predictor.metrics.bootstrap import Resampling
from csi_predictor.specs import NUM_GRADES

Answers = Predictions | LabelPredictions

LOWER_IS_BETTER = frozenset({"zone_mae", "csi_mae", "ece", "brier"})
SIGNED = frozenset({"zone_bias"})
"""Neither more nor less is better; 0 is best."""


def counted_draws(
    answers: Answers, resampling: Resampling, *, csi: Floats | None = None
) -> dict[str, Floats]:
    """Name -> (1 + R,) of every main figure that follows from sums over images.

    Args:
        answers: N images with their truth.
        resampling: Draws of their patients.
        csi: Of zones: (N,) the index given, in place of the answers' own; NaN counts nowhere.
    """
    if isinstance(answers, Predictions):
        return _of_zones(answers, resampling, answers.csi if csi is None else csi)
    return (_of_classes if answers.is_multiclass else _of_labels)(answers, resampling)


def ranked_draws(predictions: LabelPredictions, resampling: Resampling) -> dict[str, Floats]:
    """`auroc_macro` and `auprc_macro`, of two classes those of the second; (1 + R,) each."""
    truth, probs = predictions.truth, predictions.probs
    if predictions.is_multiclass and len(predictions.names) == 2:
        truth, probs = truth[:, 1:], probs[:, 1:]
    draws = np.ascontiguousarray(resampling.weights.T)
    areas = []
    for column, score in zip(truth.T, probs.T, strict=True):
        known = ~np.isnan(column)
        patients = resampling.patient_index[known]
        areas.append(labels.ranked_areas(column[known] == 1, score[known], patients, draws))
    auroc, auprc = (np.stack(each, axis=1) for each in zip(*areas, strict=True))
    return {
        "auroc_macro": labels.mean_of_defined(auroc),
        "auprc_macro": labels.mean_of_defined(auprc),
    }


def _of_zones(predictions: Predictions, resampling: Resampling, csi: Floats) -> dict[str, Floats]:
    targets, grades = predictions.targets, predictions.grades
    each = counts.count_confusion(targets, grades, num_classes=NUM_GRADES)
    confidence = np.take_along_axis(predictions.grade_probs, grades[..., None], axis=-1)[..., 0]
    bins = calibration.bin_sums(confidence, grades == targets, ~np.isnan(targets))
    indices = resampling.sums(agreement.pair_sums(predictions.csi_true, csi))
    return zone_figures(resampling.sums(each.sum(axis=1))) | {
        "csi_mae": agreement.mean_absolute_difference(indices),
        "ece": calibration.expected_calibration_error(resampling.sums(bins.sum(axis=1))),
    }


def _of_labels(predictions: LabelPredictions, resampling: Resampling) -> dict[str, Floats]:
    truth, probs = predictions.truth, predictions.probs
    is_known = ~np.isnan(truth)
    calls = resampling.sums(labels.call_counts(truth, predictions.called))
    squares = np.where(is_known, (probs - np.where(is_known, truth, 0)) ** 2, 0)
    sums = resampling.sums(np.stack([squares, is_known.astype(np.float64)], axis=-1))
    bins = np.zeros((len(probs), calibration.NUM_BINS, 3))
    for k in range(probs.shape[1]):  # one label at a time, which bounds the memory
        bins += calibration.bin_sums(probs[:, k], truth[:, k] == 1, is_known[:, k])
    return {
        "sensitivity_macro": labels.mean_of_defined(labels.sensitivity(calls)),
        "specificity_macro": labels.mean_of_defined(labels.specificity(calls)),
        "f1_macro": labels.mean_of_defined(labels.f1(calls)),
        "ece": calibration.expected_calibration_error(resampling.sums(bins)),
        "brier": labels.mean_of_defined(counts.ratio(sums[..., 0], sums[..., 1])),
    }


def _of_classes(predictions: LabelPredictions, resampling: Resampling) -> dict[str, Floats]:
    truth, probs, target = predictions.truth, predictions.probs, predictions.targets[:, 0]
    is_known, given = np.isfinite(target), predictions.called.argmax(axis=1)
    confidence = np.take_along_axis(probs, given[:, None], axis=1)[:, 0]
    each = counts.count_confusion(target, given, num_classes=probs.shape[1])
    confusion = resampling.sums(each)
    bins = calibration.bin_sums(confidence, given == target, is_known)
    squares = np.where(is_known[:, None], (probs - np.nan_to_num(truth)) ** 2, 0).sum(axis=1)
    sums = resampling.sums(np.stack([squares, is_known.astype(np.float64)], axis=1))
    return {
        "accuracy": counts.accuracy(confusion),
        "balanced_accuracy": labels.balanced_accuracy(confusion),
        "f1_macro": counts.f1_macro(confusion),
        "ece": calibration.expected_calibration_error(resampling.sums(bins)),
        "brier": counts.ratio(sums[:, 0], sums[:, 1]),
    }
