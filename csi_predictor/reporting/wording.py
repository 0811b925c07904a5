"""How zones and numbers are written in figures and reports."""

from collections.abc import Mapping
from typing import Any

UNDEFINED = "–"
_LEVELS = {"sup": "upper", "mid": "middle", "inf": "lower"}


def zone_title(zone: str) -> str:
    """`right_sup` -> `Right upper`."""
    side, level = zone.split("_")
    return f"{side.capitalize()} {_LEVELS[level]}"


def number(value: float | None, decimals: int = 2) -> str:
    """`0.40`; a dash where it is undefined."""
    if value is None:
        return UNDEFINED
    text = f"{value:.{decimals}f}"
    return text.removeprefix("-") if float(text) == 0 else text.replace("-", "−")


def percent(value: float | None) -> str:
    """`63 %`."""
    return UNDEFINED if value is None else f"{100 * value:.0f} %"


def interval(block: Mapping[str, Any], name: str, decimals: int = 2) -> str:
    """`0.35 to 0.46`, or nothing where there is no interval."""
    low, high = block.get(f"{name}_ci_low"), block.get(f"{name}_ci_high")
    if low is None or high is None:
        return ""
    return f"{number(low, decimals)} to {number(high, decimals)}"


def share_interval(block: Mapping[str, Any], name: str) -> str:
    """`59 % to 67 %`, or nothing where there is no interval."""
    low, high = block.get(f"{name}_ci_low"), block.get(f"{name}_ci_high")
    return "" if low is None or high is None else f"{percent(low)} to {percent(high)}"


def counted(count: int, singular: str, plural: str) -> str:
    """`1 patient`, `2 patients`."""
    return f"{thousands(count)} {singular if count == 1 else plural}"


def thousands(count: int) -> str:
    """`2303` -> `2,303`."""
    return f"{count:,}"


def short_name(name: str) -> str:
    """A label's name with blanks, cut to what a panel of a picture has room for."""
    text = name.replace("_", " ")
    return text if len(text) <= _LONGEST_NAME else text[: _LONGEST_NAME - 1] + "…"


_LONGEST_NAME = 26
"""Characters over one of four panels side by side."""
