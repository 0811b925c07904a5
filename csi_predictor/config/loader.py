"""INI + environment + `--set` -> one frozen, checked `Config`, or every problem at once."""

import os
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_args

from pydantic import ValidationError

from csi_predictor.config.combinations import find_combination_problems
from csi_predictor.config.describe import expected
from csi_predictor.config.ini_file import RawValue, read_ini
from csi_predictor.config.schema import SECTIONS, Config
from csi_predictor.errors import ConfigError

ENVIRONMENT_PREFIX = "CSI_"


def load_config(
    ini: str | Path | None = None,
    overrides: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> Config:
    """The checked configuration: override, then environment, then INI, then default.

    Args:
        ini: INI file; `None` takes the defaults, relative to the current folder.
        overrides: `SECTION.KEY=VALUE`, as given to `--set`.
        environment: Variables `CSI_SECTION__KEY`; the process's own where `None`.

    Relative paths are relative to the INI's folder, in overrides and the environment to the
    current folder.

    Raises:
        ConfigError: Every problem of the file and the overrides, one line each.
    """
    values, problems = read_ini(Path(ini)) if ini is not None else ([], [])
    home = Path(ini).resolve().parent if ini is not None else Path.cwd()
    values += _from_environment(os.environ if environment is None else environment)
    for text in overrides:
        values += _from_override(text, problems)
    known = _keep_known(values, problems)
    config, invalid = _validate(known, home)
    problems += [_bad_value(known[key]) for key in invalid]
    problems += find_combination_problems(config, lambda s, k: _place(known, s, k), invalid.keys())
    if problems:
        raise ConfigError(problems)
    return config


def _from_environment(environment: Mapping[str, str]) -> list[RawValue]:
    found = []
    for variable, text in sorted(environment.items()):
        section, separator, name = variable.removeprefix(ENVIRONMENT_PREFIX).partition("__")
        if variable.startswith(ENVIRONMENT_PREFIX) and separator:
            found.append(RawValue(section.upper(), name.upper(), text, variable, Path.cwd()))
    return found


def _from_override(text: str, problems: list[str]) -> list[RawValue]:
    target, equals, value = text.partition("=")
    section, dot, name = target.partition(".")
    if not equals or not dot:
        problems.append(f"--set {text}: expected SECTION.KEY=VALUE, as MODEL.MODEL_ARCH=resnet50")
        return []
    return [
        RawValue(section.strip().upper(), name.strip().upper(), value.strip(), "--set", Path.cwd())
    ]


def _keep_known(values: Sequence[RawValue], problems: list[str]) -> dict[tuple[str, str], RawValue]:
    """The last value of each known key; the rest becomes problems with the nearest name."""
    known: dict[tuple[str, str], RawValue] = {}
    for value in values:
        if value.section not in SECTIONS:
            problem = f"{value.where} [{value.section}]: unknown section: expected one of "
            problem += ", ".join(SECTIONS) + _did_you_mean(value.section, SECTIONS)
            if problem not in problems:
                problems.append(problem)
        elif value.name in _keys(value.section):
            known[value.section, value.name] = value
        elif value.name:
            problems.append(
                f"{value.where} [{value.section}] {value.name}: unknown key{_right_place(value)}"
            )
    return known


def _keys(section: str) -> list[str]:
    return [name.upper() for name in SECTIONS[section].model_fields]


def _right_place(value: RawValue) -> str:
    homes = [section for section in SECTIONS if value.name in _keys(section)]
    if homes:
        return f": it belongs to [{homes[0]}]"
    near = _did_you_mean(value.name, _keys(value.section))
    return near or f": expected one of {', '.join(_keys(value.section))}"


def _did_you_mean(word: str, candidates: Mapping[str, Any] | Sequence[str]) -> str:
    near = get_close_matches(word, list(candidates), n=1)
    return f"; did you mean {near[0]}?" if near else ""


def _validate(
    known: Mapping[tuple[str, str], RawValue], home: Path
) -> tuple[Config, dict[tuple[str, str], None]]:
    """The configuration with each invalid value left at its default, and the keys of those."""
    invalid: dict[tuple[str, str], None] = {}
    sections = {}
    for section, model in SECTIONS.items():
        texts = {name: raw.text for (s, name), raw in known.items() if s == section}
        try:
            checked = model.model_validate(texts)
        except ValidationError as error:
            wrong = dict.fromkeys(str(item["loc"][0]) for item in error.errors())
            invalid |= {(section, name): None for name in wrong}
            checked = model.model_validate({k: v for k, v in texts.items() if k not in wrong})
        sections[section.lower()] = _absolute_paths(checked, section, known, home)
    return Config.model_construct(**sections), invalid


def _bad_value(raw: RawValue) -> str:
    words = expected(raw.section, raw.name)
    field = SECTIONS[raw.section].model_fields[raw.name.lower()]
    choices = [c for c in get_args(field.annotation) if isinstance(c, str)]
    return f"{_place_of(raw)}: expected {words}{_did_you_mean(raw.text.lower(), choices)}"


def _place_of(raw: RawValue) -> str:
    return f"{raw.where} [{raw.section}] {raw.name} = {raw.text}"


def _place(known: Mapping[tuple[str, str], RawValue], section: str, name: str) -> str:
    raw = known.get((section, name))
    return _place_of(raw) if raw is not None else f"(default) [{section}] {name}"


def _absolute_paths(
    checked: Any, section: str, known: Mapping[tuple[str, str], RawValue], home: Path
) -> Any:
    changes: dict[str, object] = {}
    for name in type(checked).model_fields:
        raw = known.get((section, name.upper()))
        folder = raw.folder if raw is not None else home
        value = getattr(checked, name)
        if isinstance(value, Path):
            changes[name] = _absolute(value, folder)
        elif isinstance(value, tuple) and value and isinstance(value[0], Path):
            changes[name] = tuple(_absolute(path, folder) for path in value)
    return checked.model_copy(update=changes)


def _absolute(path: Path, folder: Path) -> Path:
    return Path(os.path.normpath(folder / path.expanduser()))
