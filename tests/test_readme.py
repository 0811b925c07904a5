"""The README's commands exist: targets, modes, keys, files and imports."""

import re
from configparser import ConfigParser
from pathlib import Path

import csi_predictor
from csi_predictor.cli import ALIASES, MODES
from csi_predictor.config.schema import SECTIONS
from csi_predictor.errors import REASON_CODES

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", README, flags=re.DOTALL)


def blocks(language: str) -> str:
    return "\n".join(text for name, text in BLOCKS if name == language)


def test_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"\bmake (\w+)", blocks("bash"))) | {"lint"}
    assert {"train", "test"} <= targets
    assert all(re.search(rf"^{target}:", makefile, flags=re.MULTILINE) for target in targets)


def test_modes_exist_and_are_all_described() -> None:
    used = set(re.findall(r"--mode (\w+)", README)) - {"MODE"}
    assert used <= {*MODES, *ALIASES}
    assert all(f"| `{mode}`" in README for mode in MODES)


def test_keys_exist() -> None:
    overrides = set(re.findall(r"\b([A-Z]+)\.([A-Z_]+)=", README)) - {("SECTION", "KEY")}
    parser = ConfigParser()
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(blocks("ini"))
    named = [*overrides] + [(s, key) for s in parser.sections() for key in parser[s]]
    assert len(named) > 8
    for section, key in named:
        assert key.lower() in SECTIONS[section].model_fields, f"[{section}] {key}"


def test_files_that_commands_read_exist() -> None:
    for name in ("main.py", "config.ini", "constraints.txt", "docs/examples/six_zone.ini"):
        assert name in README
        assert (ROOT / name).is_file(), name


def test_reason_codes_are_all_described() -> None:
    assert [code for code in REASON_CODES if f"`{code}`" not in README] == []


def test_public_names_can_be_imported() -> None:
    (names,) = re.findall(r"from csi_predictor import (.*)", blocks("python"))
    for name in names.split(", "):
        assert name in csi_predictor.__all__
