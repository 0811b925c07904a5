"""From the config to a benchmark: the one file of this room that opens the config."""

import json
from pathlib import Path

import torch

from csi_predictor.architectures.select import select_architectures
from csi_predictor.benchmarking.plan import NetworkPlan, Settings, TrainedModel, plan_networks
from csi_predictor.config.schema import Config
from csi_predictor.inference.bundle import load_bundle
from csi_predictor.runtime import choose_compute

LOG_NAME = "engines.txt"
_METRICS = Path("evaluation") / "metrics.json"
_QUALITY = ("zone_qwk", "accuracy", "auroc_macro")


def build_benchmark(config: Config, run_dir: Path) -> tuple[tuple[NetworkPlan, ...], Settings]:
    """What [BENCHMARK] asks for, and with which settings.

    Args:
        config: [BENCHMARK], and of [RUNTIME] the device, the seed and DETERMINISTIC. The engines
            say which precision; PRECISION isn't read.
        run_dir: Receives `engines.txt`, what the engines print.

    Raises:
        ConfigError: The device isn't there.
        BundleError: A bundle can't be loaded.
    """
    section, runtime = config.benchmark, config.runtime
    settings = Settings(
        device=str(choose_compute(runtime.device, "fp32").device),
        num_threads=torch.get_num_threads(),
        seed=runtime.seed,
        deterministic=runtime.deterministic,
        runs=section.runs,
        train=section.train,
        timeout_s=section.timeout_s,
        log_path=run_dir / LOG_NAME,
    )
    plans = plan_networks(
        select_architectures(section.archs),
        [read_trained(folder) for folder in section.models],
        engines=section.engines,
        batch_sizes=section.batch_sizes,
        image_sizes=section.image_sizes,
    )
    return plans, settings


def read_trained(folder: Path) -> TrainedModel:
    """A bundle, with what the evaluation beside it found: RUN_DIR/evaluation/metrics.json.

    Raises:
        BundleError: It can't be loaded.
    """
    facts = load_bundle(folder).facts
    return TrainedModel(folder, facts.model_id, _read_quality(folder.parent / _METRICS))


def _read_quality(path: Path) -> tuple[str, float] | None:
    if not path.is_file():
        return None
    metrics = json.loads(path.read_text(encoding="utf-8"))
    found = ((name, metrics[name]) for name in _QUALITY if metrics.get(name) is not None)
    return next(found, None)
