"""The embedded set of labelled radiographs: phantoms as DICOM files with their labels table."""

import hashlib
import json
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_file_meta_info
from pydicom.uid import generate_uid

from csi_predictor.synthesis.dicom_files import (
    TRANSFER_SYNTAXES,
    RadiographFacts,
    write_radiograph,
)
from csi_predictor.synthesis.findings_folder import LabelledSet, labels_table, write_set
from csi_predictor.synthesis.findings_render import (
    FINDING_LABELS,
    FindingCase,
    plan_finding_cases,
    render_finding,
)
from csi_predictor.synthesis.studies import VOI_FUNCTIONS
from csi_predictor.synthesis.thorax import FIELD_OF_VIEW_MM

RECIPE: Final = 1
"""Raised when the same parameters draw other pictures: an older set is then drawn anew."""

_FACTS_STREAM, _DAY_STREAM = 24, 25
_FIRST_DATE: Final = date(2024, 1, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingRecipe:
    """Everything that decides a picture of a set.

    Attributes:
        size: Edge of a picture in pixels.
        seed: Of the whole set.
        noise: Strength of quantum noise and of the spread of exposures; 1 is a usual department.
        rotation_deg: Standard deviation of the patients' rotation.
        overlap: How near findings come to what is no finding; 0 is plain.
    """

    size: int
    seed: int
    noise: float
    rotation_deg: float
    overlap: float

    @property
    def fingerprint(self) -> str:
        """A digest of all of it."""
        values = {**asdict(self), "kind": "findings", "recipe": RECIPE}
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def write_findings(
    folder: Path,
    *,
    count: int,
    size: int,
    seed: int,
    workers: int,
    noise: float = 1.0,
    rotation_deg: float = 3.0,
    unknown_fraction: float = 0.03,
    overlap: float = 1.0,
) -> LabelledSet:
    """Write labelled radiographs, or reuse those that a run with the same parameters has written.

    Files are written whole or not at all, so an interrupted set is finished where it stopped. The
    set doesn't depend on the number of workers, and a smaller one is the beginning of a larger.

    Args:
        folder: Receives `images/`, `labels.csv` and, last of all, `phantom.json`.
        count: Images; about a quarter of the patients have two.
        size: Edge of a picture in pixels.
        seed: Of the whole set.
        workers: Processes; 0 or 1 draws in this one.
        noise: Strength of quantum noise and of the spread of exposures; 1 is a usual department.
        rotation_deg: Standard deviation of the patients' rotation.
        unknown_fraction: Share of labels that the table leaves empty.
        overlap: How near findings come to what is no finding: 0 is plain (nodules from 18 mm,
            hearts 0.045 away from a ratio of 0.5), 1 and more is subtler.

    Raises:
        ResourceError: The disk is full.
    """
    recipe = FindingRecipe(
        size=size, seed=seed, noise=noise, rotation_deg=rotation_deg, overlap=overlap
    )
    target = LabelledSet(folder, folder / "images", folder / "labels.csv", FINDING_LABELS, count)
    cases = plan_finding_cases(
        count=count, seed=seed, unknown_fraction=unknown_fraction, overlap=overlap
    )
    write_set(
        target,
        {target.images_dir / f"{case.file_id}.dcm": case for case in cases},
        recipe={
            "kind": "findings",
            "recipe": RECIPE,
            "count": count,
            "unknown_fraction": unknown_fraction,
            **asdict(recipe),
        },
        table=labels_table(
            FINDING_LABELS, [(case.file_id, case.patient_id, case.told) for case in cases]
        ),
        is_written=partial(_is_written, recipe=recipe),
        write=partial(write_finding_case, recipe=recipe),
        workers=workers,
    )
    return target


def write_finding_case(path: Path, case: FindingCase, *, recipe: FindingRecipe) -> None:
    """Draw one case and write its file."""
    picture = render_finding(case, **asdict(recipe))
    write_radiograph(path, picture, finding_facts(case, recipe))


def finding_facts(case: FindingCase, recipe: FindingRecipe) -> RadiographFacts:
    """What a case's file says; dates, UIDs, polarity and encoding follow from the seed."""
    rng = np.random.default_rng((recipe.seed, case.index, _FACTS_STREAM))
    first_day = np.random.default_rng((recipe.seed, case.patient_index, _DAY_STREAM))
    later = int(rng.integers(2, 30)) * case.image_number
    day = _FIRST_DATE + timedelta(days=int(first_day.integers(0, 330)) + later)
    spacing_mm = FIELD_OF_VIEW_MM / recipe.size
    return RadiographFacts(
        patient_id=case.patient_id,
        sex=case.habitus.sex,
        age_years=case.habitus.age_years,
        study_date=day.strftime("%Y%m%d"),
        study_time=f"{rng.integers(6, 23):02d}{rng.integers(60):02d}{rng.integers(60):02d}",
        view_position="PA",
        study_instance_uid=_uid("study", case, recipe),
        series_instance_uid=_uid("series", case, recipe),
        sop_instance_uid=_uid("instance", case, recipe),
        pixel_spacing_mm=(spacing_mm, spacing_mm),
        polarity="MONOCHROME1" if rng.random() < 0.3 else "MONOCHROME2",
        bits_stored=int(rng.choice([12, 14, 16])),
        voi_function=VOI_FUNCTIONS[int(rng.integers(len(VOI_FUNCTIONS)))],
        transfer_syntax=list(TRANSFER_SYNTAXES)[int(rng.integers(len(TRANSFER_SYNTAXES)))],
    )


def _is_written(path: Path, case: FindingCase, *, recipe: FindingRecipe) -> bool:
    """Whether the file is this case of this recipe, told by its instance UID."""
    try:
        meta = read_file_meta_info(path)
    except (FileNotFoundError, InvalidDicomError):
        return False
    return str(meta.get("MediaStorageSOPInstanceUID")) == _uid("instance", case, recipe)


def _uid(level: str, case: FindingCase, recipe: FindingRecipe) -> str:
    return generate_uid(entropy_srcs=[level, recipe.fingerprint, str(case.index)])
