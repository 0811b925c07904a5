"""Arguments and exit codes."""

import errno
import subprocess
import sys
from pathlib import Path

import pytest

from csi_predictor import cli
from csi_predictor.cli import main
from csi_predictor.errors import (
    BundleError,
    ConfigError,
    CsiError,
    ImageError,
    InterruptedRunError,
    LabelsError,
    ResourceError,
    TrainingError,
    WeightsError,
)

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError("a"), 2),
        (LabelsError(["a", "b"]), 2),
        (WeightsError("a"), 2),
        (BundleError("a"), 2),
        (ImageError("a.dcm", "TRUNCATED", "short"), 1),
        (TrainingError("a"), 1),
        (CsiError("a"), 1),
        (ResourceError("a"), 75),
        (InterruptedRunError("a"), 130),
        (KeyboardInterrupt(), 130),
        (OSError(errno.ENOSPC, "No space left on device"), 75),
        (OSError(errno.EACCES, "Permission denied"), 1),
        (ZeroDivisionError("by zero"), 1),
    ],
)
def test_each_kind_of_error_has_its_exit_code_and_no_traceback(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    code: int,
) -> None:
    def fail(options: object) -> int:
        raise error

    monkeypatch.setattr(cli, "_run", fail)
    assert main(["--mode", "check"]) == code
    shown = capsys.readouterr().err
    assert shown.startswith("error: ")
    assert "Traceback" not in shown
    assert main(["--mode", "check", "--verbose"]) == code
    assert "Traceback" in capsys.readouterr().err


def test_every_problem_is_a_line_of_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.ini"
    path.write_text("[MODEL]\nHEAD = x\nZONE_FOCUS = y\n", encoding="utf-8")
    assert main(["--mode", "train", "--config", str(path)]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 2


def test_an_unknown_mode_is_refused_with_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--mode", "trian"])
    assert caught.value.code == 2
    assert "invalid choice: 'trian'" in capsys.readouterr().err


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from csi_predictor.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "print({'torch', 'pydantic', 'numpy', 'loguru'} & set(sys.modules) or 'light')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("light")
    assert "synthesize" in done.stdout


def test_the_public_names_are_imported_when_asked_for() -> None:
    code = (
        "import sys, csi_predictor; assert 'torch' not in sys.modules;"
        "from csi_predictor import build_model, create_model, load_bundle, load_config;"
        "print(load_config('config.ini').model.model_arch)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.strip() == "custom1"


@pytest.mark.parametrize("option", ["--fetch", "--summary"])
@pytest.mark.parametrize("mode", ["train", "both", "check"])
def test_options_of_the_networks_are_refused_in_other_modes(
    capsys: pytest.CaptureFixture[str], mode: str, option: str
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--mode", mode, option, "resnet18"])
    assert caught.value.code == 2
    assert f"belong to --mode models, not to {mode}" in capsys.readouterr().err


def test_a_fetch_and_a_summary_exclude_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--mode", "models", "--fetch", "resnet18", "--summary", "resnet18"])
    assert caught.value.code == 2
    assert "not allowed with argument" in capsys.readouterr().err


def test_a_fetch_reads_the_ini_that_it_is_given(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "site.ini"
    path.write_text("[RUNTIME]\nMODELS_CACHE = weights\n", encoding="utf-8")
    assert main(["--mode", "models", "--fetch", "chexnet", "--ini", str(path)]) == 1
    assert f"error: {tmp_path / 'weights' / 'chexnet'}" in capsys.readouterr().err
    assert main(["--mode", "models", "--fetch", "chexnet", "--ini", str(tmp_path / "no.ini")]) == 2
    assert "no.ini" in capsys.readouterr().err
