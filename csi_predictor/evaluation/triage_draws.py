"""What triage is measured on, and its sums in each draw of patients."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from csi_predictor.inference.predictions import Floats
from csi_predictor.inference.questions import Questions
from csi_predictor.metrics import deferral
from csi_predictor.metrics.bootstrap import Resampling
from csi_predictor.metrics.counts import ratio
from csi_predictor.uncertainty.triage import TriageSettings, check_unsure, critical_truths

DIFFICULTIES = ("easy", "middle", "hard")
_BY_READERS = "how far the second reader is from the truth"
_BY_MODEL = "the model's uncertainty"


@dataclass(frozen=True, kw_only=True)
class TriageCase:
    """N images, and what is assumed of their reader.

    Attributes:
        questions: What was asked, believed and true.
        unsure: (N,) uncertainty of the image.
        settings: Costs, critical answers, the reader's accuracy.
        resampling: Of the images.
        reader_right: (N, Q) probability that the reader is right, by the true answer.
        difficulty: (N,) index into `DIFFICULTIES`.
        difficulty_from: What it rests on.
        shifts: (3,) what a reader for whom hard cases are harder has more at each difficulty.
        is_critical: (N, Q) whether the truth is a critical answer.
        second_reader: (N, Q) another reader's answers, NaN = none; all NaN without one.
        has_second_reader: Whether there is one.
    """

    questions: Questions
    unsure: Floats
    settings: TriageSettings
    resampling: Resampling
    reader_right: Floats
    difficulty: NDArray[np.int64]
    difficulty_from: str
    shifts: Floats
    is_critical: NDArray[np.bool_]
    second_reader: Floats
    has_second_reader: bool


def triage_case(
    questions: Questions,
    unsure: Floats,
    *,
    settings: TriageSettings,
    resampling: Resampling,
    second_reader: Floats | None,
) -> TriageCase:
    """Everything that is the same for all policies; see `triage.triage_block`."""
    check_unsure(questions, unsure)
    if second_reader is None:
        second = np.full(questions.targets.shape, np.nan)
    else:
        second = np.asarray(second_reader, dtype=np.float64)
        _check_second_reader(questions, second)
    reader_right = deferral.reader_is_right(questions.targets, settings.reader_by_answer(questions))
    difficulty, source = _difficulty(questions, unsure, second)
    return TriageCase(
        questions=questions,
        unsure=unsure,
        settings=settings,
        resampling=resampling,
        reader_right=reader_right,
        difficulty=difficulty,
        difficulty_from=source,
        shifts=deferral.difficulty_shifts(
            reader_right, questions.is_known, difficulty, shift=settings.difficulty_shift
        ),
        is_critical=critical_truths(questions, settings.critical),
        second_reader=second,
        has_second_reader=second_reader is not None,
    )


def sums_of(case: TriageCase, defers: NDArray[np.bool_]) -> dict[str, Floats]:
    """The sums of one system in each draw (1 + R, ...).

    Answers as in `metrics.deferral`: `questions` (Q, 5), `answers` by the true one (C, 5),
    `difficulty` (3, 5), `harder` (3, 5) the same with a reader for whom hard cases are harder,
    `critical` (5,) of the critical truths. `images` (3, 2) all and deferred by difficulty, `second`
    (2,) deferred answers that the second reader gave and gave right, `reader_errors` of a reader
    who gets every image.

    Args:
        case: The images.
        defers: (N,) True of those that the reader gets.
    """
    questions = case.questions
    known, right = questions.is_known, questions.is_right
    harder_right = np.where(known, case.reader_right + case.shifts[case.difficulty][:, None], 0.0)
    each = deferral.answer_sums(known, right, defers, case.reader_right)
    harder = deferral.answer_sums(known, right, defers, harder_right).sum(axis=1)
    critical = deferral.answer_sums(case.is_critical, right, defers, case.reader_right).sum(axis=1)
    is_true = questions.targets[..., None] == np.arange(len(questions.answers))
    is_of = case.difficulty[:, None] == np.arange(len(DIFFICULTIES))
    images = np.stack([np.ones(len(questions)), defers], axis=1)
    return _resampled(
        case.resampling,
        {
            "questions": each,
            "answers": np.einsum("nqc,nqk->nck", is_true, each),
            "difficulty": is_of[..., None] * each.sum(axis=1, keepdims=True),
            "harder": is_of[..., None] * harder[:, None],
            "critical": critical,
            "images": is_of[..., None] * images[:, None],
            "second": _readings(case, defers),
            "reader_errors": known.sum(axis=1) - case.reader_right.sum(axis=1),
        },
    )


def _check_second_reader(questions: Questions, second: Floats) -> None:
    if second.shape != questions.targets.shape:
        raise ValueError(
            f"second_reader has shape {second.shape}: expected {questions.targets.shape}"
        )
    known = second[~np.isnan(second)]
    highest = len(questions.answers) - 1
    wrong = known[~np.isin(known, np.arange(highest + 1))]
    if wrong.size:
        raise ValueError(
            f"second_reader holds {wrong[0]:g}: expected 0 to {highest}, or NaN for no answer"
        )


def _difficulty(
    questions: Questions, unsure: Floats, second: Floats
) -> tuple[NDArray[np.int64], str]:
    """(N,) tercile of the readers' disagreement; without two readings, of the uncertainty."""
    by_model = deferral.terciles(unsure)
    apart = np.abs(second - questions.targets)
    distance = apart if questions.is_ordered else np.where(np.isnan(apart), np.nan, apart > 0)
    is_read = ~np.isnan(distance)
    has_two = is_read.any(axis=1)
    if not has_two.any():
        return by_model, _BY_MODEL
    disagreement = ratio(np.where(is_read, distance, 0).sum(axis=1), is_read.sum(axis=1))
    difficulty = by_model.copy()
    difficulty[has_two] = deferral.terciles(disagreement[has_two])
    rest = "" if has_two.all() else f"; of images without a second reading, {_BY_MODEL}"
    return difficulty, _BY_READERS + rest


def _readings(case: TriageCase, defers: NDArray[np.bool_]) -> Floats:
    """(N, 2) known answers on deferred images that the second reader gave, and gave right."""
    is_read = case.questions.is_known & ~np.isnan(case.second_reader) & defers[:, None]
    is_right = is_read & (case.second_reader == case.questions.targets)
    return np.stack([is_read.sum(axis=1), is_right.sum(axis=1)], axis=1).astype(np.float64)


def _resampled(resampling: Resampling, tables: Mapping[str, Floats]) -> dict[str, Floats]:
    """(N, ...) each -> (1 + R, ...) each, in one pass over the draws."""
    shapes = {name: table.shape[1:] for name, table in tables.items()}
    widths = [int(np.prod(shape)) for shape in shapes.values()]
    num_images = len(resampling.patient_index)
    flat = [
        table.reshape(num_images, width)
        for table, width in zip(tables.values(), widths, strict=True)
    ]
    values = np.concatenate(flat, axis=1, dtype=np.float64)
    # of no image `sums` can't tell the width
    sums = resampling.sums(values) if num_images else np.zeros((1, values.shape[1]))
    parts = np.split(sums, np.cumsum(widths)[:-1], axis=1)
    return {
        name: part.reshape(len(sums), *shape)
        for (name, shape), part in zip(shapes.items(), parts, strict=True)
    }
