"""The columns of `predictions.csv` that say how far each answer can be trusted."""

from collections.abc import Iterator

import numpy as np

from csi_predictor.reporting.tables import Cell
from csi_predictor.uncertainty.trust import TrustedAnswers


def trust_columns(answers: TrustedAnswers) -> tuple[str, ...]:
    """`unsure`, `triage`, and of each question what its prediction set holds.

    Of grades a question has also its `_confidence`, and the set's `_lowest` and `_highest`; of
    labels and classes `_set` names the answers, separated by `; `.
    """
    questions = answers.questions
    parts = ("confidence", "lowest", "highest") if questions.is_ordered else ("set",)
    return "unsure", "triage", *(f"{name}_{part}" for name in questions.names for part in parts)


def trust_cells(answers: TrustedAnswers, index: int) -> Iterator[Cell]:
    """One image's cells; empty where nothing was fitted."""
    questions, sets = answers.questions, answers.sets
    defers = next(iter(answers.defers.values()), None)
    yield float(answers.unsure[index])
    yield None if defers is None else "reader" if defers[index] else "automatic"
    for place in range(len(questions.names)):
        members = [] if sets is None else np.flatnonzero(sets[index, place]).tolist()
        if questions.is_ordered:
            yield float(questions.confidence[index, place])
            yield from (members[0], members[-1]) if members else (None, None)
        else:
            yield "; ".join(questions.answers[member] for member in members) or None
