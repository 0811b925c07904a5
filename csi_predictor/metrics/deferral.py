"""What a model and a reader get right together, when the model defers images to the reader.

Sums of answers have shape (..., 5): known answers, those that the model has right, those that are
given automatically, those automatic and right, and the expected number that the reader has right.
They add over images, questions and bootstrap draws. A figure without a meaning is NaN, never 0.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from csi_predictor.metrics.counts import Floats, count_confusion, ratio

NUM_DIFFICULTIES = 3
"""Easy, middle and hard."""

_TENDENCY = np.array([1.0, 0.0, -1.0])  # of the reader's accuracy from easy to hard


@dataclass(frozen=True)
class Cuts:
    """Every split of N images at their uncertainty, from all deferred to none; equal ones together.

    Attributes:
        thresholds: (1 + L,) rising: -inf defers all, +inf none; between, midway between two of the
            L distinct values, so that a small change of a value moves no image.
        levels: (N,) index of each image's value among the distinct ones.
    """

    thresholds: Floats
    levels: NDArray[np.int64]

    def kept(self, values: Floats) -> Floats:
        """(N, k) values that add over images -> (1 + L, k) their sums over what each cut keeps."""
        sums = np.zeros((len(self.thresholds), values.shape[1]))
        np.add.at(sums, self.levels + 1, values)
        return sums.cumsum(axis=0)


def cuts_of(unsure: Floats) -> Cuts:
    """The cuts of (N,) values, at least one."""
    values, levels = np.unique(unsure, return_inverse=True)
    middles = (values[:-1] + values[1:]) / 2
    # of two neighbouring floats the middle may be the upper one, which is to lie above
    middles = np.where(middles < values[1:], middles, values[:-1])
    return Cuts(np.concatenate([[-np.inf], middles, [np.inf]]), levels.astype(np.int64))


def reader_is_right(truth: Floats, accuracy: Floats) -> Floats:
    """(N, Q) truth and (K,) accuracy at each true answer -> (N, Q); 0 where it is unknown."""
    is_known = np.isfinite(truth)
    return np.where(is_known, accuracy[np.where(is_known, truth, 0).astype(np.int64)], 0.0)


def answer_sums(
    is_known: NDArray[np.bool_],
    is_right: NDArray[np.bool_],
    defers: NDArray[np.bool_],
    reader_right: Floats,
) -> Floats:
    """Answers of N images -> (N, Q, 5); all 0 where the truth is unknown.

    Args:
        is_known: (N, Q); True of some of the known answers only = the sums of those.
        is_right: (N, Q) of the model.
        defers: (N,) whether the image is the reader's.
        reader_right: (N, Q) probability that the reader is right.
    """
    is_kept = ~defers[:, None]
    columns = (
        np.ones_like(reader_right),
        is_right,
        np.broadcast_to(is_kept, is_right.shape),
        is_right & is_kept,
        np.where(is_kept, 0.0, reader_right),
    )
    return np.where(is_known[..., None], np.stack(columns, axis=-1), 0.0)


def model_accuracy(sums: Floats) -> Floats:
    """Share that the model has right, on all images."""
    return ratio(sums[..., 1], sums[..., 0])


def kept_accuracy(sums: Floats) -> Floats:
    """Share of the automatic answers that are right; NaN where everything is deferred."""
    return ratio(sums[..., 3], sums[..., 2])


def system_accuracy(sums: Floats) -> Floats:
    """Expected share of right answers: automatic ones of the model, the others of the reader."""
    return ratio(sums[..., 3] + sums[..., 4], sums[..., 0])


def model_errors(sums: Floats) -> Floats:
    """Wrong answers of the model, on all images."""
    return np.asarray(sums[..., 0] - sums[..., 1])


def automatic_errors(sums: Floats) -> Floats:
    """Wrong answers of the model that no reader sees."""
    return np.asarray(sums[..., 2] - sums[..., 3])


def reader_errors(sums: Floats) -> Floats:
    """Expected wrong answers of the reader, on the deferred images."""
    return np.asarray(sums[..., 0] - sums[..., 2] - sums[..., 4])


def cost_per_image(
    errors: ArrayLike,
    deferred: ArrayLike,
    images: ArrayLike,
    *,
    error_cost: float,
    review_cost: float,
) -> Floats:
    """Mean cost of wrong answers, whoever gave them, and of reviewed images."""
    total = error_cost * np.asarray(errors) + review_cost * np.asarray(deferred)
    return ratio(total, images)


def system_accuracy_of_readings(sums: Floats, read: Floats, read_right: Floats) -> Floats:
    """As `system_accuracy`, of a real reader, who may have read a part of what is deferred.

    That part stands for the rest; NaN where none of what is deferred was read.

    Args:
        sums: (..., 5).
        read: (...) known answers on deferred images that the reader gave.
        read_right: (...) those that are right.
    """
    deferred = sums[..., 0] - sums[..., 2]
    by_reader = np.where(deferred > 0, deferred * ratio(read_right, read), 0.0)
    return ratio(sums[..., 3] + by_reader, sums[..., 0])


def terciles(values: Floats) -> NDArray[np.int64]:
    """(N,) -> 0 in the lowest third, 1, 2 in the highest; equal values stay together."""
    if not len(values):
        return np.zeros(0, dtype=np.int64)
    return np.searchsorted(np.quantile(values, [1 / 3, 2 / 3]), values).astype(np.int64)


def difficulty_shifts(
    reader_right: Floats,
    is_known: NDArray[np.bool_],
    difficulty: NDArray[np.int64],
    *,
    shift: float,
) -> Floats:
    """(3,) what to add to the reader's accuracy on easy, middle and hard images.

    One `shift` more, none and one less, moved together so that the mean over the known answers
    stays as it was however unequal the groups are, and made smaller where an accuracy would leave
    0 to 1.

    Args:
        reader_right: (N, Q).
        is_known: (N, Q).
        difficulty: (N,) 0 easy, 1 middle, 2 hard.
        shift: At least 0.
    """
    answers = np.bincount(difficulty, weights=is_known.sum(axis=1), minlength=NUM_DIFFICULTIES)
    known = reader_right[is_known]
    if not known.size:
        return np.zeros(NUM_DIFFICULTIES)
    shifts = shift * (_TENDENCY - (answers @ _TENDENCY) / answers.sum())
    shifts = np.where(answers > 0, shifts, 0.0)
    room = ratio([1 - known.max(), known.min()], [shifts.max(), -shifts.min()])
    return np.asarray(shifts * min(1.0, np.nan_to_num(room, nan=1.0).min()))


def confusion_sums(
    truth: Floats,
    given: NDArray[np.int64],
    defers: NDArray[np.bool_],
    reader_right: Floats,
    *,
    num_answers: int,
    is_ordered: bool,
) -> Floats:
    """(N, 3, K, K) of each image, rows the truth: the model's, the reader's, the system's.

    The model's on every image, the reader's expected ones on the deferred, and the system's, which
    are the model's where it keeps the image and the reader's where it doesn't. A wrong reader's
    answer is spread evenly over the other answers, of ordered ones over the neighbours.

    Args:
        truth: (N, Q), NaN = unknown: counts nowhere.
        given: (N, Q) by the model.
        defers: (N,).
        reader_right: (N, Q) probability that the reader is right.
        num_answers: K.
        is_ordered: Whether the answers are grades.
    """
    model = count_confusion(truth, given, num_classes=num_answers).sum(axis=1)
    is_true = truth[..., None] == np.arange(num_answers)  # (N, Q, K)
    right = np.einsum("nqk,nq->nk", is_true, reader_right)
    wrong = is_true.sum(axis=1) - right
    each = right[..., None] * np.eye(num_answers)
    each = each + wrong[..., None] * _wrong_answers(num_answers, is_ordered=is_ordered)
    is_deferred = defers[:, None, None]
    reader = np.where(is_deferred, each, 0.0)
    return np.stack([model, reader, np.where(is_deferred, reader, model)], axis=1)


def _wrong_answers(num_answers: int, *, is_ordered: bool) -> Floats:
    """(K, K) how a wrong answer is spread over those that aren't the truth of the row."""
    index = np.arange(num_answers)
    distance = np.abs(index[:, None] - index)
    is_taken = (distance == 1) if is_ordered else (distance > 0)
    return np.asarray(is_taken / np.maximum(is_taken.sum(axis=1, keepdims=True), 1))
