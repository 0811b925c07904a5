"""The synthesis room's products, ordered by the INI's sections."""

import os
from pathlib import Path

from csi_predictor.config.schema import Config
from csi_predictor.synthesis.studies import StudySet, write_studies

MOST_WORKERS = 8


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


def _num_workers(wanted: int | str) -> int:
    """As `runtime.count_workers`, which would bring torch into every worker."""
    if wanted != "auto":
        return int(wanted)
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return min(usable or 1, MOST_WORKERS)
