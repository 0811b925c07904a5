"""What [BENCHMARK] accepts; refused before torch is there."""

import subprocess
import sys

import pytest

from csi_predictor.config import load_config
from csi_predictor.errors import ConfigError


def load(*overrides: str) -> object:
    return load_config(None, [f"BENCHMARK.{text}" for text in overrides], {}).benchmark


def test_words_are_split_and_lowered() -> None:
    section = load_config(None, ["BENCHMARK.ENGINES=Eager, OpenVINO-bf16"], {}).benchmark
    assert section.engines == ("eager", "openvino-bf16")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("ENGINES=eager, tensorrt", r"ENGINES = .*each one of eager, eager-bf16, channels_last"),
        ("ENGINES=openvino-int8", r"each one of eager, .*onnx-bf16"),
        ("ENGINES=", r"ENGINES = : empty: expected at least one"),
        ("ARCHS=resnet50, densnet121", r"ARCHS = .*densnet121: .*did you mean densenet121"),
        ("ARCHS=", r"ARCHS = : empty, and MODELS too: expected a network to measure"),
        ("BATCH_SIZES=0, 4", r"BATCH_SIZES = 0, 4: expected numbers of at least 1"),
        ("BATCH_SIZES=", r"BATCH_SIZES = : expected numbers of at least 1"),
        ("IMAGE_SIZES=224, 8", r"IMAGE_SIZES = 224, 8: expected edges of at least 16 pixels"),
        ("RUNS=0", r"RUNS = 0: expected a whole number, at least 1"),
        ("TIMEOUT_S=0", r"TIMEOUT_S = 0: expected a number, above 0"),
    ],
)
def test_what_cannot_be_measured_is_refused(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load(override)


def test_bundles_alone_are_enough(tmp_path: object) -> None:
    load("ARCHS=", f"MODELS={tmp_path}")


def test_a_wrong_word_is_refused_without_torch() -> None:
    code = (
        "import sys; from csi_predictor.cli import main; "
        "code = main(['--mode', 'benchmark', '--ini', 'config.ini', "
        "'--set', 'BENCHMARK.ARCHS=resnet51']); "
        "sys.exit(code if 'torch' not in sys.modules else 9)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert "resnet51" in done.stderr
