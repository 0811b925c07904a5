"""Prediction sets: answers among which the true one is, in a stated share of new patients.

What is promised: if a new patient is exchangeable with the validation patients (the same hospital,
device and reading), and one of its questions is picked by chance, the set holds the true answer
with at least the stated probability, on average over validation sets. Answers of one patient depend
on each other and need not be exchangeable: whole patients are what is counted, each with weight 1,
and with one answer a patient this is plain split conformal prediction.

What is not promised: the same coverage for every zone or label, for every true answer (a rare one
is often missed), for patients unlike the validation ones, or for all zones of a patient at once.

Source: Vovk, Gammerman and Shafer 2005; Papadopoulos et al. 2002 (split); patients as groups: Lee,
Barber and Willett 2023, arXiv:2306.06342, hierarchical conformal prediction.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from csi_predictor.inference.predictions import Floats
from csi_predictor.inference.questions import Questions

Flags = NDArray[np.bool_]

_ROUNDING = 1e-9  # six sixths of a patient may lie just below 1


@dataclass(frozen=True, kw_only=True)
class Conformal:
    """A threshold on how strange an answer may be and still belong to its set.

    Attributes:
        coverage: Asked for, 0 to 1.
        is_ordered: Whether the sets are intervals of grades.
        threshold: For all questions of the head. Infinite where the validation patients are too few
            for the coverage: then every set holds all answers, and says nothing.
        num_calibration: Known answers that it was fitted on.
        num_patients: Of theirs.
    """

    coverage: float
    is_ordered: bool
    threshold: float
    num_calibration: int
    num_patients: int

    @property
    def has_too_few(self) -> bool:
        """Whether every set holds all answers, for want of validation patients."""
        return math.isinf(self.threshold)

    @property
    def fewest_patients(self) -> int:
        """Validation patients from which on a set may leave an answer out."""
        return math.ceil(self.coverage / (1 - self.coverage) - _ROUNDING)

    def sets(self, probs: Floats, given: NDArray[np.int64] | None = None) -> Flags:
        """(N, Q, C) which answers belong to each set; none is empty, one of grades has no gap.

        Args:
            probs: (N, Q, C).
            given: (N, Q) index of the answer given, which then always belongs to its set, also
                where it isn't the likeliest. That only adds coverage. None = the likeliest.
        """
        is_in: Flags = strangeness(probs, is_ordered=self.is_ordered) <= self.threshold
        answer = probs.argmax(axis=-1) if given is None else given
        is_in |= np.arange(probs.shape[-1]) == answer[..., None]
        return _without_gaps(is_in) if self.is_ordered else is_in

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; the threshold is None where it is infinite."""
        return {
            "coverage": self.coverage,
            "is_ordered": self.is_ordered,
            "threshold": None if self.has_too_few else self.threshold,
            "num_calibration": self.num_calibration,
            "num_patients": self.num_patients,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Conformal":
        """What `to_dict` gave, to the bit.

        Raises:
            KeyError: A value is missing.
            ValueError: The coverage or the threshold can't be one.
        """
        threshold = values["threshold"]
        found = cls(
            coverage=_checked_coverage(values["coverage"]),
            is_ordered=bool(values["is_ordered"]),
            threshold=math.inf if threshold is None else float(threshold),
            num_calibration=int(values["num_calibration"]),
            num_patients=int(values["num_patients"]),
        )
        if math.isnan(found.threshold):
            raise ValueError("prediction sets: threshold = NaN: expected a number, or None")
        return found


def fit_conformal(questions: Questions, *, coverage: float) -> Conformal:
    """The threshold that validation answers ask for; unknown ones count nowhere.

    Args:
        questions: Of validation images, never of those that are evaluated.
        coverage: Between 0 and 1.

    Raises:
        ValueError: The coverage isn't between 0 and 1.
    """
    coverage = _checked_coverage(coverage)
    rows, columns = np.nonzero(questions.is_known)
    strange = strangeness(questions.probs, is_ordered=questions.is_ordered)
    scores = strange[rows, columns, questions.targets[rows, columns].astype(np.int64)]
    patients = np.asarray(questions.patient_ids, dtype=str)[rows]
    _, index = np.unique(patients, return_inverse=True)
    num_answers = np.bincount(index)
    return Conformal(
        coverage=coverage,
        is_ordered=questions.is_ordered,
        threshold=_threshold(scores, 1 / num_answers[index], coverage),
        num_calibration=len(scores),
        num_patients=len(num_answers),
    )


def _checked_coverage(coverage: float) -> float:
    if not 0 < coverage < 1:
        raise ValueError(f"prediction sets: coverage = {coverage}: expected between 0 and 1")
    return float(coverage)


def strangeness(probs: Floats, *, is_ordered: bool) -> Floats:
    """(..., C) how little each answer fits what the model believes, 0 to 1.

    Without an order 1 - p. Source: Sadinle, Lei and Wasserman 2019, arXiv:1609.00451 (LAC).

    Of grades: the probability of the interval that is complete before the grade joins it. The
    interval starts at the likeliest grade and grows by the likelier neighbour, of equal ones the
    higher grade, so that sets have no gap. Source: Lu, Angelopoulos and Pomerantz 2022,
    arXiv:2207.02238, ordinal adaptive prediction sets.
    """
    if not is_ordered:
        return 1 - probs
    flat = probs.reshape(-1, probs.shape[-1])
    rows, num_grades = np.arange(len(flat)), flat.shape[1]
    padded = np.pad(flat, ((0, 0), (1, 1)), constant_values=-1.0)  # an end is never the likelier
    low = high = flat.argmax(axis=1)
    mass = flat[rows, low]
    before = np.zeros_like(flat)
    for _ in range(num_grades - 1):
        is_up = padded[rows, high + 2] >= padded[rows, low]
        high, low = high + is_up, low - ~is_up
        joined = np.where(is_up, high, low)
        before[rows, joined] = mass
        mass = mass + flat[rows, joined]
    return before.reshape(probs.shape)


def _threshold(scores: Floats, weights: Floats, coverage: float) -> float:
    """The lowest score up to which patients weigh (P + 1) * coverage; the new one weighs 1.

    With one answer a patient it is the ceil((n + 1) * coverage)-th lowest of n scores.
    """
    order = np.argsort(scores, kind="stable")
    reached = np.cumsum(weights[order])
    wanted = (weights.sum() + 1) * coverage - _ROUNDING
    place = int(np.searchsorted(reached, wanted))
    return float(scores[order[place]]) if place < len(scores) else math.inf


def _without_gaps(is_in: Flags) -> Flags:
    """Every answer between the first and the last of a set belongs to it too."""
    from_below = np.logical_or.accumulate(is_in, axis=-1)
    from_above = np.logical_or.accumulate(is_in[..., ::-1], axis=-1)[..., ::-1]
    return np.asarray(from_below & from_above)
