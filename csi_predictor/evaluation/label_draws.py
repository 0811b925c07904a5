"""Every figure of labels or classes, for the images themselves and for each draw of patients."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from csi_predictor.inference.label_predictions import LabelPredictions
from csi_predictor.inference.predictions import Floats
from csi_predictor.metrics import calibration, counts, labels
from csi_predictor.metrics.bootstrap import Resampling

_HALF = 0.5


@dataclass(frozen=True, kw_only=True)
class LabelDraws:
    """Figures of 1 + R draws, the first being the set itself; NaN = undefined.

    Attributes:
        main: Name -> (1 + R,).
        by_name: Name -> (1 + R, K), of each label or class.
        bins: (15, 3) count, confidence and right answers by bin of confidence, of the set itself.
        confusion: (K, K) of the set itself, rows are the truth; empty where there are no classes.
    """

    main: Mapping[str, Floats]
    by_name: Mapping[str, Floats]
    bins: Floats
    confusion: Floats


def label_draws(predictions: LabelPredictions, resampling: Resampling) -> LabelDraws:
    """All figures of labels, or of classes."""
    draw = _draw_classes if predictions.is_multiclass else _draw_labels
    # one row a patient, so that a sum over images adds whole rows
    return draw(predictions, resampling, np.ascontiguousarray(resampling.weights.T))


def _draw_labels(
    predictions: LabelPredictions, resampling: Resampling, draws: NDArray[np.float32]
) -> LabelDraws:
    """A label's confidence is its probability of being present, right where it is present."""
    truth, probs = predictions.truth, predictions.probs
    by_name = _by_name(predictions, resampling, draws)
    bins = np.stack(
        [
            resampling.sums(calibration.bin_sums(p, t == 1, ~np.isnan(t)))
            for p, t in zip(probs.T, truth.T, strict=True)
        ],
        axis=1,
    )  # (1 + R, K, 15, 3)
    pooled = bins.sum(axis=1)
    at_half = resampling.sums(labels.call_counts(truth, probs > _HALF))
    names_of_image = np.repeat(resampling.patient_index, truth.shape[1])
    auroc_micro, auprc_micro = _areas(truth.ravel(), probs.ravel(), names_of_image, draws)
    main = {
        "auroc_macro": labels.mean_of_defined(by_name["auroc"]),
        "auprc_macro": labels.mean_of_defined(by_name["auprc"]),
        "auroc_micro": auroc_micro,
        "auprc_micro": auprc_micro,
        "f1_macro": labels.mean_of_defined(by_name["f1"]),
        "accuracy": labels.mean_of_defined(labels.accuracy(at_half)),
        "exact_match": _exact_match(predictions, resampling),
        "ece": calibration.expected_calibration_error(pooled),
        "brier": labels.mean_of_defined(by_name["brier"]),
    }
    own = {"ece": calibration.expected_calibration_error(bins)}
    return LabelDraws(main=main, by_name=by_name | own, bins=pooled[0], confusion=np.zeros((0, 0)))


def _draw_classes(
    predictions: LabelPredictions, resampling: Resampling, draws: NDArray[np.float32]
) -> LabelDraws:
    """The confidence is that of the class chosen."""
    truth, probs = predictions.truth, predictions.probs
    by_name = _by_name(predictions, resampling, draws)
    by_name = {("recall" if key == "sensitivity" else key): v for key, v in by_name.items()}
    known = np.isfinite(predictions.targets[:, 0])
    given = predictions.called.argmax(axis=1)
    confidence = np.take_along_axis(probs, given[:, None], axis=1)[:, 0]
    each = counts.count_confusion(predictions.targets[:, 0], given, num_classes=probs.shape[1])
    confusion = resampling.sums(each)
    is_right = given == predictions.targets[:, 0]
    bins = resampling.sums(calibration.bin_sums(confidence, is_right, known))
    squares = np.where(known, ((probs - np.where(known[:, None], truth, 0)) ** 2).sum(axis=1), 0)
    sums = resampling.sums(np.stack([squares, known.astype(np.float64)], axis=1))
    auroc, auprc = by_name["auroc"], by_name["auprc"]
    if len(predictions.names) == 2:
        auroc, auprc = auroc[:, 1:], auprc[:, 1:]
    main = {
        "accuracy": counts.accuracy(confusion),
        "balanced_accuracy": labels.balanced_accuracy(confusion),
        "auroc_macro": labels.mean_of_defined(auroc),
        "auprc_macro": labels.mean_of_defined(auprc),
        "f1_macro": counts.f1_macro(confusion),
        "ece": calibration.expected_calibration_error(bins),
        "brier": counts.ratio(sums[:, 0], sums[:, 1]),
    }
    return LabelDraws(main=main, by_name=by_name, bins=bins[0], confusion=confusion[0])


def _by_name(
    predictions: LabelPredictions, resampling: Resampling, draws: NDArray[np.float32]
) -> dict[str, Floats]:
    """(1 + R, K) of each figure that a label, or a class against the rest, has for itself."""
    truth, probs = predictions.truth, predictions.probs
    areas = [
        _areas(t, p, resampling.patient_index, draws) for t, p in zip(truth.T, probs.T, strict=True)
    ]
    calls = resampling.sums(labels.call_counts(truth, predictions.called))
    is_known = ~np.isnan(truth)
    squares = np.where(is_known, (probs - np.where(is_known, truth, 0)) ** 2, 0)
    sums = resampling.sums(np.stack([squares, is_known.astype(np.float64)], axis=-1))
    return {
        "auroc": np.stack([auroc for auroc, _ in areas], axis=1),
        "auprc": np.stack([auprc for _, auprc in areas], axis=1),
        "f1": labels.f1(calls),
        "sensitivity": labels.sensitivity(calls),
        "specificity": labels.specificity(calls),
        "precision": labels.precision(calls),
        "brier": counts.ratio(sums[..., 0], sums[..., 1]),
    }


def _areas(
    truth: Floats, probs: Floats, patient_index: NDArray[np.int64], draws: NDArray[np.float32]
) -> tuple[Floats, Floats]:
    """AUROC and average precision over the known answers (M,), in each draw."""
    known = ~np.isnan(truth)
    return labels.ranked_areas(truth[known] == 1, probs[known], patient_index[known], draws)


def _exact_match(predictions: LabelPredictions, resampling: Resampling) -> Floats:
    """Share of the images with every label known in which every call is right."""
    is_complete = ~np.isnan(predictions.truth).any(axis=1)
    is_right = (predictions.called == predictions.truth).all(axis=1)
    sums = resampling.sums(np.stack([is_complete & is_right, is_complete], axis=1).astype(float))
    return counts.ratio(sums[:, 0], sums[:, 1])
