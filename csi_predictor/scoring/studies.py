"""One answer a study, by the INI's rule."""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from csi_predictor.scoring.records import Risk, ScoreRecord
from csi_predictor.scoring.rules import ScoreRules, risk_of

StudyRule = Literal["latest", "worst", "mean"]


@dataclass(frozen=True, kw_only=True)
class StudyRecord:
    """A study's answer.

    Attributes:
        study_instance_uid: Empty for an image without one, which is a study of its own.
        num_images: Scored images of the study.
        num_graded: Those of them with a csi.
        path: The image that speaks for the study; empty for the mean of several.
        grades: One a zone; for the mean of several images a mean grade; None = ungradable.
        csi: None when no image has one.
        quality: Of the image that speaks; for the mean, of all.
    """

    study_instance_uid: str
    patient_id: str
    study_date: str
    num_images: int
    num_graded: int
    study_rule: StudyRule
    path: str
    grades: tuple[float | None, ...]
    csi: float | None
    csi_expected: float | None
    risk: Risk
    quality: str
    model_id: str
    model_sha256: str
    config_sha256: str


def summarize_studies(
    records: Iterable[ScoreRecord], *, study_rule: StudyRule, rules: ScoreRules
) -> tuple[StudyRecord, ...]:
    """One record a study, in the order of their first image.

    Only images with a csi speak; when a study has none, its latest image says so.

    Args:
        records: Scored images.
        study_rule: `latest` by acquisition time (else study date), then path; `worst` = highest
            csi, the latest of equals; `mean` over the images.
        rules: Classes of risk.
    """
    studies: dict[tuple[str, str], list[ScoreRecord]] = defaultdict(list)
    for record in records:
        uid = record.study_instance_uid
        studies[(uid, "" if uid else record.path)].append(record)
    return tuple(
        _summarize(images, study_rule=study_rule, rules=rules) for images in studies.values()
    )


def _summarize(
    images: Sequence[ScoreRecord], *, study_rule: StudyRule, rules: ScoreRules
) -> StudyRecord:
    graded = [image for image in images if image.csi is not None]
    by_time = sorted(graded or images, key=lambda image: (_time_of(image), image.path))
    if study_rule == "mean" and len(graded) > 1:
        speakers = by_time
    elif study_rule == "worst":
        speakers = [max(by_time, key=lambda image: (image.csi or 0.0, _time_of(image), image.path))]
    else:
        speakers = by_time[-1:]
    last = speakers[-1]
    csi = _mean([image.csi for image in speakers])
    return StudyRecord(
        study_instance_uid=last.study_instance_uid,
        patient_id=last.patient_id,
        study_date=last.study_date,
        num_images=len(images),
        num_graded=len(graded),
        study_rule=study_rule,
        path=last.path if len(speakers) == 1 else "",
        grades=tuple(_mean(zone) for zone in zip(*(i.grades for i in speakers), strict=True)),
        csi=csi,
        csi_expected=_mean([image.csi_expected for image in speakers]),
        risk=risk_of(csi, rules),
        quality=_joined([image.quality for image in speakers]),
        model_id=last.model_id,
        model_sha256=last.model_sha256,
        config_sha256=last.config_sha256,
    )


def _time_of(image: ScoreRecord) -> str:
    return image.acquired_at or image.study_date


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if known else None


def _joined(qualities: Sequence[str]) -> str:
    notes = dict.fromkeys(
        note for quality in qualities for note in quality.split("; ") if note != "ok"
    )
    return "; ".join(notes) or "ok"
