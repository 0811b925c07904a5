"""Which images the program answers by itself and which it gives to a reader.

A policy is chosen on validation rows and frozen; what measures it on other rows never chooses. The
unit is the image: the reader looks at the whole image and answers all of its questions.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from csi_predictor.inference.questions import ABSENT_OR_PRESENT, Questions
from csi_predictor.metrics.counts import Floats

PolicyName = Literal["threshold", "budget", "cost", "class_critical"]
POLICIES: tuple[PolicyName, ...] = get_args(PolicyName)


@dataclass(frozen=True, kw_only=True)
class TriageSettings:
    """What the policies aim at and what is assumed of the reader.

    Attributes:
        target_accuracy: Share of right automatic answers that `threshold` is to reach.
        review_budget: Share of the images that `budget` may give to the reader.
        error_cost: Of one wrong answer.
        review_cost: Of one image that the reader looks at.
        critical: What must not be missed: labels, classes, or grades as "3".
        reader_accuracy: One for every answer, or one for each true answer.
        difficulty_shift: By how much the reader is better on easy and worse on hard images, where
            that is assumed.
    """

    target_accuracy: float = 0.95
    review_budget: float = 0.2
    error_cost: float = 100.0
    review_cost: float = 2.0
    critical: tuple[str, ...] = ()
    reader_accuracy: tuple[float, ...] = (0.95,)
    difficulty_shift: float = 0.03

    def reader_by_answer(self, questions: Questions) -> Floats:
        """(C,) probability that the reader is right at each true answer.

        Raises:
            ValueError: There are neither one nor C accuracies, or one isn't a share.
        """
        accuracy = np.array(self.reader_accuracy, dtype=np.float64)
        num_answers = len(questions.answers)
        if len(accuracy) not in (1, num_answers):
            raise ValueError(
                f"reader_accuracy has {len(accuracy)} values: expected 1, or {num_answers}, one an "
                f"answer ({', '.join(questions.answers)})"
            )
        if not ((accuracy >= 0) & (accuracy <= 1)).all():
            raise ValueError(f"reader_accuracy = {self.reader_accuracy}: expected shares, 0 to 1")
        return np.broadcast_to(accuracy, num_answers)


@dataclass(frozen=True, kw_only=True)
class Policy:
    """A rule that was chosen on validation rows, as the bundle keeps it.

    Attributes:
        name: How it was chosen.
        threshold: An image whose uncertainty is above it is deferred: +inf = none, -inf = all.
        critical: Answers of `class_critical`, as in `TriageSettings`.
        critical_threshold: An image with a critical answer's probability above it is deferred too.
        chosen: What was aimed at, named as in `TriageSettings`, and facts of the validation rows:
            `n_images`, `n_answers` (known ones), `n_deferred`, `deferral_rate`, `kept_accuracy`
            (None = nothing kept), `cost_per_image`; with critical answers `n_critical` and
            `critical_misses` among the automatic ones.
        skipped: Why there was nothing to choose; empty = it was chosen.
    """

    name: PolicyName
    threshold: float = math.inf
    critical: tuple[str, ...] = ()
    critical_threshold: float = math.inf
    chosen: Mapping[str, float | None] = field(default_factory=dict)
    skipped: str = ""

    def defers(self, questions: Questions, unsure: Floats) -> NDArray[np.bool_]:
        """(N,) True of the images that the reader gets.

        Args:
            questions: N images, calibrated as the validation rows were.
            unsure: (N,) of the same measure as on the validation rows, higher = less sure.

        Raises:
            ValueError: The policy was skipped, `unsure` isn't N finite numbers, or a critical
                answer isn't one of the questions'.
        """
        if self.skipped:
            raise ValueError(f"policy {self.name} can't be applied, it was skipped: {self.skipped}")
        check_unsure(questions, unsure)
        is_unsure = np.asarray(unsure > self.threshold)
        if not self.critical:
            return is_unsure
        return is_unsure | (critical_probs(questions, self.critical) > self.critical_threshold)

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values; a threshold without a number is "inf" or "-inf"."""
        return {
            "name": self.name,
            "threshold": _encode(self.threshold),
            "critical": list(self.critical),
            "critical_threshold": _encode(self.critical_threshold),
            "chosen": dict(self.chosen),
            "skipped": self.skipped,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Policy":
        """The inverse of `to_dict`."""
        return cls(
            name=values["name"],
            threshold=float(values["threshold"]),
            critical=tuple(values["critical"]),
            critical_threshold=float(values["critical_threshold"]),
            chosen=dict(values["chosen"]),
            skipped=values["skipped"],
        )


def critical_answers(questions: Questions, names: Sequence[str]) -> NDArray[np.bool_]:
    """(Q, C) True of what the names mean: of labels their presence, else an answer anywhere.

    Raises:
        ValueError: A name is none of the labels, classes or grades.
    """
    is_labels = questions.answers == ABSENT_OR_PRESENT
    known = questions.names if is_labels else questions.answers
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ValueError(
            f"critical answers: {', '.join(unknown)} unknown, expected some of {', '.join(known)}"
        )
    is_named = np.array([name in names for name in known])
    if is_labels:
        return np.stack([np.zeros_like(is_named), is_named], axis=1)
    return np.broadcast_to(is_named, (len(questions.names), len(known)))


def critical_probs(questions: Questions, names: Sequence[str]) -> Floats:
    """(N,) the highest probability of a critical answer in the image; 0 without one."""
    is_critical = critical_answers(questions, names)
    return np.asarray(np.where(is_critical, questions.probs, 0.0).max(axis=(1, 2), initial=0.0))


def critical_truths(questions: Questions, names: Sequence[str]) -> NDArray[np.bool_]:
    """(N, Q) whether the true answer is known and a critical one."""
    is_true = questions.targets[..., None] == np.arange(len(questions.answers))
    return np.asarray((is_true & critical_answers(questions, names)).any(axis=-1))


def check_unsure(questions: Questions, unsure: Floats) -> None:
    """Refuse an uncertainty that isn't one finite number an image.

    Raises:
        ValueError: It is not.
    """
    if unsure.shape != (len(questions),):
        raise ValueError(f"unsure has shape {unsure.shape}: expected ({len(questions)},)")
    if not np.isfinite(unsure).all():
        raise ValueError("unsure holds a value that is no finite number: expected one an image")


def _encode(threshold: float) -> float | str:
    return threshold if math.isfinite(threshold) else str(threshold)
