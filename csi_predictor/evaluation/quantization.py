"""The answers of an int8 network beside those of its fp32 original, about the same images."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from csi_predictor.evaluation.figures import Block, with_intervals
from csi_predictor.evaluation.label_draws import label_draws
from csi_predictor.inference.label_predictions import LabelPredictions
from csi_predictor.inference.predictions import Floats, Predictions
from csi_predictor.metrics import counts
from csi_predictor.metrics.bootstrap import Resampling, resample_patients
from csi_predictor.specs import NUM_GRADES

Answers = Predictions | LabelPredictions


def main_figure(answers: Answers) -> str:
    """Name, as in `metrics.json`, of the figure that must not fall; of each, more is better."""
    if isinstance(answers, Predictions):
        return "zone_qwk"
    return "accuracy" if answers.is_multiclass else "auroc_macro"


def compare_int8(exact: Answers, rounded: Answers, *, rounds: int, seed: int) -> Block:
    """Main figure of both, its fall in the same draws of patients, and how far answers moved.

    Args:
        exact: Of the fp32 networks.
        rounded: Of the int8 networks, about the same images in the same order.
        rounds: Of the bootstrap over patients; 0 = no intervals.
        seed: Of the bootstrap.

    Raises:
        ValueError: The answers are about different images.
    """
    if exact.file_ids != rounded.file_ids:
        raise ValueError("the answers are about different images: expected the same in one order")
    resampling = resample_patients(exact.patient_ids, rounds=rounds, seed=seed)
    before, after = _draws(exact, resampling), _draws(rounded, resampling)
    difference = np.abs(_probs(exact) - _probs(rounded))
    has_moved = _calls(exact) != _calls(rounded)
    return {
        "figure": main_figure(exact),
        **with_intervals({"fp32": before, "int8": after, "fall": before - after}),
        "n_images": len(exact),
        "n_patients": resampling.num_patients,
        "largest_probability_difference": float(difference.max()),
        "mean_probability_difference": float(difference.mean()),
        "n_calls": int(has_moved.size),
        "n_calls_changed": int(has_moved.sum()),
    }


def holds(comparison: Mapping[str, Any], *, max_drop: float) -> bool:
    """Whether the main figure is known and fell by no more than allowed."""
    fall = comparison["fall"]
    return fall is not None and fall <= max_drop


def _draws(answers: Answers, resampling: Resampling) -> Floats:
    """(1 + R,) the main figure, of the set itself first."""
    name = main_figure(answers)
    if isinstance(answers, LabelPredictions):
        return label_draws(answers, resampling).main[name]
    given = answers.grades.astype(np.float64)
    each = counts.count_confusion(answers.targets, given, num_classes=NUM_GRADES)
    return counts.quadratic_weighted_kappa(resampling.sums(each.sum(axis=1)))


def _probs(answers: Answers) -> Floats:
    """(N, P) every probability given."""
    if isinstance(answers, LabelPredictions):
        return answers.probs
    grades = answers.grade_probs.reshape(len(answers), -1)
    return np.concatenate([grades, answers.p_ungradable], axis=1)


def _calls(answers: Answers) -> NDArray[np.int64]:
    """(N, C) what is called: a class, each label, or each zone's grade or ungradable (-1)."""
    if isinstance(answers, Predictions):
        return np.where(answers.is_ungradable, -1, answers.grades)
    if answers.is_multiclass:
        return np.asarray(answers.probs.argmax(axis=1)[:, None])
    return answers.called.astype(np.int64)
