"""How far several passes over one image agree: the parts of its uncertainty."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import entr

Floats = NDArray[np.float64]
_ROUNDING = 1e-9
_ROUNDING_OF_PROBS = 1e-4  # what float16 logits leave of a sum of 1


@dataclass(frozen=True, kw_only=True)
class Spread:
    """What M passes (dropout masks, members of an ensemble, views) say of N images, Q questions.

    `total` is `aleatoric` plus `epistemic`. All entropies are in nats.

    Attributes:
        total: (N, Q) entropy of the mean of the passes.
        aleatoric: (N, Q) mean of the passes' entropies: the doubt that every pass shares.
        epistemic: (N, Q) mutual information of answer and pass, >= 0: their disagreement.
        variance: (N, Q) variance of a probability over the passes, mean over the answers.
        num_passes: M. With one pass nothing can disagree: `epistemic` and `variance` are 0.

    Source: Depeweg et al. 2018, arXiv:1710.07283, eq. 1; Smith and Gal 2018, arXiv:1803.08533.
    """

    total: Floats
    aleatoric: Floats
    epistemic: Floats
    variance: Floats
    num_passes: int

    def __len__(self) -> int:
        return len(self.total)

    def take(self, index: NDArray[np.int64]) -> "Spread":
        """The images of an index, in its order."""
        return replace(
            self,
            total=self.total[index],
            aleatoric=self.aleatoric[index],
            epistemic=self.epistemic[index],
            variance=self.variance[index],
        )


def spread_of(passes: Floats) -> Spread:
    """The spread of M passes, each a distribution over the answers.

    Args:
        passes: (M, N, Q, C) probabilities, sum 1 over the answers; exactly 0 and 1 may occur.

    Raises:
        ValueError: Not four axes, no pass, or rows that aren't distributions.
    """
    _require_distributions(passes)
    passes = np.clip(passes, 0, 1, dtype=np.float64)  # 1 - p of a rounded p may lie below 0
    total = _entropy(passes.mean(axis=0))
    # A mean of equal passes may differ from them in its last bit, so one pass is taken as it is.
    aleatoric = total if len(passes) == 1 else _entropy(passes).mean(axis=0)
    epistemic = total - aleatoric
    return Spread(
        total=total,
        aleatoric=aleatoric,
        # Jensen's inequality: below 0 only by rounding. More would be an error, so it stays.
        epistemic=np.where((epistemic < 0) & (epistemic > -_ROUNDING), 0.0, epistemic),
        variance=passes.var(axis=0).mean(axis=-1),
        num_passes=len(passes),
    )


def join_spreads(parts: Sequence[Spread]) -> Spread:
    """Several sets of the same questions after each other, as the pooled folds.

    Raises:
        ValueError: The parts had different numbers of passes, so they can't be compared.
    """
    counts = sorted({part.num_passes for part in parts})
    if len(counts) != 1:
        raise ValueError(f"spreads of {counts} passes: expected one number of passes to join them")
    return Spread(
        total=np.concatenate([part.total for part in parts]),
        aleatoric=np.concatenate([part.aleatoric for part in parts]),
        epistemic=np.concatenate([part.epistemic for part in parts]),
        variance=np.concatenate([part.variance for part in parts]),
        num_passes=counts[0],
    )


def _entropy(probs: Floats) -> Floats:
    """(..., C) -> (...) nats; 0 log 0 is 0."""
    return np.asarray(entr(probs).sum(axis=-1))


def _require_distributions(passes: Floats) -> None:
    if passes.ndim != 4 or not len(passes):
        raise ValueError(
            f"passes of shape {passes.shape}: expected (M, N, Q, C) with at least one pass"
        )
    is_sum_1 = np.abs(passes.sum(axis=-1) - 1) <= _ROUNDING_OF_PROBS
    if not (is_sum_1.all() and (passes >= -_ROUNDING_OF_PROBS).all()):
        raise ValueError(
            "passes aren't distributions over the answers: expected values >= 0 that sum to 1"
            " (probabilities, not logits)"
        )
