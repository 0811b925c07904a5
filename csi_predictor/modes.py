"""One short function a mode: what happens, in which order. The rooms do the work.

Imports stand inside the functions so that each mode loads only what it needs.
"""

import sys
from collections.abc import Callable

from loguru import logger

from csi_predictor.architectures import Architecture, find_architecture
from csi_predictor.config import Config
from csi_predictor.errors import ConfigError, CsiError, WeightsError
from csi_predictor.run_folder import mark_finished, open_run


def check(config: Config) -> int:
    """Report every problem of the INI, environment, network, labels, images and bundles."""
    from csi_predictor.checks import run_checks

    return run_checks(config)


def train(config: Config) -> int:
    """Train every split, keep the networks as a bundle, report on what each has not seen."""
    from csi_predictor.reporting.model_card import write_model_card
    from csi_predictor.uncertainty.trust_file import write_trust
    from csi_predictor.workflows import examination, report, training
    from csi_predictor.workflows.images import start_compute

    with open_run(config, "train") as run_dir:
        compute = start_compute(config)
        data = training.prepare_training(config, run_dir)
        trained = training.train_all(config, data, compute, run_dir)
        bundle = training.keep_model(config, data, trained, run_dir, compute)
        examined = examination.examine(config, data, trained, bundle, compute)
        if examined.trust is not None:
            write_trust(bundle, examined.trust)
        metrics = report.report_training(
            config, examined, bundle, run_dir, data.cache, compute.device
        )
        write_model_card(bundle.folder / "model_card.md", bundle.facts, metrics)
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


def benchmark(config: Config) -> int:
    """Time and size networks and engines on this machine."""
    from csi_predictor.benchmarking.build import build_benchmark
    from csi_predictor.benchmarking.machine import describe_machine
    from csi_predictor.benchmarking.measure import measure_networks
    from csi_predictor.reporting.benchmark import write_benchmark, write_picture

    with open_run(config, "benchmark") as run_dir:
        plans, settings = build_benchmark(config, run_dir)
        machine, rows = describe_machine(settings), []
        for done in measure_networks(plans, settings):
            rows += done
            write_benchmark(rows, run_dir, machine=machine)
        write_picture(rows, run_dir)
        logger.info("{} rows, {} with a reason", len(rows), sum(bool(row.error) for row in rows))
    return 0


def features(config: Config) -> int:
    """Write pooled features of labelled images, probes of them and maps."""
    from csi_predictor.workflows.features import describe_features
    from csi_predictor.workflows.images import start_compute

    with open_run(config, "features") as run_dir:
        describe_features(config, start_compute(config), run_dir)
    return 0


def synthesize(config: Config) -> int:
    """Write the procedural radiographs or CT volumes with their labels."""
    from csi_predictor.synthesis.build import build_phantoms

    with open_run(config, "synthesize") as run_dir:
        drawn = build_phantoms(config, config.synthesis.kind, default_dir=run_dir)
        logger.info("{} images in {}", drawn.count, drawn.images_dir)
    return 0


def summarize(name: str) -> int:
    """Print one network layer by layer."""
    (row,) = _find_rows([name], option="--summary")
    from csi_predictor.models import summary

    sys.stdout.write(summary.summarize(row))
    return 0


def fetch(config: Config, names: str) -> int:
    """Download the weights of networks, comma-separated, into MODELS_CACHE; 1 where one failed."""
    if config.runtime.offline:
        raise ConfigError("[RUNTIME] OFFLINE = true: --fetch asks the network: expected false")
    rows = _find_rows([name for part in names.split(",") if (name := part.strip())], "--fetch")
    from csi_predictor.models.weights_cache import fetch_pretrained, list_published_files

    for row in rows:  # a network that timm doesn't have is refused before anything is fetched
        try:
            list_published_files(row)
        except WeightsError:
            logger.debug("{} will be reported in its turn", row.name)
    num_failed = 0
    for row in rows:
        try:
            for file in fetch_pretrained(row, config.runtime.models_cache):
                sys.stdout.write(
                    f"{row.name}  {file.path}  {file.record.size_bytes:,} bytes  "
                    f"SHA-256 {file.record.sha256}  {'fetched' if file.is_new else 'was there'}\n"
                )
        except CsiError as error:
            num_failed += 1
            sys.stderr.write(f"error: {error}\n")
    return 1 if num_failed else 0


def _find_rows(names: list[str], option: str) -> list[Architecture]:
    """The rows of the registry that an option names.

    Raises:
        ConfigError: None is named, or names that the registry doesn't have, all at once.
    """
    rows: dict[str, Architecture] = {}
    problems = []
    for name in names:
        try:
            row = find_architecture(name)
            rows[row.name] = row
        except KeyError as error:
            problems.append(f"{option} {error.args[0]}")
    if problems or not rows:
        raise ConfigError(problems or [f"{option}: no name: expected NAME or NAME,NAME"])
    return list(rows.values())


RUN_MODE: dict[str, Callable[[Config], int]] = {
    "check": check,
    "train": train,
    "evaluate": evaluate,
    "score": score,
    "benchmark": benchmark,
    "features": features,
    "synthesize": synthesize,
}
