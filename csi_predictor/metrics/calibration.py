"""Whether a confidence means what it says: sums by bin of confidence that add up over answers.

Scores of a whole distribution (Brier, NLL) come as (..., 2) sums: the score and 1 where the truth
is known, else 0 and 0. They add over answers and over bootstrap draws; `mean_score` is their mean.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from csi_predictor.metrics.counts import Floats, ratio

NUM_BINS = 15
"""Guo et al. 2017, ICML, "On calibration of modern neural networks"."""
SMALLEST_PROB = float(np.finfo(np.float64).eps)
"""The NLL takes no probability for smaller, as scikit-learn: one answer costs at most 36.04."""


def bin_sums(
    confidence: Floats, is_right: NDArray[np.bool_], is_known: NDArray[np.bool_]
) -> Floats:
    """Answers of shape (...) -> (..., 15, 3): count, confidence and right answers by bin.

    Bins are equally wide and closed on the right, so that 0 falls in the first and 1 in the last.

    Args:
        confidence: Of the answer given, 0 to 1.
        is_right: Whether it was the truth.
        is_known: False leaves an answer out.
    """
    upper_edges = np.linspace(0, 1, NUM_BINS + 1)[1:-1]
    bins = np.searchsorted(upper_edges, confidence, side="left")
    is_in_bin = (bins[..., None] == np.arange(NUM_BINS)) & is_known[..., None]
    values = np.stack([np.ones_like(confidence), confidence, is_right * 1.0], axis=-1)
    return np.where(is_in_bin[..., None], values[..., None, :], 0.0)


def expected_calibration_error(sums: Floats) -> Floats:
    """(..., 15, 3) -> (...) mean gap of confidence and accuracy, weighted by the bins' counts."""
    gaps = np.abs(sums[..., 1] - sums[..., 2]).sum(axis=-1)
    return ratio(gaps, sums[..., 0].sum(axis=-1))


def maximum_calibration_error(sums: Floats) -> Floats:
    """(..., 15, 3) -> (...) the largest gap of mean confidence and accuracy of any bin.

    Source:
        Naeini, Cooper and Hauskrecht 2015, AAAI, "Obtaining well calibrated probabilities using
        Bayesian binning".
    """
    counts = sums[..., 0]
    gaps = np.nan_to_num(ratio(np.abs(sums[..., 1] - sums[..., 2]), counts)).max(axis=-1)
    return np.where(counts.sum(axis=-1) > 0, gaps, np.nan)


def adaptive_bin_sums(confidence: Floats, is_right: NDArray[np.bool_]) -> Floats:
    """Known answers (M,) -> (15, 3): as `bin_sums`, with about equally many answers in each bin.

    The edges are the confidence's quantiles, closed on the right. Equal confidences share a bin:
    where many are equal, edges coincide, bins between them stay empty and no answer is lost.

    Source:
        Nguyen and O'Connor 2015, EMNLP, "Posterior calibration and exploratory analysis for natural
        language processing models": bins of equal mass.
    """
    if not len(confidence):
        return np.zeros((NUM_BINS, 3))
    edges = np.percentile(confidence, 100 * bin_edges()[1:-1])
    bins = np.searchsorted(edges, confidence, side="left")
    columns = (None, confidence, is_right * 1.0)
    return np.stack([np.bincount(bins, column, minlength=NUM_BINS) for column in columns], axis=-1)


def classwise_calibration_error(
    probs: Floats, targets: Floats, is_known: NDArray[np.bool_]
) -> Floats:
    """(C,) the expected calibration error of each answer's own probability.

    Args:
        probs: (M, C).
        targets: (M,) index of the true answer.
        is_known: (M,) False leaves an answer out.

    Source:
        Kull et al. 2019, NeurIPS, "Beyond temperature scaling", whose class-wise ECE is the mean.
    """
    sums = [
        bin_sums(column, targets == answer, is_known).sum(axis=0)
        for answer, column in enumerate(probs.T)
    ]
    return expected_calibration_error(np.stack(sums))


def brier_sums(probs: Floats, targets: Floats) -> Floats:
    """(..., C) and (...) -> (..., 2): squared error summed over the answers, 0 to 2.

    Source:
        Brier 1950, Monthly Weather Review 78(1):1-3.
    """
    truth = targets[..., None] == np.arange(probs.shape[-1])
    return _known_sums(((probs - truth) ** 2).sum(axis=-1), targets)


def binary_brier_sums(probs: Floats, targets: Floats) -> Floats:
    """(..., 2) and (...) -> (..., 2): squared error of the second answer alone, 0 to 1."""
    return _known_sums((probs[..., 1] - targets) ** 2, targets)


def nll_sums(probs: Floats, targets: Floats) -> Floats:
    """(..., C) and (...) -> (..., 2): minus the logarithm of the true answer's probability.

    A probability below `SMALLEST_PROB` counts as that: an answer that is wrong and certain would
    else cost infinitely much.
    """
    index = np.nan_to_num(targets).astype(np.int64)[..., None]
    of_truth = np.take_along_axis(probs, index, axis=-1)[..., 0]
    return _known_sums(-np.log(np.clip(of_truth, SMALLEST_PROB, 1)), targets)


def mean_score(sums: Floats) -> Floats:
    """(..., 2) -> (...) mean of the known answers."""
    return ratio(sums[..., 0], sums[..., 1])


def bin_edges() -> Floats:
    """(16,) from 0 to 1."""
    return np.linspace(0, 1, NUM_BINS + 1)


def bin_means(sums: ArrayLike) -> tuple[Floats, Floats]:
    """(..., 15, 3) -> mean confidence and accuracy (..., 15); NaN in an empty bin."""
    values = np.asarray(sums, dtype=np.float64)
    return ratio(values[..., 1], values[..., 0]), ratio(values[..., 2], values[..., 0])


def _known_sums(scores: Floats, targets: Floats) -> Floats:
    is_known = ~np.isnan(targets)
    return np.stack([np.where(is_known, scores, 0.0), is_known * 1.0], axis=-1)
