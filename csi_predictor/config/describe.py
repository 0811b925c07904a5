"""What a key accepts, in words: used by error messages and by the comments of `config.ini`."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from csi_predictor.config.schema import SECTIONS

_KINDS = {
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "string": "text",
}


def expected(section: str, name: str) -> str:
    """The values a key accepts, e.g. `auto, or a whole number, at least 0`."""
    return _words(_json_schema(section)["properties"][name])


def ini_value(value: object) -> str:
    """A value as it is written in an INI; `None` and empty tuples are empty."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ", ".join(ini_value(v) for v in value)
    if isinstance(value, Path):
        return value.as_posix()
    if isinstance(value, float):
        return f"{value:g}" if float(f"{value:g}") == value else repr(value)
    return str(value)


@cache
def _json_schema(section: str) -> dict[str, Any]:
    return SECTIONS[section].model_json_schema(by_alias=True)


def _words(schema: Mapping[str, Any]) -> str:
    if "anyOf" in schema:
        parts = [_words(part) for part in schema["anyOf"] if part.get("type") != "null"]
        empty = ["empty"] if len(parts) < len(schema["anyOf"]) else []
        return ", or ".join([*parts, *empty])
    if "const" in schema:
        return str(schema["const"])
    if "enum" in schema:
        return f"one of {', '.join(map(str, schema['enum']))}"
    if schema.get("type") == "array":
        return f"comma-separated values, each {_words(schema['items'])}"
    if schema.get("format") == "path":
        return "a path"
    if "pattern" in schema:
        return str(schema["description"]) if "description" in schema else schema["pattern"]
    return _KINDS[schema["type"]] + _limits(schema)


def _limits(schema: Mapping[str, Any]) -> str:
    words = {
        "minimum": "at least",
        "exclusiveMinimum": "above",
        "maximum": "at most",
        "exclusiveMaximum": "below",
    }
    found = [f"{text} {schema[name]:g}" for name, text in words.items() if name in schema]
    return f", {' and '.join(found)}" if found else ""
