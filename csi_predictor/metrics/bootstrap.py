"""Bootstrap over patients: whole patients are drawn with replacement, with all their images."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from csi_predictor.metrics.counts import Floats

LEVEL = 0.95
_SMALLEST_SHARE = 0.5  # of the rounds in which a figure must be defined to have an interval
_CHUNK = 100  # rounds at a time, which bounds the memory


@dataclass(frozen=True)
class Resampling:
    """Draws of patients, as weights; draw 0 is the set itself, each patient once.

    Figures that follow from sums over images are so computed for the set and for every round by the
    same lines: `figure(resampling.sums(values))` is (1 + R,).

    Attributes:
        patient_index: (N,) the patient of each image.
        weights: (1 + R, P) how often each patient is drawn.
    """

    patient_index: NDArray[np.int64]
    weights: NDArray[np.float32]

    @property
    def num_patients(self) -> int:
        """P."""
        return int(self.weights.shape[1])

    def sums(self, values: Floats) -> Floats:
        """(N, ...) values that add over images -> (1 + R, ...) their sums in each draw."""
        flat = values.reshape(len(values), -1)
        by_patient = np.zeros((self.num_patients, flat.shape[1]))
        np.add.at(by_patient, self.patient_index, flat)
        parts = [chunk @ by_patient for chunk in self._chunks()]
        return np.concatenate(parts).reshape(-1, *values.shape[1:])

    def by_image_weights(self, figure: Callable[[Floats], Floats]) -> Floats:
        """(1 + R,) a figure of image weights (r, N) -> (r,) that doesn't follow from sums."""
        return np.concatenate([figure(chunk[:, self.patient_index]) for chunk in self._chunks()])

    def _chunks(self) -> list[Floats]:
        starts = range(0, len(self.weights), _CHUNK)
        return [self.weights[start : start + _CHUNK].astype(np.float64) for start in starts]


def resample_patients(patient_ids: Sequence[str], *, rounds: int, seed: int) -> Resampling:
    """Draws of the patients, the same for the same ids, rounds and seed.

    Args:
        patient_ids: N, one an image.
        rounds: R; 0 = no intervals. A single patient can't be resampled: none are drawn.
        seed: Of the draws.
    """
    patients, index = np.unique(np.asarray(patient_ids, dtype=str), return_inverse=True)
    num_patients = len(patients)
    num_rounds = rounds if num_patients > 1 else 0
    weights = np.ones((1 + num_rounds, num_patients), dtype=np.float32)
    rng = np.random.default_rng(seed)
    for draw in weights[1:]:
        drawn = rng.integers(num_patients, size=num_patients)
        draw[:] = np.bincount(drawn, minlength=num_patients)
    return Resampling(index.astype(np.int64), weights)


def interval(draws: Floats) -> tuple[float, float]:
    """95 % percentile interval of a figure's draws (1 + R,), the first being the set itself.

    NaN, NaN where the figure itself is undefined, or defined in less than half of the rounds.

    Source:
        Efron and Tibshirani 1993, An Introduction to the Bootstrap, chapter 13.
    """
    rounds = draws[1:]
    defined = rounds[~np.isnan(rounds)]
    if np.isnan(draws[0]) or not len(defined) or len(defined) < _SMALLEST_SHARE * len(rounds):
        return float("nan"), float("nan")
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(defined, [tail, 1 - tail])
    return float(low), float(high)
