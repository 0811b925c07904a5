"""The house: which room may import which. The same table stands in setup.cfg for import-linter."""

import ast
from configparser import ConfigParser
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "csi_predictor"
MAX_LINES = 400

GROUND = {
    "errors": set(),
    "specs": {"errors"},
    "architectures": {"specs"},
    "zone_logits": {"errors", "specs"},
    "medmnist_sets": {"errors", "specs"},
    "files": {"errors"},
    "logs": set(),
    "progress": set(),
    "runtime": {"errors"},
    "versions": set(),
}
ROOMS = {
    "config": set(),
    "data": {"config"},
    "synthesis": {"config", "data"},
    "models": {"config"},
    "losses": {"config"},
    "metrics": set(),
    "inference": {"data", "models"},
    "uncertainty": {"metrics", "inference"},
    "training": {"config", "data", "models", "losses", "metrics", "inference"},
    "evaluation": {"config", "data", "metrics", "inference", "uncertainty"},
    "scoring": {"config", "data", "inference", "uncertainty"},
    "benchmarking": {"config", "data", "models", "training", "inference"},
    "reporting": {
        "metrics",
        "inference",
        "uncertainty",
        "evaluation",
        "scoring",
        "benchmarking",
    },
}
NOT_PURE = {"metrics": {"torch"}, "config": {"torch", "numpy", "timm"}}
TOP = {"modes", "cli", "checks", "run_folder", "workflows", "__init__"}


def imported_modules(path: Path) -> set[str]:
    """Absolute names that a file imports outside `if TYPE_CHECKING`."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    skipped = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    names: set[str] = set()
    for node in ast.walk(tree):
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names.add(node.module or "")
    return names


def rooms_of(names: set[str]) -> set[str]:
    """First part below the package of each imported module of this project."""
    return {name.split(".")[1] for name in names if name.startswith("csi_predictor.")}


def python_files() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def relative(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


@pytest.mark.parametrize("path", python_files(), ids=relative)
def test_a_file_imports_only_what_its_room_may(path: Path) -> None:
    names = imported_modules(path)
    place = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    if place in TOP:
        return
    assert place in GROUND or place in ROOMS, f"{place}: a new room is added to the table first"
    allowed = GROUND[place] if place in GROUND else ROOMS[place] | set(GROUND) | {place}
    found = rooms_of(names) - {place}
    assert found <= allowed
    if "config" in found:
        assert path.name == "build.py", "only a room's build.py opens the config"
    assert not {name.split(".")[0] for name in names} & NOT_PURE.get(place, set())


@pytest.mark.parametrize("path", python_files(), ids=relative)
def test_a_file_is_short_enough_to_read(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_LINES


def test_the_import_contract_of_setup_cfg_is_the_same_table() -> None:
    parser = ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    for room, allowed in ROOMS.items():
        section = parser[f"importlinter:contract:{room}"]
        forbidden = {
            line.removeprefix("csi_predictor.") for line in section["forbidden_modules"].split()
        }
        assert forbidden == (set(ROOMS) | TOP - {"__init__"}) - allowed - {room}
