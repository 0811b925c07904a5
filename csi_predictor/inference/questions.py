"""Every task's answers on one footing: questions, each with a distribution over its answers.

Six zones are six questions with four ordered answers, labels one question each with two answers,
classes one question with all classes as answers. What is said of trust (calibration, uncertainty,
prediction sets, triage) is written once, for questions.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from csi_predictor.inference.label_predictions import LabelPredictions
from csi_predictor.inference.predictions import Floats, Predictions
from csi_predictor.specs import NUM_GRADES, ZONES

ABSENT_OR_PRESENT = ("absent", "present")
UNGRADABLE = ("gradable", "ungradable")


@dataclass(frozen=True, kw_only=True)
class Questions:
    """What was asked of N images, what the model believes and what is true.

    Attributes:
        names: Q, one a question.
        answers: C, the possible answers of each question.
        is_ordered: Whether the answers are grades, so that a distance of two has a meaning.
        patient_ids: N.
        probs: (N, Q, C), sums to 1 over the answers.
        targets: (N, Q) index of the true answer; NaN = unknown or ungradable: counts nowhere.
        given: (N, Q) index of the answer that the model gives, which need not be the likeliest.
    """

    names: tuple[str, ...]
    answers: tuple[str, ...]
    is_ordered: bool
    patient_ids: tuple[str, ...]
    probs: Floats
    targets: Floats
    given: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.patient_ids)

    @cached_property
    def is_known(self) -> NDArray[np.bool_]:
        """(N, Q) whether the true answer is known."""
        return np.asarray(np.isfinite(self.targets))

    @cached_property
    def is_right(self) -> NDArray[np.bool_]:
        """(N, Q) whether the given answer is the true one; False where that is unknown."""
        return np.asarray(self.given == self.targets)

    @cached_property
    def confidence(self) -> Floats:
        """(N, Q) probability of the given answer."""
        return np.take_along_axis(self.probs, self.given[..., None], axis=-1)[..., 0]

    def take(self, index: NDArray[np.int64]) -> "Questions":
        """The images of an index, in its order."""
        return replace(
            self,
            patient_ids=tuple(self.patient_ids[i] for i in index),
            probs=self.probs[index],
            targets=self.targets[index],
            given=self.given[index],
        )


def questions_of(predictions: Predictions | LabelPredictions) -> Questions:
    """What was asked: zones' grades, labels, or the class."""
    if isinstance(predictions, Predictions):
        return Questions(
            names=ZONES,
            answers=tuple(map(str, range(NUM_GRADES))),
            is_ordered=True,
            patient_ids=predictions.patient_ids,
            probs=predictions.grade_probs,
            targets=predictions.targets,
            given=predictions.grades,
        )
    if predictions.is_multiclass:
        return Questions(
            names=("class",),
            answers=predictions.names,
            is_ordered=False,
            patient_ids=predictions.patient_ids,
            probs=predictions.probs[:, None, :],
            targets=predictions.targets,
            given=predictions.called.argmax(axis=1)[:, None],
        )
    return Questions(
        names=predictions.names,
        answers=ABSENT_OR_PRESENT,
        is_ordered=False,
        patient_ids=predictions.patient_ids,
        probs=two_answers(predictions.probs),
        targets=predictions.targets,
        given=predictions.called.astype(np.int64),
    )


def ungradable_questions_of(predictions: Predictions) -> Questions:
    """Of each zone: can it be graded? Known wherever the image has any truth."""
    return Questions(
        names=ZONES,
        answers=UNGRADABLE,
        is_ordered=False,
        patient_ids=predictions.patient_ids,
        probs=two_answers(predictions.p_ungradable),
        targets=np.isnan(predictions.targets).astype(np.float64),
        given=predictions.is_ungradable.astype(np.int64),
    )


def two_answers(probs: Floats) -> Floats:
    """(N, Q) probability of yes -> (N, Q, 2) of no and yes."""
    return np.stack([1 - probs, probs], axis=-1)


def join_questions(parts: Sequence[Questions]) -> Questions:
    """Several sets of the same questions after each other, as the pooled folds."""
    return replace(
        parts[0],
        patient_ids=tuple(i for part in parts for i in part.patient_ids),
        probs=np.concatenate([part.probs for part in parts]),
        targets=np.concatenate([part.targets for part in parts]),
        given=np.concatenate([part.given for part in parts]),
    )
