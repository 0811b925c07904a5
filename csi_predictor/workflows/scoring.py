"""Score a folder and write its tables."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from loguru import logger

from csi_predictor.config import Config, render_ini
from csi_predictor.errors import ConfigError
from csi_predictor.inference.bundle import Bundle, load_bundle
from csi_predictor.inference.predictor import Predictor
from csi_predictor.inference.quantization import INT8_ENGINES
from csi_predictor.reporting.scores import write_scores
from csi_predictor.runtime import Compute
from csi_predictor.scoring.build import build_scoring
from csi_predictor.uncertainty.trust import Trust
from csi_predictor.uncertainty.trust_file import read_trust, trust_sha256
from csi_predictor.workflows.trust import dropout_for


def score(config: Config, compute: Compute, run_dir: Path) -> None:
    """[SCORING] MODEL on every file below INPUT_DIR; tables go to OUTPUT_DIR.

    Raises:
        ConfigError: No bundle is named, or a folder is missing.
        BundleError: A bundle can't be loaded.
        ResourceError: The disk is full.
    """
    if not config.scoring.model:
        raise ConfigError("[SCORING] MODEL: empty: expected the folder `model` of a training")
    build_scoring(config.scoring, run_dir=run_dir)  # refuses folders before networks are loaded
    bundles = [load_bundle(folder) for folder in config.scoring.model]
    trust, digest = trust_of(bundles, config.scoring.engine)
    predictor = Predictor(
        bundles,
        device=compute.device,
        engine=config.scoring.engine,
        dropout=dropout_for(0 if trust is None else trust.settings.dropout_passes),
    )
    score_with = build_scoring(config.scoring, run_dir=run_dir, trust=trust, trust_sha256=digest)
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


def trust_of(bundles: Sequence[Bundle], engine: str) -> tuple[Trust | None, str]:
    """The trust of a single bundle and its hash; several together have none, nor has int8.

    Raises:
        BundleError: Its file is damaged.
    """
    if len(bundles) == 1 and (trust := read_trust(bundles[0])) is not None:
        if engine not in INT8_ENGINES:
            return trust, trust_sha256(bundles[0])
        logger.warning(
            "[SCORING] ENGINE = {}: the bundle's trust was fitted in fp32: scores come without "
            "calibrated confidence, prediction sets and triage",
            engine,
        )
        return None, ""
    logger.warning(
        "{}: scores come without calibrated confidence, prediction sets and triage",
        "Several bundles together have no trust of their own"
        if len(bundles) > 1
        else "The bundle keeps no trust.json",
    )
    return None, ""
