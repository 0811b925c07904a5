"""Every example INI is right; where its data is absent, that is all that `--mode check` reports."""

import contextlib
import io
from contextlib import redirect_stdout
from pathlib import Path

import pytest

from csi_predictor.cli import main
from csi_predictor.config import load_config

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = sorted((ROOT / "docs" / "examples").glob("*.ini"))
ABSENT = ("no such folder", "no such file", "no such weights file")


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_an_example_is_right_where_its_data_is_absent(path: Path, tmp_path: Path) -> None:
    copy = tmp_path / "docs" / "examples" / path.name
    copy.parent.mkdir(parents=True)
    copy.write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
    out = io.StringIO()
    with contextlib.chdir(tmp_path), redirect_stdout(out):
        code = main(["--mode", "check", "--ini", str(copy)])
    problems = [line for line in out.getvalue().splitlines() if line.startswith("        ")]
    assert code == (2 if problems else 0)
    assert all(any(text in line for text in ABSENT) for line in problems), out.getvalue()


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_an_example_passes_the_check_where_its_data_is_there(path: Path) -> None:
    config = load_config(path, environment={})
    if config.data.data_dir is None or not config.data.data_dir.is_dir():
        pytest.skip("this example's data isn't beside the project")
    out = io.StringIO()
    with redirect_stdout(out):
        code = main(["--mode", "check", "--ini", str(path)])
    assert code == 0, out.getvalue()
