"""What scoring says of one file: a score or a rejection."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from csi_predictor.errors import ReasonCode

Risk = Literal["", "low", "medium", "high"]
Triage = Literal["", "automatic", "reader"]


@dataclass(frozen=True, kw_only=True)
class ScoreRecord:
    """The grades of one image; texts are empty where the file says nothing.

    Attributes:
        path: Below the scored folder, with forward slashes.
        acquired_at: `YYYYMMDDHHMMSS.F`, as far as known.
        grades: One a zone, 0-3; None = ungradable.
        expected: One a zone, mean of the grade's distribution, 0-3, whether gradable or not.
        p_ungradable: One a zone.
        csi: Mean grade of the gradable zones; None when too few are gradable, never 0.
        csi_expected: Mean of `expected` over the same zones; None with `csi`.
        risk: Empty with `csi`.
        quality: `ok`, or what to beware of, separated by `; `.
        reading_notes: What the reader decided on the way, separated by `; `.
        scored_at: UTC, ISO 8601.
        file_sha256: Of the file's content.
        setup_sha256: Of model, settings and program: equal means comparable.
        confidence: One a zone, probability of the grade, calibrated as the bundle says; None of
            an ungradable one; empty where the bundle keeps no trust.
        lowest: One a zone, where its prediction set begins; None of an ungradable one; empty where
            the bundle keeps none.
        highest: One a zone, where it ends.
        unsure: How unsure the image is, in the triage's measure; None without triage.
        triage: `automatic`, or `reader` where the bundle's triage gives the image to one; empty
            without triage.
    """

    path: str
    sop_instance_uid: str
    study_instance_uid: str
    series_instance_uid: str
    patient_id: str
    study_date: str
    acquired_at: str
    view_position: str
    grades: tuple[int | None, ...]
    expected: tuple[float, ...]
    p_ungradable: tuple[float, ...]
    csi: float | None
    csi_expected: float | None
    risk: Risk
    quality: str
    model_id: str
    model_sha256: str
    config_sha256: str
    decoder: str
    engine: str
    software_version: str
    scored_at: str
    reading_notes: str
    file_sha256: str
    setup_sha256: str
    confidence: tuple[float | None, ...] = ()
    lowest: tuple[int | None, ...] = ()
    highest: tuple[int | None, ...] = ()
    unsure: float | None = None
    triage: Triage = ""


@dataclass(frozen=True, kw_only=True)
class RejectedRecord:
    """Why a file has no score; the detail is free of patient data."""

    path: str
    reason: ReasonCode
    detail: str
    file_sha256: str
    setup_sha256: str


Record = ScoreRecord | RejectedRecord


def encode_record(record: Record) -> dict[str, Any]:
    """A record as JSON values; the inverse of `decode_record`."""
    return asdict(record)


def decode_record(values: Mapping[str, Any]) -> Record:
    """A record from JSON values.

    Raises:
        TypeError: A field is missing or unknown.
    """
    if "reason" in values:
        return RejectedRecord(**values)
    arguments: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in values.items()
    }
    return ScoreRecord(**arguments)
