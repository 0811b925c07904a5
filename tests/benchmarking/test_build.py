"""The INI's section as a plan, and the whole mode in one run."""

import csv
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from csi_predictor.benchmarking.build import build_benchmark
from csi_predictor.benchmarking.records import COLUMNS
from csi_predictor.cli import main
from csi_predictor.config import load_config
from csi_predictor.errors import BundleError, ConfigError
from csi_predictor.inference.bundle import save_bundle
from csi_predictor.models.create import create_model

ROOT = Path(__file__).resolve().parents[2]


def save(folder: Path) -> Path:
    model = create_model("custom1", image_size=32)
    save_bundle(
        folder,
        [model.state_dict()],
        spec=model.spec,
        test_time="none",
        baseline_grades=(0.0,) * 6,
        learnt_ids=(),
        training={},
        config_ini="",
    )
    return folder


def load(*overrides: str) -> object:
    return load_config(None, list(overrides), {})


def test_settings_are_the_inis_and_the_machines(tmp_path: Path) -> None:
    config = load("RUNTIME.SEED=7", "RUNTIME.DEVICE=cpu", "BENCHMARK.RUNS=4")
    plans, settings = build_benchmark(config, tmp_path)
    assert [plan.name for plan in plans] == [
        "custom1",
        "resnet50",
        "densenet121",
        "efficientnet_b0",
    ]
    assert (settings.seed, settings.runs, settings.device) == (7, 4, "cpu")
    assert settings.num_threads == torch.get_num_threads()
    assert settings.log_path == tmp_path / "engines.txt"


@pytest.mark.parametrize(
    ("metrics", "quality"),
    [
        ({"zone_qwk": 0.71, "zone_accuracy": 0.6}, ("zone_qwk", 0.71)),
        ({"zone_qwk": None, "accuracy": 0.9}, ("accuracy", 0.9)),
        ({"ece": 0.1}, None),
        (None, None),
    ],
)
def test_a_bundles_quality_is_read_beside_it(
    tmp_path: Path, metrics: dict[str, object] | None, quality: tuple[str, float] | None
) -> None:
    model = save(tmp_path / "run" / "model")
    if metrics is not None:
        (tmp_path / "run" / "evaluation").mkdir()
        path = tmp_path / "run" / "evaluation" / "metrics.json"
        path.write_text(json.dumps(metrics), encoding="utf-8")
    config = load("RUNTIME.DEVICE=cpu", "BENCHMARK.ARCHS=", f"BENCHMARK.MODELS={model}")
    ((plan,), _) = build_benchmark(config, tmp_path)
    assert plan.bundle == model
    assert plan.name.startswith("custom1-")
    assert plan.quality == quality


def test_a_bundle_that_is_not_there_is_refused_before_anything_is_measured(
    tmp_path: Path,
) -> None:
    with pytest.raises(BundleError, match=r"bundle\.json: no such file"):
        build_benchmark(load(f"BENCHMARK.MODELS={tmp_path / 'none'}"), tmp_path)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_device_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="DEVICE = cuda"):
        build_benchmark(load("RUNTIME.DEVICE=cuda"), tmp_path)


def test_the_whole_mode_writes_table_markdown_and_picture(tmp_path: Path) -> None:
    bundle = save(tmp_path / "trained" / "model")
    run_dir = tmp_path / "run"
    overrides = [
        "RUNTIME.DEVICE=cpu",
        f"RUNTIME.RUN_DIR={run_dir}",
        "BENCHMARK.ARCHS=custom1",
        f"BENCHMARK.MODELS={bundle}",
        "BENCHMARK.ENGINES=eager, onnx-bf16, openvino",
        "BENCHMARK.IMAGE_SIZES=16, 32",
        "BENCHMARK.BATCH_SIZES=2",
        "BENCHMARK.RUNS=2",
        "BENCHMARK.TRAIN=true",
    ]
    assert main(["--mode", "benchmark", "--set", *overrides]) == 0
    with (run_dir / "benchmark.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS
    assert len(rows) == 3 * 3
    small, large, trained = rows[:3], rows[3:6], rows[6:]
    assert all("halves the picture" in row["error"] for row in small)
    eager, onnx, openvino = large
    assert (eager["infer_img_size"], eager["train_batch_size"], eager["error"]) == ("32", "2", "")
    assert "no bf16 convolution" in onnx["error"]
    assert float(openvino["max_abs_diff"]) < 1e-5
    assert float(openvino["peak_memory_mb"]) > 100
    assert float(eager["train_samples_per_sec"]) > 0
    assert float(eager["train_peak_memory_mb"]) > 100
    assert openvino["train_samples_per_sec"] == ""
    assert trained[0]["model"].startswith("custom1-")
    assert trained[0]["train_samples_per_sec"] == ""
    assert "halves the picture" in (run_dir / "benchmark.md").read_text(encoding="utf-8")
    assert (run_dir / "benchmark.png").read_bytes().startswith(b"\x89PNG")
    assert (run_dir / "log.txt").is_file()


def _hear_interrupts() -> None:
    """A shell starts what it puts into the background deaf to SIGINT, and children inherit it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def test_ctrl_c_leaves_the_networks_that_are_done_and_exits_130(tmp_path: Path) -> None:
    table = tmp_path / "run" / "benchmark.csv"
    command = [sys.executable, str(ROOT / "main.py"), "--mode", "benchmark"]
    command += ["--ini", str(ROOT / "config.ini"), "--set"]
    command += ["RUNTIME.DEVICE=cpu", f"RUNTIME.RUN_DIR={tmp_path / 'run'}", "BENCHMARK.RUNS=30"]
    command += ["BENCHMARK.ARCHS=custom1, resnet18", "BENCHMARK.ENGINES=eager"]
    command += ["BENCHMARK.IMAGE_SIZES=32"]
    with subprocess.Popen(
        command,
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=_hear_interrupts,
    ) as process:
        patience = time.monotonic() + 120
        while not table.exists() and process.poll() is None and time.monotonic() < patience:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, shown = process.communicate(timeout=60)
    assert process.returncode == 130, shown
    assert "error: interrupted" in shown
    assert "Traceback" not in shown
    assert "leaked" not in shown
    (row,) = csv.DictReader(table.read_text(encoding="utf-8").splitlines())
    assert row["model"] == "custom1"
    assert row["rounds"] == "30"
