"""Labels and classes: how each is ranked and called, in many draws of patients at once.

Counts of called labels have shape (..., 4): found, missed, false and left alone. They add over
images and over bootstrap draws. A figure without a meaning is NaN, never 0.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from csi_predictor.metrics.counts import Floats, ratio

_CELLS_AT_ONCE = 4_000_000  # of a table of segments by draws, which bounds the memory


def ranked_areas(
    is_positive: NDArray[np.bool_],
    score: Floats,
    patient_index: NDArray[np.int64],
    draws: NDArray[np.float32],
) -> tuple[Floats, Floats]:
    """Area under the ROC curve and average precision in each draw of patients.

    The same figures as `ranking.auroc` and `ranking.average_precision` from one sort. Between two
    scores that positives have, the order of the negatives is of no consequence: they are summed
    first, so that the work in each draw follows the number of positives.

    Args:
        is_positive: (M,).
        score: (M,), higher = more likely positive.
        patient_index: (M,) the patient of each, a row of `draws`.
        draws: (P, R) how often each patient is drawn.

    Returns:
        (R,) and (R,); NaN without both kinds.
    """
    num_draws = draws.shape[1]
    if not len(score):
        return np.full(num_draws, np.nan), np.full(num_draws, np.nan)
    positive, negative = _segments(is_positive, score, patient_index, num_patients=len(draws))
    width = max(1, _CELLS_AT_ONCE // positive.shape[0])
    parts = []
    for start in range(0, num_draws, width):
        chunk = draws[:, start : start + width]
        parts.append(_areas(positive @ chunk, negative @ chunk))
    auroc, precision = (np.concatenate(each) for each in zip(*parts, strict=True))
    return auroc, precision


def call_counts(truth: Floats, called: NDArray[np.bool_]) -> Floats:
    """(...) 0, 1 or NaN and what was called -> (..., 4); all 0 where the truth is unknown."""
    is_present, is_absent = truth == 1, truth == 0
    cells = (is_present & called, is_present & ~called, is_absent & called, is_absent & ~called)
    return np.stack(cells, axis=-1).astype(np.float64)


def sensitivity(counts: Floats) -> Floats:
    """Share of the present that was called; NaN where none is."""
    return ratio(counts[..., 0], counts[..., 0] + counts[..., 1])


def specificity(counts: Floats) -> Floats:
    """Share of the absent that was left alone; NaN where none is."""
    return ratio(counts[..., 3], counts[..., 2] + counts[..., 3])


def precision(counts: Floats) -> Floats:
    """Share of the called that is present; NaN where none was called."""
    return ratio(counts[..., 0], counts[..., 0] + counts[..., 2])


def f1(counts: Floats) -> Floats:
    """Harmonic mean of sensitivity and precision; NaN where nothing is present."""
    found, missed, false, _ = np.moveaxis(counts, -1, 0)
    return np.where(found + missed > 0, ratio(2 * found, 2 * found + missed + false), np.nan)


def accuracy(counts: Floats) -> Floats:
    """Share of right answers, present or absent."""
    return ratio(counts[..., 0] + counts[..., 3], counts.sum(axis=-1))


def balanced_accuracy(confusion: Floats) -> Floats:
    """(..., K, K) rows are the truth -> mean over the true classes of the share that was right."""
    right = np.diagonal(confusion, axis1=-2, axis2=-1)
    return mean_of_defined(ratio(right, confusion.sum(axis=-1)))


def mean_of_defined(values: Floats) -> Floats:
    """(..., K) -> (...) mean of what isn't NaN; NaN where nothing is left."""
    is_defined = ~np.isnan(values)
    return ratio(np.where(is_defined, values, 0).sum(axis=-1), is_defined.sum(axis=-1))


def _segments(
    is_positive: NDArray[np.bool_],
    score: Floats,
    patient_index: NDArray[np.int64],
    *,
    num_patients: int,
) -> tuple[sparse.csr_array, sparse.csr_array]:
    """(S, P) each: positives and negatives of each patient by segment, highest scores first.

    A segment is one distinct score, or neighbouring scores that no positive has.
    """
    order = np.argsort(-score, kind="stable")
    positive = is_positive[order]
    of_score = np.cumsum(np.diff(score[order], prepend=np.inf) != 0) - 1
    has_positive = np.bincount(of_score, weights=positive) > 0
    is_start = has_positive | np.concatenate([[True], has_positive[:-1]])
    segment = (np.cumsum(is_start) - 1)[of_score]
    shape = (int(segment[-1]) + 1, num_patients)
    patients = patient_index[order]
    tables = []
    for kind in (positive, ~positive):
        # float32 holds sums of whole numbers exactly below 2 ** 24 images
        ones = np.ones(int(kind.sum()), dtype=np.float32)
        cells = (segment[kind], patients[kind])
        tables.append(sparse.coo_array((ones, cells), shape=shape).tocsr())
    return tables[0], tables[1]


def _areas(positives: NDArray[np.float32], negatives: NDArray[np.float32]) -> tuple[Floats, Floats]:
    """(S, r) counts by segment, highest scores first -> (r,) and (r,)."""
    hits = np.cumsum(positives, axis=0, dtype=np.float64)
    alarms = np.cumsum(negatives, axis=0, dtype=np.float64)
    below = alarms[-1] - alarms + negatives / 2
    wins = np.einsum("sr,sr->r", positives, below)
    sums = np.einsum("sr,sr->r", positives, hits / np.maximum(hits + alarms, 1))
    area = ratio(sums, hits[-1])
    return ratio(wins, hits[-1] * alarms[-1]), np.where(alarms[-1] > 0, area, np.nan)
