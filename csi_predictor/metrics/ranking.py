"""How well a score puts positives before negatives, for many weightings of the cases at once."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from csi_predictor.metrics.counts import Floats, ratio

Area = Callable[[NDArray[np.bool_], Floats, Floats], Floats]
"""Positives (M,), scores (M,) and weights (R, M) -> (R,)."""


def auroc(is_positive: NDArray[np.bool_], score: Floats, weights: Floats) -> Floats:
    """Area under the ROC curve, ties counting half; NaN without both kinds.

    Args:
        is_positive: (M,).
        score: (M,), higher = more likely positive.
        weights: (R, M), how often each case counts, at least 0.

    Returns:
        (R,)
    """
    positives, negatives = _by_score(is_positive, score, weights)
    below = np.cumsum(negatives[:, ::-1], axis=1)[:, ::-1] - negatives
    wins = (positives * (below + negatives / 2)).sum(axis=1)
    return ratio(wins, positives.sum(axis=1) * negatives.sum(axis=1))


def average_precision(is_positive: NDArray[np.bool_], score: Floats, weights: Floats) -> Floats:
    """Area under the precision-recall steps, as `auroc`; NaN without both kinds."""
    positives, negatives = _by_score(is_positive, score, weights)
    hits, alarms = np.cumsum(positives, axis=1), np.cumsum(positives + negatives, axis=1)
    precision = np.nan_to_num(ratio(hits, alarms))
    area = ratio((positives * precision).sum(axis=1), positives.sum(axis=1))
    return np.where(negatives.sum(axis=1) > 0, area, np.nan)


def _by_score(
    is_positive: NDArray[np.bool_], score: Floats, weights: Floats
) -> tuple[Floats, Floats]:
    """(R, S) weight of the positives and of the negatives at each distinct score, highest first."""
    order = np.argsort(-score, kind="stable")
    is_new = np.diff(score[order], prepend=np.inf) != 0
    starts = np.flatnonzero(is_new)
    if not starts.size:
        empty = np.zeros((len(weights), 0))
        return empty, empty
    ordered = weights[:, order]
    positive = is_positive[order]
    return (
        np.add.reduceat(ordered * positive, starts, axis=1),
        np.add.reduceat(ordered * ~positive, starts, axis=1),
    )
