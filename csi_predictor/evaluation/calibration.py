"""Whether a model's confidence means what it says, before and after it was calibrated."""

import numpy as np
from numpy.typing import NDArray

from csi_predictor.evaluation.figures import Block, plain, with_intervals
from csi_predictor.inference.predictions import Floats
from csi_predictor.inference.questions import ABSENT_OR_PRESENT, Questions
from csi_predictor.metrics import calibration
from csi_predictor.metrics.bootstrap import Resampling
from csi_predictor.metrics.counts import ratio
from csi_predictor.metrics.labels import mean_of_defined


def calibration_report(before: Questions, after: Questions, resampling: Resampling) -> Block:
    """Figures of both, and what was gained in the same draws of patients (positive = better).

    The confidence is the given answer's probability; of labels it is the probability of `present`,
    however the label is called. `ece`, `ece_adaptive`, `mce` and `bins` are over the known answers
    of all questions together, `nll` is their mean, `brier` the mean over the questions of each
    one's mean (of labels 0 to 1, else 0 to 2), `ece_classwise` the mean over every answer of every
    question.

    Args:
        before: The pooled probabilities with their truth.
        after: The same, calibrated with other images.
        resampling: Draws of the patients, for the intervals of `ece`, `brier` and `nll`.

    Raises:
        ValueError: The two are not the same questions about the same images.
    """
    is_same_asked = (before.names, before.answers) == (after.names, after.answers)
    is_same_images = before.patient_ids == after.patient_ids
    if not (is_same_asked and is_same_images):
        raise ValueError(
            "before and after calibration: expected the same questions about the same images in "
            "one order"
        )
    sides = {"before": before, "after": after}
    draws = {side: _draws(questions, resampling) for side, questions in sides.items()}
    gain = {name: values - draws["after"][name] for name, values in draws["before"].items()}
    return {
        "confidence_of": "present" if _is_labels(before) else "given",
        "is_ordered": before.is_ordered,
        "n_known": int(before.is_known.sum()),
        **{
            side: with_intervals(draws[side]) | _fixed_figures(questions)
            for side, questions in sides.items()
        },
        "gain": with_intervals(gain),
    }


def reliability_of(questions: Questions) -> tuple[Floats, NDArray[np.bool_]]:
    """(N, Q) confidence that is compared with the truth, and whether it came true."""
    if _is_labels(questions):
        return questions.probs[..., 1], np.asarray(questions.targets == 1)
    return questions.confidence, questions.is_right


def bin_blocks(sums: Floats) -> list[Block]:
    """(15, 3) sums by bin of confidence -> the points of a reliability diagram."""
    means, shares = calibration.bin_means(sums)
    edges = calibration.bin_edges()
    return [
        {
            "low": float(edges[index]),
            "high": float(edges[index + 1]),
            "count": int(sums[index, 0]),
            "confidence": plain(means[index]),
            "accuracy": plain(shares[index]),
        }
        for index in range(calibration.NUM_BINS)
    ]


def _is_labels(questions: Questions) -> bool:
    return questions.answers == ABSENT_OR_PRESENT


def _draws(questions: Questions, resampling: Resampling) -> dict[str, Floats]:
    """(1 + R,) of each figure that follows from sums over images."""
    brier_sums = calibration.binary_brier_sums if _is_labels(questions) else calibration.brier_sums
    brier = resampling.sums(brier_sums(questions.probs, questions.targets))  # (1 + R, Q, 2)
    nll = calibration.nll_sums(questions.probs, questions.targets).sum(axis=1)
    bins = np.zeros((len(questions), calibration.NUM_BINS, 3))
    for q in range(len(questions.names)):
        bins += _bins_of(questions, q)
    return {
        "ece": calibration.expected_calibration_error(resampling.sums(bins)),
        "brier": mean_of_defined(calibration.mean_score(brier)),
        "nll": calibration.mean_score(resampling.sums(nll)),
    }


def _bins_of(questions: Questions, q: int) -> Floats:
    """(N, 15, 3) of one question."""
    confidence, is_right = reliability_of(questions)
    return calibration.bin_sums(confidence[:, q], is_right[:, q], questions.is_known[:, q])


def _fixed_figures(questions: Questions) -> Block:
    """Figures of the set itself, without interval."""
    confidence, is_right = reliability_of(questions)
    known_confidence = confidence[questions.is_known]
    known_right = is_right[questions.is_known]
    by_question = np.stack(
        [_bins_of(questions, q).sum(axis=0) for q in range(len(questions.names))]
    )  # (Q, 15, 3)
    pooled = by_question.sum(axis=0)
    own = calibration.expected_calibration_error(by_question)
    adaptive = calibration.adaptive_bin_sums(known_confidence, known_right)
    count = len(known_confidence)
    figures = {
        "ece_adaptive": calibration.expected_calibration_error(adaptive),
        "ece_classwise": mean_of_defined(_answers_errors(questions)),
        "mce": calibration.maximum_calibration_error(pooled),
        "mean_confidence": ratio(known_confidence.sum(), count),
        "share_right": ratio(known_right.sum(), count),
    }
    return {
        **{name: plain(float(value)) for name, value in figures.items()},
        "bins": bin_blocks(pooled),
        "by_question": {
            name: {"n_known": int(by_question[q, :, 0].sum()), "ece": plain(own[q])}
            for q, name in enumerate(questions.names)
        },
    }


def _answers_errors(questions: Questions) -> Floats:
    """(Q * C,) calibration error of every answer's probability; NaN of a question never known."""
    each = [
        calibration.classwise_calibration_error(
            questions.probs[:, q], questions.targets[:, q], questions.is_known[:, q]
        )
        for q in range(len(questions.names))
    ]
    return np.concatenate(each)
