"""The embedded data set: phantom radiographs as DICOM files with their labels table."""

import csv
import hashlib
import io
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from functools import lru_cache, partial
from multiprocessing import get_context
from pathlib import Path
from typing import Final

import numpy as np
from loguru import logger
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_file_meta_info
from pydicom.uid import generate_uid
from threadpoolctl import ThreadpoolController

from csi_predictor.files import write_text
from csi_predictor.progress import Progress
from csi_predictor.specs import ZONES
from csi_predictor.synthesis.cases import Case, plan_cases, study_rng
from csi_predictor.synthesis.dicom_files import (
    TRANSFER_SYNTAXES,
    RadiographFacts,
    VoiFunction,
    write_radiograph,
)
from csi_predictor.synthesis.render import render_case
from csi_predictor.synthesis.thorax import FIELD_OF_VIEW_MM

RECIPE: Final = 1
"""Raised when the same parameters draw other pictures: an older set is then drawn anew."""

FACTS_STREAM = 2
FIRST_DATE: Final = date(2024, 1, 1)
VOI_FUNCTIONS: Final[tuple[VoiFunction, ...]] = (
    "LINEAR",
    "LINEAR",
    "LINEAR",
    "LINEAR_EXACT",
    "SIGMOID",
    "NONE",
)


@dataclass(frozen=True, slots=True)
class StudySet:
    """Where a set of phantom studies lies.

    Attributes:
        images_dir: Folder of the DICOM files.
        labels_csv: Their table, separated by `;`.
        count: Studies in it.
    """

    images_dir: Path
    labels_csv: Path
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Everything that decides a set; two sets of one recipe are the same to the byte.

    Attributes:
        count: Studies.
        size: Edge of a picture in pixels.
        seed: Of the whole set.
        noise: Strength of quantum noise and of the spread of exposures; 1 is a usual department.
        rotation_deg: Standard deviation of the patients' rotation.
        ungradable_fraction: Share of zones that can't be graded.
        grade_overlap: How far pictures stray from their grades; 0 is exact.
    """

    count: int
    size: int
    seed: int
    noise: float
    rotation_deg: float
    ungradable_fraction: float
    grade_overlap: float

    @property
    def fingerprint(self) -> str:
        """A digest of what decides a single picture; `count` doesn't."""
        values = {**asdict(self), "count": 0, "recipe": RECIPE}
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def write_studies(
    output_dir: Path,
    *,
    count: int,
    size: int,
    seed: int,
    workers: int,
    noise: float = 1.0,
    rotation_deg: float = 3.0,
    ungradable_fraction: float = 0.04,
    grade_overlap: float = 1.0,
) -> StudySet:
    """Write phantom studies, or reuse those that a run with the same parameters has written.

    Files are written whole or not at all, so an interrupted set is finished where it stopped. The
    set doesn't depend on the number of workers.

    Args:
        output_dir: Receives `images/`, `labels.csv` and, last of all, `phantom.json`.
        count: Studies; about a quarter of the patients have two.
        size: Edge of a picture in pixels.
        seed: Of the whole set.
        workers: Processes; 0 or 1 draws in this one.
        noise: Strength of quantum noise and of the spread of exposures; 1 is a usual department.
        rotation_deg: Standard deviation of the patients' rotation.
        ungradable_fraction: Share of zones that can't be graded, 0 to 0.25.
        grade_overlap: How far pictures stray from their grades; 0 is exact, 1 about as far as
            readers disagree.
    """
    recipe = Recipe(
        count=count,
        size=size,
        seed=seed,
        noise=noise,
        rotation_deg=rotation_deg,
        ungradable_fraction=ungradable_fraction,
        grade_overlap=grade_overlap,
    )
    studies = StudySet(output_dir / "images", output_dir / "labels.csv", count)
    record = output_dir / "phantom.json"
    cases = plan_cases(
        count=count, seed=seed, ungradable_fraction=ungradable_fraction, grade_overlap=grade_overlap
    )
    paths = [studies.images_dir / f"{case.file_id}.dcm" for case in cases]
    if _is_complete(record, recipe, [*paths, studies.labels_csv]):
        logger.info(f"phantom: {count} studies in {output_dir} are already there")
        return studies
    record.unlink(missing_ok=True)
    studies.images_dir.mkdir(parents=True, exist_ok=True)
    _remove_strangers(studies.images_dir, paths)
    missing = [
        case for case, path in zip(cases, paths, strict=True) if not _is_written(path, case, recipe)
    ]
    _write_missing(missing, studies.images_dir, recipe, workers)
    write_text(studies.labels_csv, labels_table(cases))
    write_text(record, json.dumps({"recipe": RECIPE, **asdict(recipe)}, indent=2) + "\n")
    return studies


def labels_table(cases: Sequence[Case]) -> str:
    """The labels table as text: one row a study, an empty cell where a zone can't be graded."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter=";", lineterminator="\n")
    writer.writerow(["FileID", "PatientID", *ZONES])
    for case in cases:
        writer.writerow(
            [
                case.file_id,
                case.patient_id,
                *("" if grade is None else grade for grade in case.grades),
            ]
        )
    return text.getvalue()


def _is_complete(record: Path, recipe: Recipe, paths: Sequence[Path]) -> bool:
    try:
        written = json.loads(record.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return False
    return written == {"recipe": RECIPE, **asdict(recipe)} and all(path.is_file() for path in paths)


def _remove_strangers(images_dir: Path, wanted: Sequence[Path]) -> None:
    """Remove pictures of a longer set and half-written files of an interrupted one."""
    keep = {path.name for path in wanted}
    for path in [*images_dir.glob("phantom_*.dcm"), *images_dir.glob(".phantom_*.tmp")]:
        if path.name not in keep:
            path.unlink()


def _is_written(path: Path, case: Case, recipe: Recipe) -> bool:
    """Whether the file is this case of this recipe, told by its instance UID."""
    try:
        meta = read_file_meta_info(path)
    except (FileNotFoundError, InvalidDicomError):
        return False
    return str(meta.get("MediaStorageSOPInstanceUID")) == _instance_uid(case, recipe)


def _instance_uid(case: Case, recipe: Recipe) -> str:
    return generate_uid(entropy_srcs=["instance", recipe.fingerprint, str(case.index)])


def _write_missing(cases: Sequence[Case], images_dir: Path, recipe: Recipe, workers: int) -> None:
    write = partial(write_case, images_dir=images_dir, recipe=recipe)
    with Progress("phantom studies", recipe.count, done=recipe.count - len(cases)) as progress:
        for _ in _each_done(write, cases, workers):
            progress.advance()


def _each_done(write: "partial[None]", cases: Sequence[Case], workers: int) -> Iterator[None]:
    if workers <= 1 or len(cases) < 4:
        for case in cases:
            yield write(case)
        return
    # Spawned, not forked: a fork would freeze the threads of torch or of a progress bar.
    with ProcessPoolExecutor(min(workers, len(cases)), mp_context=get_context("spawn")) as pool:
        futures = [pool.submit(write, case) for case in cases]
        try:
            for future in as_completed(futures):
                yield future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def write_case(case: Case, *, images_dir: Path, recipe: Recipe) -> None:
    """Draw one case and write its file."""
    # The last bit of a matrix product depends on the number of threads.
    with _linear_algebra().limit(limits=1, user_api="blas"):
        picture = render_case(
            case,
            size=recipe.size,
            seed=recipe.seed,
            noise=recipe.noise,
            rotation_deg=recipe.rotation_deg,
        )
    write_radiograph(images_dir / f"{case.file_id}.dcm", picture, radiograph_facts(case, recipe))


@lru_cache(maxsize=1)
def _linear_algebra() -> ThreadpoolController:
    return ThreadpoolController()


def radiograph_facts(case: Case, recipe: Recipe) -> RadiographFacts:
    """What a case's file says; dates, UIDs, polarity and encoding follow from the seed."""
    rng = study_rng(recipe.seed, case.index, FACTS_STREAM)
    first_day = int(
        np.random.default_rng((recipe.seed, case.patient_index, FACTS_STREAM, 1)).integers(0, 330)
    )
    day = first_day + (int(rng.integers(2, 30)) if case.study_number else 0)
    uids = [
        generate_uid(entropy_srcs=[level, recipe.fingerprint, str(case.index)])
        for level in ("study", "series")
    ]
    return RadiographFacts(
        patient_id=case.patient_id,
        sex=case.habitus.sex,
        age_years=case.habitus.age_years,
        study_date=(FIRST_DATE + timedelta(days=day)).strftime("%Y%m%d"),
        study_time=f"{rng.integers(6, 23):02d}{rng.integers(60):02d}{rng.integers(60):02d}",
        view_position="AP" if case.is_bedside else "PA",
        study_instance_uid=uids[0],
        series_instance_uid=uids[1],
        sop_instance_uid=_instance_uid(case, recipe),
        pixel_spacing_mm=(FIELD_OF_VIEW_MM / recipe.size, FIELD_OF_VIEW_MM / recipe.size),
        polarity="MONOCHROME1" if rng.random() < 0.3 else "MONOCHROME2",
        bits_stored=int(rng.choice([12, 14, 16])),
        voi_function=VOI_FUNCTIONS[int(rng.integers(len(VOI_FUNCTIONS)))],
        transfer_syntax=list(TRANSFER_SYNTAXES)[int(rng.integers(len(TRANSFER_SYNTAXES)))],
    )
