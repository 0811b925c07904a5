"""The synthesis room's products, ordered by the INI's sections."""

import os
from pathlib import Path

from csi_predictor.config.choices import SynthesisKind
from csi_predictor.config.schema import Config
from csi_predictor.synthesis.ct import write_ct_volumes
from csi_predictor.synthesis.ct_volume import CT_LABELS
from csi_predictor.synthesis.findings import write_findings
from csi_predictor.synthesis.findings_folder import LabelledSet
from csi_predictor.synthesis.findings_render import FINDING_LABELS
from csi_predictor.synthesis.studies import StudySet, write_studies

MOST_WORKERS = 8

PHANTOM_LABELS: dict[SynthesisKind, tuple[str, ...]] = {
    "findings": FINDING_LABELS,
    "ct": CT_LABELS,
}
"""What the embedded images with labels answer."""


def build_studies(config: Config, *, default_dir: Path) -> StudySet:
    """The phantom studies that `[SYNTHESIS]` describes, written or found there.

    Args:
        config: The whole INI: `[SYNTHESIS]`, and SEED and NUM_WORKERS of `[RUNTIME]`.
        default_dir: Where they go when OUTPUT_DIR is empty.
    """
    section = config.synthesis
    return write_studies(
        section.output_dir or default_dir,
        count=section.count,
        size=section.size,
        seed=config.runtime.seed,
        workers=_num_workers(config.runtime.num_workers),
        noise=section.noise,
        rotation_deg=section.rotation_deg,
        ungradable_fraction=section.ungradable_fraction,
        grade_overlap=section.grade_overlap,
    )


def build_phantoms(
    config: Config, kind: SynthesisKind, *, default_dir: Path
) -> StudySet | LabelledSet:
    """The phantom images of a kind that `[SYNTHESIS]` describes, written or found there.

    Args:
        config: As in `build_studies`.
        kind: `studies` have six zones, `findings` are radiographs with labels, `ct` volumes with
            labels.
        default_dir: Where they go when OUTPUT_DIR is empty.
    """
    if kind == "studies":
        return build_studies(config, default_dir=default_dir)
    section = config.synthesis
    folder, workers = section.output_dir or default_dir, _num_workers(config.runtime.num_workers)
    if kind == "ct":
        depth, height, width = section.ct_shape
        return write_ct_volumes(
            folder,
            count=section.count,
            shape=(depth, height, width),
            seed=config.runtime.seed,
            workers=workers,
            noise=section.noise,
            overlap=section.grade_overlap,
        )
    return write_findings(
        folder,
        count=section.count,
        size=section.size,
        seed=config.runtime.seed,
        workers=workers,
        noise=section.noise,
        overlap=section.grade_overlap,
    )


def _num_workers(wanted: int | str) -> int:
    """As `runtime.count_workers`, which would bring torch into every worker."""
    if wanted != "auto":
        return int(wanted)
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return min(usable or 1, MOST_WORKERS)
