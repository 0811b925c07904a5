"""From which probability on a label is called present: chosen on validation rows only."""

import numpy as np

from csi_predictor.metrics.counts import Floats

FALLBACK = 0.5
"""Of a label without a known positive: there is nothing to choose from."""

_ROUNDING = 1e-6  # that a mean of float32 probabilities may lie beyond 1


def best_f1_thresholds(truth: Floats, probs: Floats) -> tuple[float, ...]:
    """One threshold a label, that of the highest F1; `FALLBACK` where no positive is known.

    A threshold lies midway between two neighbouring probabilities, or below the lowest midway to 0,
    so that a small change of a probability moves no answer. Of equally good ones the highest is
    taken, which calls the fewest.

    Args:
        truth: (N, K) 0 or 1; NaN = unknown, left out.
        probs: (N, K), 0 to 1.

    Raises:
        ValueError: The tables differ in shape, or a probability isn't one.

    Source:
        Lipton, Elkan and Naryanaswamy 2014, ECML PKDD, "Optimal thresholding of classifiers to
        maximize F1 measure": of a label that the model can't tell, calling all is the best F1.
    """
    if truth.shape != probs.shape or truth.ndim != 2:
        raise ValueError(
            f"truth has shape {truth.shape} and probs {probs.shape}: expected (N, K) of both"
        )
    if not (np.abs(probs - 0.5) <= 0.5 + _ROUNDING).all():
        raise ValueError("probs holds a value that is no probability: expected 0 to 1")
    return tuple(_best_of_label(truth[:, k], probs[:, k]) for k in range(truth.shape[1]))


def _best_of_label(truth: Floats, probs: Floats) -> float:
    is_known = ~np.isnan(truth)
    is_positive, known = truth[is_known] == 1, probs[is_known]
    if not is_positive.any():
        return FALLBACK
    candidates, index = np.unique(known, return_inverse=True)  # lowest first
    called = np.bincount(index)[::-1].cumsum()  # with each probability as the lowest one called
    found = np.bincount(index, weights=is_positive)[::-1].cumsum()
    highest_first = 2 * found / (called + is_positive.sum())
    best = len(candidates) - 1 - int(np.argmax(highest_first))
    below = candidates[best - 1] if best else 0.0
    middle = (below + candidates[best]) / 2
    # of two neighbouring floats the middle may be the lower one, which must not be called
    return float(middle if middle > below else candidates[best])
