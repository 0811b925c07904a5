"""A folder of files to score records: worklist, reading, network, rules, ledger."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from loguru import logger

from csi_predictor.data.prepare import prepare as prepare_image
from csi_predictor.errors import CsiError
from csi_predictor.progress import Progress
from csi_predictor.scoring.duplicates import settle_duplicates
from csi_predictor.scoring.isolation import map_isolated
from csi_predictor.scoring.ledger import Ledger
from csi_predictor.scoring.reading import Prepare, Refusal, read_file
from csi_predictor.scoring.records import Record, ScoreRecord
from csi_predictor.scoring.rules import ScoreRules
from csi_predictor.scoring.scorer import Scorer, Settings, ZonePredictor, hash_setup
from csi_predictor.scoring.studies import StudyRecord, StudyRule, summarize_studies
from csi_predictor.scoring.worklist import WorkItem, Worklist, list_work

if TYPE_CHECKING:
    from csi_predictor.inference.predictor import PredictorFacts
    from csi_predictor.uncertainty.trust import Trust

_WAITING_PER_WORKER = 4


@dataclass(frozen=True, kw_only=True)
class ScoredFolder:
    """All that scoring a folder found out.

    Attributes:
        records: One a file found, by path.
        studies: One a study of the scored ones.
        zones: Order of every zone tuple.
        origin: Of the answers.
        setup_sha256: Of model, settings and program.
        settings: Those that can change a result.
        skipped_dirs: Folders below `input_dir` that hold this program's own results.
        num_kept: Records taken from earlier runs.
        num_read: Files opened in this run.
        started_at: UTC.
        finished_at: UTC.
    """

    records: tuple[Record, ...]
    studies: tuple[StudyRecord, ...]
    zones: tuple[str, ...]
    origin: "PredictorFacts"
    setup_sha256: str
    settings: Settings
    input_dir: Path
    output_dir: Path
    skipped_dirs: tuple[str, ...]
    num_kept: int
    num_read: int
    started_at: datetime
    finished_at: datetime


def score_folder(
    predictor: ZonePredictor,
    *,
    input_dir: Path,
    output_dir: Path,
    own_dirs: Sequence[Path] = (),
    rules: ScoreRules,
    study_rule: StudyRule = "latest",
    workers: int = 0,
    batch_size: int = 16,
    timeout_s: float = 60.0,
    max_megapixels: float = 100.0,
    allow_secondary_capture: bool = False,
    prepare: Prepare | None = None,
    trust: "Trust | None" = None,
    trust_sha256: str = "",
) -> ScoredFolder:
    """Every file of a folder, scored or rejected; nothing but the ledger is written.

    Names and values of files never reach the log: `rejected.csv` is the place to look.

    Args:
        predictor: Answers for prepared pictures.
        input_dir: Searched with all its subfolders.
        output_dir: Holds the ledger of earlier runs.
        own_dirs: More folders where this run writes; they aren't scored.
        rules: From grades to csi and risk.
        study_rule: Which image speaks for a study.
        workers: Processes that read files; 0 = read here, with neither time limit nor protection.
        batch_size: Images a pass of the network.
        timeout_s: Seconds that one file may take to read.
        max_megapixels: A larger picture is refused before it is decoded.
        allow_secondary_capture: Whether DICOM Secondary Capture is scored.
        prepare: Path -> `Prepared`, picklable; None = `data.prepare.prepare`.
        trust: What the model's bundle keeps of calibration, prediction sets and triage.
        trust_sha256: Of its file.

    Raises:
        ConfigError: The folders are missing, empty, unreadable, equal or in use.
        ResourceError: The disk is full.
        CsiError: The network lacks memory, or the processes can't be started.
    """
    started_at = datetime.now(UTC)
    settings = {
        **asdict(rules),
        "max_megapixels": max_megapixels,
        "allow_secondary_capture": allow_secondary_capture,
        "trust_sha256": trust_sha256,
    }
    scorer = Scorer(predictor, rules, hash_setup(predictor, settings), trust)
    prepare = prepare or partial(
        prepare_image,
        spec=predictor.input_spec,
        max_megapixels=max_megapixels,
        allow_secondary_capture=allow_secondary_capture,
    )
    worklist = list_work(input_dir, own_dirs=(output_dir, *own_dirs))
    with Ledger(output_dir, setup_sha256=scorer.setup_sha256) as ledger:
        known, new = _look_up(worklist.items, ledger)
        _log_start(worklist, num_kept=len(known), num_new=len(new))
        fresh = _score_new(
            new,
            scorer,
            ledger,
            prepare=prepare,
            workers=workers,
            batch_size=batch_size,
            timeout_s=timeout_s,
        )
    refused = [
        scorer.reject(entry.name, Refusal(entry.reason, entry.detail)) for entry in worklist.refused
    ]
    records = settle_duplicates([*known, *fresh, *refused])
    _check_accounts(worklist, records)
    scored = [record for record in records if isinstance(record, ScoreRecord)]
    return ScoredFolder(
        records=records,
        studies=summarize_studies(scored, study_rule=study_rule, rules=rules),
        zones=predictor.zones,
        origin=predictor.facts,
        setup_sha256=scorer.setup_sha256,
        settings={**settings, "study_rule": study_rule},
        input_dir=input_dir,
        output_dir=output_dir,
        skipped_dirs=worklist.skipped_dirs,
        num_kept=len(known),
        num_read=len(new),
        started_at=started_at,
        finished_at=datetime.now(UTC),
    )


def _look_up(items: Sequence[WorkItem], ledger: Ledger) -> tuple[list[Record], list[WorkItem]]:
    """Records of the files that are known, and the files that aren't."""
    found = [(item, ledger.find(item)) for item in items]
    known = [record for _, record in found if record is not None]
    return known, [item for item, record in found if record is None]


def _log_start(worklist: Worklist, *, num_kept: int, num_new: int) -> None:
    logger.info(
        "{} files found: {} to score, {} known from earlier runs, {} refused unopened",
        len(worklist),
        num_new,
        num_kept,
        len(worklist.refused),
    )
    if worklist.skipped_dirs:
        logger.info("OUTPUT_DIR or RUN_DIR lies in INPUT_DIR: what is in it isn't scored")


def _score_new(
    items: Sequence[WorkItem],
    scorer: Scorer,
    ledger: Ledger,
    *,
    prepare: Prepare,
    workers: int,
    batch_size: int,
    timeout_s: float,
) -> list[Record]:
    """A record a file, each booked as soon as it is known."""
    records = []
    outcomes = map_isolated(
        partial(read_file, prepare=prepare),
        items,
        workers=min(workers, len(items)),
        timeout_s=timeout_s,
        window=batch_size + _WAITING_PER_WORKER * workers,
    )
    with closing(outcomes), Progress("scoring", len(items), unit="files") as progress:
        for item, record in scorer.score(zip(items, outcomes, strict=True), batch_size=batch_size):
            ledger.book(item, record)
            records.append(record)
            progress.advance()
    return records


def _check_accounts(worklist: Worklist, records: Sequence[Record]) -> None:
    """Every file found has exactly one record.

    Raises:
        CsiError: It hasn't: a defect of this program.
    """
    found = sorted(
        [item.name for item in worklist.items] + [entry.name for entry in worklist.refused]
    )
    if [record.path for record in records] != found:
        raise CsiError(
            f"{len(found)} files were found, but {len(records)} have a state: this is a defect of "
            "CSI-Predictor: no table was written"
        )
