"""What a bundle's trust says of scored images: how sure each grade is, and who should look."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypedDict, TypeVar

import numpy as np

from csi_predictor.inference.predictions import Floats, Predictions
from csi_predictor.inference.spread import Spread
from csi_predictor.scoring.records import ScoreRecord, Triage
from csi_predictor.scoring.rules import ScoreRules, Unsure
from csi_predictor.specs import ZONES
from csi_predictor.uncertainty.trust import Trust, TrustedAnswers, apply_trust

Value = TypeVar("Value")


class TrustFields(TypedDict):
    """Of a `ScoreRecord`."""

    confidence: tuple[float | None, ...]
    lowest: tuple[int | None, ...]
    highest: tuple[int | None, ...]
    unsure: float | None
    triage: Triage


@dataclass(frozen=True)
class Judged:
    """A batch's answers under a trust."""

    answers: TrustedAnswers
    confidence: Floats

    def fields(self, index: int, grades: Sequence[int | None]) -> TrustFields:
        """What stands in the record of one image of the batch whose zones have these grades."""
        sets, defers = self.answers.sets, self.answers.defers
        members = [] if sets is None else [np.flatnonzero(zone).tolist() for zone in sets[index]]
        first = next(iter(defers.values()), None)
        triage: Triage = "" if first is None else "reader" if first[index] else "automatic"
        return TrustFields(
            confidence=_of_graded(self.confidence[index].tolist(), grades),
            lowest=_of_graded([each[0] for each in members], grades),
            highest=_of_graded([each[-1] for each in members], grades),
            unsure=float(self.answers.unsure[index]) if triage else None,
            triage=triage,
        )


def _of_graded(values: Sequence[Value], grades: Sequence[int | None]) -> tuple[Value | None, ...]:
    """The values of zones that have a grade, None of the others; none at all of no values."""
    return tuple(
        value if grade is not None else None
        for value, grade in zip(values, grades[: len(values)], strict=True)
    )


def judge_batch(
    trust: Trust, grade_probs: Floats, p_ungradable: Floats, spread: Spread, rules: ScoreRules
) -> Judged:
    """What a trust says of a batch; the first of its triage policies decides.

    Args:
        trust: Fitted on other images.
        grade_probs: (B, Z, 4), finite.
        p_ungradable: (B, Z).
        spread: Of the passes over the batch.
        rules: Of [SCORING].
    """
    names = tuple(str(index) for index in range(len(grade_probs)))
    answers = apply_trust(
        trust,
        Predictions(
            file_ids=names,
            patient_ids=names,
            paths=tuple(map(Path, names)),
            targets=np.full(p_ungradable.shape, np.nan),
            grade_probs=grade_probs,
            p_ungradable=p_ungradable,
            ungradable_threshold=rules.ungradable_threshold,
            min_gradable_zones=rules.min_gradable_zones,
            spread=spread,
        ),
    )
    return Judged(answers, answers.questions.confidence)


def heed(record: ScoreRecord, unsure: Unsure, zones: Sequence[str] = ZONES) -> ScoreRecord:
    """A record whose image goes to a reader, flagged or with its csi withheld as the INI says."""
    if record.triage != "reader" or unsure == "ignore":
        return record
    graded = [
        (share, zone)
        for share, zone in zip(record.confidence, zones, strict=True)
        if share is not None
    ]
    least = f" (least sure: {min(graded)[1]})" if graded else ""
    note = f"unsure, give it to a reader{least}"
    if unsure == "withhold":
        note = f"csi withheld: {note}"
        record = replace(record, csi=None, csi_expected=None, risk="")
    return replace(record, quality=note if record.quality == "ok" else f"{record.quality}; {note}")
