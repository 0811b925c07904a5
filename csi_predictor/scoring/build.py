"""[SCORING] to a call that scores its folder."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from csi_predictor.config.schema import ScoringSection
from csi_predictor.errors import ConfigError
from csi_predictor.runtime import count_workers
from csi_predictor.scoring.rules import ScoreRules
from csi_predictor.scoring.score import ScoredFolder, score_folder
from csi_predictor.scoring.scorer import ZonePredictor
from csi_predictor.scoring.worklist import check_input_dir
from csi_predictor.uncertainty.trust import Trust

_MOST_WORKERS = 64


def build_scoring(
    section: ScoringSection, *, run_dir: Path, trust: Trust | None = None, trust_sha256: str = ""
) -> Callable[[ZonePredictor], ScoredFolder]:
    """A function that takes a predictor and scores INPUT_DIR with it.

    Args:
        section: The INI's [SCORING].
        run_dir: Takes the results when OUTPUT_DIR is empty; never scored itself.
        trust: What the bundle keeps; None = nothing.
        trust_sha256: Of its file.

    Raises:
        ConfigError: INPUT_DIR is empty, missing or can't be listed.
    """
    if section.input_dir is None:
        raise ConfigError("[SCORING] INPUT_DIR: empty: expected the folder of files to score")
    check_input_dir(section.input_dir)
    return partial(
        score_folder,
        input_dir=section.input_dir,
        output_dir=section.output_dir or run_dir,
        own_dirs=(run_dir,),
        rules=ScoreRules(
            min_gradable_zones=section.min_gradable_zones,
            ungradable_threshold=section.ungradable_threshold,
            risk_medium_above=section.risk_medium_above,
            risk_high_above=section.risk_high_above,
            unsure=section.unsure,
        ),
        study_rule=section.study_rule,
        workers=count_workers(section.workers, most=_MOST_WORKERS),
        batch_size=section.batch_size,
        timeout_s=section.timeout_s,
        max_megapixels=section.max_megapixels,
        allow_secondary_capture=section.allow_secondary_capture,
        trust=trust,
        trust_sha256=trust_sha256,
    )
