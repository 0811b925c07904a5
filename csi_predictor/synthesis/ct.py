"""The embedded CT data set: phantom volumes as NIfTI files with their labels table."""

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Final

from csi_predictor.synthesis.ct_body import FIELD_MM
from csi_predictor.synthesis.ct_files import ORIENTATIONS, read_note, write_ct
from csi_predictor.synthesis.ct_volume import CT_LABELS, CtCase, plan_ct_case, render_ct
from csi_predictor.synthesis.findings_folder import LabelledSet, labels_table, write_set

RECIPE: Final = 2
"""Raised when the same parameters draw other volumes: an older set is then drawn anew."""

LEAST_EDGE: Final = 24
"""Voxels of each axis; a coarser chest has no lung left between vessels and walls."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CtRecipe:
    """Everything that decides a volume of a set.

    Attributes:
        shape: Voxels (D, H, W).
        seed: Of the whole set.
        noise: Strength of the quantum noise; 1 is a usual scan.
        overlap: How near findings come to what is no finding; 0 is plain.
    """

    shape: tuple[int, int, int]
    seed: int
    noise: float
    overlap: float

    @property
    def fingerprint(self) -> str:
        """A digest of all of it."""
        values = {**asdict(self), "recipe": RECIPE}
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def write_ct_volumes(
    folder: Path,
    *,
    count: int,
    shape: tuple[int, int, int] = (64, 96, 96),
    seed: int,
    workers: int,
    noise: float = 1.0,
    overlap: float = 1.0,
) -> LabelledSet:
    """Write phantom CT volumes, or reuse those that a run with the same parameters has written.

    Files are written whole or not at all, so an interrupted set is finished where it stopped. The
    set doesn't depend on the number of workers, and a smaller one is the beginning of a larger.

    Args:
        folder: Receives `images/`, `labels.csv` and, last of all, `phantom.json`.
        count: Volumes, each of another patient.
        shape: Voxels (D, H, W) of the field of 336 mm along each axis.
        seed: Of the whole set.
        workers: Processes; 0 or 1 draws in this one.
        noise: Strength of the quantum noise; 1 is a usual scan, 0 none.
        overlap: How near findings come to what is no finding: 0 is plain (eight nodules or more,
            from 20 mm; effusions from 22 mm; hearts 0.045 away from a ratio of 0.5), 1 and more is
            subtler.

    Raises:
        ValueError: An axis of `shape` is shorter than 24 voxels.
        ResourceError: The disk is full.
    """
    if min(shape) < LEAST_EDGE:
        raise ValueError(f"shape = {shape}: expected at least {LEAST_EDGE} voxels an axis")
    recipe = CtRecipe(shape=shape, seed=seed, noise=noise, overlap=overlap)
    target = LabelledSet(folder, folder / "images", folder / "labels.csv", CT_LABELS, count)
    cases = [plan_ct_case(index, seed=seed, overlap=overlap) for index in range(count)]
    write_set(
        target,
        {target.images_dir / f"{case.file_id}.nii.gz": case for case in cases},
        recipe={"kind": "ct", "recipe": RECIPE, "count": count, **asdict(recipe)},
        table=labels_table(
            CT_LABELS, [(case.file_id, case.patient_id, case.labels) for case in cases]
        ),
        is_written=partial(_is_written, recipe=recipe),
        write=partial(write_ct_case, recipe=recipe),
        workers=workers,
    )
    return target


def write_ct_case(path: Path, case: CtCase, *, recipe: CtRecipe) -> None:
    """Draw one case and write its file; files take turns in their orientation."""
    depth, height, width = (
        field / edge for field, edge in zip(FIELD_MM, recipe.shape, strict=True)
    )
    hu = render_ct(
        case, shape=recipe.shape, seed=recipe.seed, noise=recipe.noise, overlap=recipe.overlap
    )
    write_ct(
        path,
        hu,
        (depth, height, width),
        orientation=ORIENTATIONS[case.index % len(ORIENTATIONS)],
        note=_note(case, recipe),
    )


def _is_written(path: Path, case: CtCase, *, recipe: CtRecipe) -> bool:
    return read_note(path) == _note(case, recipe)


def _note(case: CtCase, recipe: CtRecipe) -> str:
    return f"phantom {case.index} {recipe.fingerprint[:48]}"
