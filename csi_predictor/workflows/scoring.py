"""Score a folder and write its tables."""

import hashlib
from pathlib import Path

from loguru import logger

from csi_predictor.config import Config, render_ini
from csi_predictor.errors import ConfigError
from csi_predictor.inference.predictor import load_predictor
from csi_predictor.reporting.scores import write_scores
from csi_predictor.runtime import Compute
from csi_predictor.scoring.build import build_scoring


def score(config: Config, compute: Compute, run_dir: Path) -> None:
    """[SCORING] MODEL on every file below INPUT_DIR; tables go to OUTPUT_DIR.

    Raises:
        ConfigError: No bundle is named, or a folder is missing.
        BundleError: A bundle can't be loaded.
        ResourceError: The disk is full.
    """
    if not config.scoring.model:
        raise ConfigError("[SCORING] MODEL: empty: expected the folder `model` of a training")
    score_with = build_scoring(config.scoring, run_dir=run_dir)
    predictor = load_predictor(
        config.scoring.model, device=compute.device, engine=config.scoring.engine
    )
    scored = score_with(predictor)
    ini_sha256 = hashlib.sha256(render_ini(config).encode()).hexdigest()
    summary = write_scores(scored, ini_sha256=ini_sha256)
    logger.info(
        "{} files: {} scored, {} rejected; tables in {}",
        summary["found"],
        summary["scored"],
        summary["rejected"],
        scored.output_dir,
    )
