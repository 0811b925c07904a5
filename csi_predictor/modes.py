"""One short function a mode: what happens, in which order. The rooms do the work.

Imports stand inside the functions so that each mode loads only what it needs.
"""

from collections.abc import Callable

from loguru import logger

from csi_predictor.config import Config
from csi_predictor.run_folder import mark_finished, open_run


def check(config: Config) -> int:
    """Report every problem of the INI, environment, network, labels, images and bundles."""
    from csi_predictor.checks import run_checks

    return run_checks(config)


def train(config: Config) -> int:
    """Train every split, keep the networks as a bundle, report on what each has not seen."""
    from csi_predictor.reporting.model_card import write_model_card
    from csi_predictor.workflows import evaluation, training
    from csi_predictor.workflows.images import start_compute

    with open_run(config, "train") as run_dir:
        compute = start_compute(config)
        data = training.prepare_training(config, run_dir)
        trained = training.train_all(config, data, compute, run_dir)
        bundle = training.keep_model(config, data, trained, run_dir)
        unseen = training.predict_unseen(config, data, trained, bundle, compute)
        if unseen is None:
            logger.warning("No test images were set aside: there is nothing to evaluate on")
            write_model_card(bundle.folder / "model_card.md", bundle.facts)
        else:
            found = evaluation.report(
                config,
                unseen,
                bundle.facts,
                run_dir / "evaluation",
                cache=data.cache,
                rows=data.manifest.rows,
            )
            write_model_card(bundle.folder / "model_card.md", bundle.facts, found.metrics)
        mark_finished(run_dir)
        logger.info("Done. The model is in {}", bundle.folder)
    return 0


def evaluate(config: Config) -> int:
    """Measure one or more bundles on labelled images."""
    from csi_predictor.workflows.evaluation import evaluate_bundles
    from csi_predictor.workflows.images import start_compute

    with open_run(config, "evaluate") as run_dir:
        evaluate_bundles(config, start_compute(config), run_dir)
    return 0


def score(config: Config) -> int:
    """Score every file of a folder."""
    from csi_predictor.workflows.images import start_compute
    from csi_predictor.workflows.scoring import score as score_folder

    with open_run(config, "score") as run_dir:
        score_folder(config, start_compute(config), run_dir)
    return 0


def synthesize(config: Config) -> int:
    """Write the procedural radiographs with their labels."""
    from csi_predictor.synthesis.build import build_studies

    with open_run(config, "synthesize") as run_dir:
        studies = build_studies(config, default_dir=run_dir)
        logger.info("{} images in {}", studies.count, studies.images_dir)
    return 0


RUN_MODE: dict[str, Callable[[Config], int]] = {
    "check": check,
    "train": train,
    "evaluate": evaluate,
    "score": score,
    "synthesize": synthesize,
}
