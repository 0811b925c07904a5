"""The tables of a scored folder: scores.csv, studies.csv, rejected.csv and summary.json."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from itertools import zip_longest
from pathlib import Path
from typing import Any

from loguru import logger

from csi_predictor.errors import CsiError
from csi_predictor.files import write_text
from csi_predictor.reporting.tables import Cell, write_table
from csi_predictor.scoring.records import RejectedRecord, ScoreRecord
from csi_predictor.scoring.score import ScoredFolder
from csi_predictor.scoring.studies import StudyRecord
from csi_predictor.versions import library_versions

INTENDED_USE = "research use, not for diagnosis"


def write_scores(scored: ScoredFolder, *, ini_sha256: str = "") -> dict[str, Any]:
    """Write the tables of a scored folder into its `output_dir`, each whole or not at all.

    Args:
        scored: Its records hold patient data, and so do the tables.
        ini_sha256: Of the resolved INI, for the summary.

    Returns:
        What `summary.json` holds.

    Raises:
        ResourceError: The disk is full.
        CsiError: A table is open in another program.
    """
    scores = [record for record in scored.records if isinstance(record, ScoreRecord)]
    rejected = [record for record in scored.records if isinstance(record, RejectedRecord)]
    summary = _summarize(scored, scores, rejected, ini_sha256)
    zones = scored.zones
    folder = scored.output_dir
    with _told_when_locked(folder):
        write_table(folder / "scores.csv", _score_columns(zones), map(_score_cells, scores))
        write_table(
            folder / "studies.csv", _study_columns(zones), map(_study_cells, scored.studies)
        )
        write_table(folder / "rejected.csv", _REJECTED_COLUMNS, map(_rejected_cells, rejected))
        write_text(folder / "summary.json", json.dumps(summary, indent=2) + "\n")
    for reason, count in summary["by_reason"].items():
        logger.info("Rejected as {}: {}", reason, count)
    return summary


_TRUST_PARTS = ("confidence", "lowest", "highest")
_REJECTED_COLUMNS = ("path", "state", "reason", "detail", "file_sha256", "setup_sha256")


def _score_columns(zones: Sequence[str]) -> tuple[str, ...]:
    return (
        *("path", "sop_instance_uid", "study_instance_uid", "series_instance_uid"),
        *("patient_id", "study_date", "view_position"),
        *(f"{zone}{part}" for zone in zones for part in ("", "_expected", "_p_ungradable")),
        *("csi", "risk", "quality", "model_id", "model_sha256", "config_sha256"),
        *("decoder", "engine", "software_version", "scored_at"),
        *("csi_expected", "acquired_at", "reading_notes", "file_sha256", "setup_sha256"),
        *("triage", "unsure"),
        *(f"{zone}_{part}" for zone in zones for part in _TRUST_PARTS),
    )


def _score_cells(record: ScoreRecord) -> Iterator[Cell]:
    yield from (record.path, record.sop_instance_uid, record.study_instance_uid)
    yield from (record.series_instance_uid, record.patient_id, record.study_date)
    yield record.view_position
    for zone in zip(record.grades, record.expected, record.p_ungradable, strict=True):
        yield from zone
    yield from (record.csi, record.risk, record.quality)
    yield from (record.model_id, record.model_sha256, record.config_sha256)
    yield from (record.decoder, record.engine, record.software_version, record.scored_at)
    yield from (record.csi_expected, record.acquired_at, record.reading_notes)
    yield from (record.file_sha256, record.setup_sha256)
    yield from (record.triage, record.unsure)
    for parts in zip_longest(record.confidence, record.lowest, record.highest):
        yield from parts
    if not (record.confidence or record.lowest):
        yield from (None,) * len(_TRUST_PARTS) * len(record.grades)


def _study_columns(zones: Sequence[str]) -> tuple[str, ...]:
    return (
        *("study_instance_uid", "patient_id", "study_date", "num_images", "num_graded"),
        *("study_rule", "path", *zones, "csi", "csi_expected", "risk", "quality"),
        *("model_id", "model_sha256", "config_sha256"),
    )


def _study_cells(study: StudyRecord) -> Iterator[Cell]:
    yield from (study.study_instance_uid, study.patient_id, study.study_date)
    yield from (study.num_images, study.num_graded, study.study_rule, study.path)
    yield from study.grades
    yield from (study.csi, study.csi_expected, study.risk, study.quality)
    yield from (study.model_id, study.model_sha256, study.config_sha256)


def _rejected_cells(record: RejectedRecord) -> Iterator[Cell]:
    yield from (record.path, "rejected", record.reason, record.detail)
    yield from (record.file_sha256, record.setup_sha256)


def _summarize(
    scored: ScoredFolder,
    scores: Sequence[ScoreRecord],
    rejected: Sequence[RejectedRecord],
    ini_sha256: str,
) -> dict[str, Any]:
    seconds = (scored.finished_at - scored.started_at).total_seconds()
    return {
        "intended_use": INTENDED_USE,
        "input_dir": str(scored.input_dir),
        "output_dir": str(scored.output_dir),
        "skipped_dirs": list(scored.skipped_dirs),
        "started_at": scored.started_at.isoformat(timespec="seconds"),
        "finished_at": scored.finished_at.isoformat(timespec="seconds"),
        "seconds": round(seconds, 3),
        "found": len(scored.records),
        "scored": len(scores),
        "rejected": len(rejected),
        "kept_from_earlier_runs": scored.num_kept,
        "read": scored.num_read,
        "studies": len(scored.studies),
        "files_per_s": round(scored.num_read / seconds, 3) if seconds > 0 else None,
        "by_state": {"scored": len(scores), "rejected": len(rejected)},
        "by_reason": dict(sorted(Counter(record.reason for record in rejected).items())),
        "by_triage": dict(sorted(Counter(record.triage or "none" for record in scores).items())),
        "by_risk": dict(sorted(Counter(record.risk or "none" for record in scores).items())),
        "settings": dict(scored.settings),
        "model": asdict(scored.origin),
        "ini_sha256": ini_sha256,
        "setup_sha256": scored.setup_sha256,
        "versions": library_versions(),
    }


@contextmanager
def _told_when_locked(folder: Path) -> Iterator[None]:
    try:
        yield
    except PermissionError as error:
        raise CsiError(
            f"{error.filename2 or folder}: can't be replaced ({error.strerror}): close it in other "
            "programs and run it again; no score is lost"
        ) from error
