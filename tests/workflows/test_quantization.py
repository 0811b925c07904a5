"""As a user would: evaluate with QUANTIZE, then score with the int8 engine."""

import csv
import json
import shutil
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path

import pytest

from csi_predictor.cli import main
from csi_predictor.config import load_config
from csi_predictor.errors import ConfigError
from csi_predictor.workflows import quantization

INI = """\
[RUNTIME]
NUM_WORKERS = 0
[MODEL]
MODEL_ARCH = custom1
IMAGE_SIZE = 64
[DATA]
CACHE_DIR = cache
PHANTOM_DIR = phantom
[TRAINING]
N_EPOCHS = 1
BATCH_SIZE = 8
[EVALUATION]
BOOTSTRAP = 20
QUANTIZE_MAX_DROP = 0.5
QUANTIZE_IMAGES = 3
[SYNTHESIS]
COUNT = 24
SIZE = 64
[SCORING]
INPUT_DIR = phantom/images
WORKERS = 0
"""
VIT = ("MODEL.MODEL_ARCH=vit_tiny_patch16_224", "MODEL.IMAGE_SIZE=32")
Run = Callable[..., tuple[int, str]]


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("int8")
    (folder / "config.ini").write_text(INI, encoding="utf-8")
    with chdir(folder):
        for name, overrides in (("cnn", ()), ("vit", VIT)):
            run_dir = f"RUNTIME.RUN_DIR={name}"
            assert main(["--mode", "train", "--set", run_dir, *overrides]) == 0
    return folder


@pytest.fixture
def run(workplace: Path, capfd: pytest.CaptureFixture[str]) -> Run:
    def call(mode: str, name: str, model: str, *overrides: str) -> tuple[int, str]:
        shutil.rmtree(workplace / name, ignore_errors=True)
        models = [f"{section}.MODEL={model}/model" for section in ("EVALUATION", "SCORING")]
        models += VIT if model == "vit" else ()
        with chdir(workplace):
            code = main(["--mode", mode, "--set", f"RUNTIME.RUN_DIR={name}", *models, *overrides])
        return code, capfd.readouterr().err

    return call


@pytest.mark.parametrize(
    ("model", "kind", "engine"), [("vit", "dynamic", "torch"), ("cnn", "openvino", "openvino")]
)
def test_a_form_that_holds_is_kept_and_scored_with(
    run: Run, workplace: Path, model: str, kind: str, engine: str
) -> None:
    code, told = run("score", "none", model, f"SCORING.ENGINE={engine}-int8")
    assert (code, f"QUANTIZE = {kind} first" in told) == (2, True)
    code, told = run("evaluate", kind, model, f"EVALUATION.QUANTIZE={kind}")
    assert code == 0, told
    record = json.loads((workplace / kind / "quantization.json").read_text(encoding="utf-8"))
    metrics = json.loads((workplace / kind / "metrics.json").read_text(encoding="utf-8"))
    assert record["fp32"] == metrics["zone_qwk"]
    assert record["fp32_ci_low"] == metrics["zone_qwk_ci_low"]
    assert 0 < record["largest_probability_difference"] < 0.05
    assert record["num_calibration_images"] == (3 if kind == "openvino" else 0)
    assert record["speed"]["int8_ms"] > 0
    kept = workplace / model / "model" / f"int8-{kind}"
    report = json.loads((kept / "quantization.json").read_text(encoding="utf-8"))
    assert record.items() <= report.items()
    assert ((kept / "member0.xml").is_file()) == (kind == "openvino")
    code, told = run("score", "scored", model, f"SCORING.ENGINE={engine}-int8")
    assert code == 0, told
    with (workplace / "scored" / "scores.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 24
    assert all(row["engine"].startswith(f"{engine}-int8 ") for row in rows)


def test_a_form_that_falls_too_far_is_refused_and_an_earlier_one_removed(
    run: Run, workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("evaluate", "good", "vit", "EVALUATION.QUANTIZE=dynamic")[0] == 0
    kept = workplace / "vit" / "model" / "int8-dynamic"
    assert kept.is_dir()
    real = quantization.compare_int8

    def fallen(*answers: object, **settings: object) -> dict[str, object]:
        found = real(*answers, **settings)  # type: ignore[arg-type]
        return {**found, "fp32": 0.9, "int8": 0.3, "fall": 0.6}

    monkeypatch.setattr(quantization, "compare_int8", fallen)
    code, told = run("evaluate", "bad", "vit", "EVALUATION.QUANTIZE=dynamic")
    assert code == 1
    assert "0.9000 in fp32 and 0.3000 in int8" in told
    assert "a fall of 0.6000: expected a fall of at most QUANTIZE_MAX_DROP = 0.5: no int8" in told
    assert not kept.exists()
    record = json.loads((workplace / "bad" / "quantization.json").read_text(encoding="utf-8"))
    assert record["holds"] is False
    assert run("score", "none", "vit", "SCORING.ENGINE=torch-int8")[0] == 2


def test_int8_is_never_measured_on_what_the_bundle_learnt_from(run: Run) -> None:
    code, told = run(
        "evaluate", "all", "vit", "EVALUATION.QUANTIZE=dynamic", "EVALUATION.SPLIT=all"
    )
    assert code == 2
    assert "images were learnt from by vit_tiny" in told


def test_calibration_images_are_validation_images_alone(
    run: Run, workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    def stop(bundle: object, kind: str, folder: Path, *, calibration: object) -> None:
        seen.extend(row.file_id for row in calibration.dataset.rows)  # type: ignore[attr-defined]
        raise ConfigError("seen enough")

    monkeypatch.setattr(quantization, "make_int8", stop)
    assert run("evaluate", "calibrated", "vit", "EVALUATION.QUANTIZE=openvino")[0] == 2
    with (workplace / "vit" / "split.csv").open(encoding="utf-8", newline="") as file:
        parts = {row["FileID"]: row["split"] for row in csv.DictReader(file)}
    assert len(seen) == 3
    assert {parts[name] for name in seen} == {"val"}


def test_a_split_without_validation_images_cannot_calibrate(run: Run, workplace: Path) -> None:
    split = (workplace / "vit" / "split.csv").read_text(encoding="utf-8")
    (workplace / "noval.csv").write_text(split.replace(",val", ",train"), encoding="utf-8")
    code, told = run(
        "evaluate", "noval", "vit", "EVALUATION.QUANTIZE=openvino", "DATA.SPLIT_FILE=noval.csv"
    )
    assert code == 2
    assert "the split has no validation images to calibrate with" in told


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("QUANTIZE = dynamic\nMODEL = a, b\n", "QUANTIZE = dynamic: of one bundle, .* several"),
        ("QUANTIZE = dynamic\nSPLIT = val\n", "not learnt from: expected .* SPLIT = test or all"),
        ("QUANTIZE = openvino\nSPLIT = all\n", "validation images: expected .* SPLIT = test"),
    ],
)
def test_keys_that_do_not_go_together_are_refused(tmp_path: Path, text: str, expected: str) -> None:
    path = tmp_path / "config.ini"
    path.write_text(f"[EVALUATION]\n{text}", encoding="utf-8")
    with pytest.raises(ConfigError, match=expected):
        load_config(path, environment={})
