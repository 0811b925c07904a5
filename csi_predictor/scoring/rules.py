"""The rules between a reading and its record: which images count, and what grades amount to."""

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from csi_predictor.data.image import SourceFacts
from csi_predictor.scoring.reading import Refusal
from csi_predictor.scoring.records import Risk

Unsure = Literal["ignore", "flag", "withhold"]

_LATERAL_WORDS = {"LL", "RL", "LAT", "LATERAL", "LLAT", "RLAT"}
_DECUBITUS_WORDS = {"LLD", "RLD", "DECUBITUS", "DECUB"}
_PORTABLE_WORDS = {"PORTABLE", "BEDSIDE", "MOBILE"}
_CHEST_WORDS = {"CHEST", "THORAX", "TORAX", "LUNG", "LUNGS", "CHESTABDOMEN", "CHESTABDPELVIS"}
_LONGEST_SHOWN = 16  # a DICOM code string's own limit


@dataclass(frozen=True, kw_only=True)
class ScoreRules:
    """What [SCORING] says of grades.

    Attributes:
        min_gradable_zones: Fewer give no csi and no risk.
        ungradable_threshold: From this probability on a zone's grade is withheld.
        risk_medium_above: A csi above it is of medium risk.
        risk_high_above: A csi above it is of high risk.
        unsure: What becomes of an image that the bundle's triage gives to a reader: `ignore`,
            `flag` in its quality, or `withhold` its csi and risk.
    """

    min_gradable_zones: int = 3
    ungradable_threshold: float = 0.5
    risk_medium_above: float = 1.3
    risk_high_above: float = 2.2
    unsure: Unsure = "flag"


def refuse(facts: SourceFacts) -> Refusal | None:
    """Why the header forbids a score, else None.

    Source:
        View Position: PS3.3 C.8.1.1 and C.8.11.5; Patient Orientation: PS3.3 C.7.6.1.1.1.
    """
    if facts.view_position and _is_lateral(facts.view_position):
        found = f"(0018,5101) View Position = {facts.view_position[:_LONGEST_SHOWN]}"
        return Refusal("LATERAL", f"{found}: expected a frontal view", facts.sha256)
    if not facts.view_position and _runs_front_to_back(facts):
        found = f"(0020,0020) Patient Orientation = {facts.patient_orientation[0][:3]} along a row"
        return Refusal("LATERAL", f"{found}: expected L or R, a frontal view", facts.sha256)
    if facts.body_part_examined and not _words(facts.body_part_examined) & _CHEST_WORDS:
        found = f"(0018,0015) Body Part Examined = {facts.body_part_examined[:_LONGEST_SHOWN]}"
        return Refusal("NOT_CHEST", f"{found}: expected CHEST", facts.sha256)
    return None


def note_quality(
    facts: SourceFacts, grades: Sequence[int | None], *, min_gradable_zones: int
) -> str:
    """What to beware of with a score, separated by `; `; `ok` when nothing is known."""
    notes = [*_header_notes(facts), *_reader_notes(facts)]
    num_gradable = sum(grade is not None for grade in grades)
    if num_gradable < len(grades):
        few = ": no csi" if num_gradable < min_gradable_zones else ""
        notes.append(f"{num_gradable} of {len(grades)} zones gradable{few}")
    return "; ".join(notes) or "ok"


def mean_of_gradable(values: Sequence[float | None], *, min_gradable_zones: int) -> float | None:
    """Mean of the zones that aren't None; None, never 0, when there are too few."""
    gradable = [value for value in values if value is not None]
    if not gradable or len(gradable) < min_gradable_zones:
        return None
    return math.fsum(gradable) / len(gradable)


def risk_of(csi: float | None, rules: ScoreRules) -> Risk:
    """The class of a mean grade; empty, never low, without one."""
    if csi is None:
        return ""
    if csi > rules.risk_high_above:
        return "high"
    return "medium" if csi > rules.risk_medium_above else "low"


def _words(value: str) -> set[str]:
    return set(re.findall(r"[A-Z]+", value.upper()))


def _is_lateral(view_position: str) -> bool:
    """Seen from the side; a lateral decubitus is a frontal view of a patient on the side."""
    words = _words(view_position)
    return bool(words & _LATERAL_WORDS) and not words & _DECUBITUS_WORDS


def _runs_front_to_back(facts: SourceFacts) -> bool:
    """A row of the picture runs to anterior or posterior, as only in a lateral view."""
    return bool(facts.patient_orientation) and facts.patient_orientation[0][:1] in ("A", "P")


def _header_notes(facts: SourceFacts) -> list[str]:
    if facts.format != "dicom":
        return ["no DICOM header: view and body part unknown"]
    notes = [_view_note(_words(facts.view_position))]
    if _words(facts.view_position) & _PORTABLE_WORDS:
        notes.append("portable")
    if facts.view_position and _runs_front_to_back(facts):
        notes.append("view and patient orientation disagree")
    notes += _orientation_notes(facts.patient_orientation)
    if not facts.body_part_examined:
        notes.append("body part unknown")
    return [note for note in notes if note]


def _orientation_notes(patient_orientation: Sequence[str]) -> Iterator[str]:
    """How the picture lies, if not with the patient's right on its left and the head on top.

    Source:
        PS3.3 C.7.6.1.1.1: where a row runs to, and where a column runs to; the first letter of
        each is the main direction.
    """
    row, column = (*(value[:1].upper() for value in patient_orientation[:2]), "", "")[:2]
    if row == "R":
        yield "mirrored by Patient Orientation"
    if row in ("H", "F"):
        yield "turned by Patient Orientation"
    if column == "H":
        yield "upside down by Patient Orientation"


def _reader_notes(facts: SourceFacts) -> list[str]:
    """All of the reader's notes but the VOI rule, which every file has."""
    return [note for note in facts.notes if not note.startswith("voi: ")]


def _view_note(words: set[str]) -> str:
    if not words:
        return "view unknown"
    if words & _DECUBITUS_WORDS:
        return "lying on the side"
    if "AP" in words:
        return "AP view"
    return "" if "PA" in words else "unusual view"
