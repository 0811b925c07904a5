"""One instance, one score: files that claim the same SOP Instance UID."""

from collections import defaultdict
from collections.abc import Iterable

from csi_predictor.scoring.records import Record, RejectedRecord, ScoreRecord


def settle_duplicates(records: Iterable[Record]) -> tuple[Record, ...]:
    """The records by path, with repeated instances rejected.

    Of equal files the first by path keeps its score. Files that share a UID and differ are all
    rejected, for nothing tells which one is the instance. Files without a UID are never repeated.
    """
    by_path = sorted(records, key=lambda record: record.path)
    instances: dict[str, list[ScoreRecord]] = defaultdict(list)
    for record in by_path:
        if isinstance(record, ScoreRecord) and record.sop_instance_uid:
            instances[record.sop_instance_uid].append(record)
    rejected = {
        loser.path: loser for files in instances.values() for loser in _reject_repeated(files)
    }
    return tuple(rejected.get(record.path, record) for record in by_path)


def _reject_repeated(files: list[ScoreRecord]) -> list[RejectedRecord]:
    if len({record.file_sha256 for record in files}) > 1:
        return [
            _rejected(record, "other files claim this UID with other content") for record in files
        ]
    return [_rejected(record, f"same content as {files[0].path}") for record in files[1:]]


def _rejected(record: ScoreRecord, detail: str) -> RejectedRecord:
    return RejectedRecord(
        path=record.path,
        reason="DUPLICATE_UID",
        detail=f"(0008,0018) SOP Instance UID is not unique: {detail}",
        file_sha256=record.file_sha256,
        setup_sha256=record.setup_sha256,
    )
