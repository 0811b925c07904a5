"""Tables as CSV that no spreadsheet mistakes for a program."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from csi_predictor.files import write_text

Cell = str | int | float | None
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "\0")
_QUOTED = frozenset(',"\r\n')
_DECIMALS = 6


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Iterable[Cell]]) -> None:
    """Write a whole comma-separated UTF-8 table or none.

    Args:
        path: The file.
        columns: The first line.
        rows: None and NaN become an empty cell.
    """
    lines = [",".join(map(cell_text, columns))]
    lines += [",".join(map(cell_text, row)) for row in rows]
    # a file's name that isn't UTF-8 is shown with its bytes as escapes
    text = "\n".join(lines).encode("utf-8", "backslashreplace").decode("utf-8")
    write_text(path, text + "\n")


def cell_text(cell: Cell) -> str:
    """A number to six decimals; a text quoted where needed, and never a spreadsheet's formula.

    Source:
        OWASP ASVS 5.0, 1.2.10: a leading `'` before `= + - @`, tab, CR and NUL.
    """
    if cell is None or cell != cell:
        return ""
    if isinstance(cell, float):
        return _number_text(cell)
    if isinstance(cell, int):
        return str(cell)
    text = f"'{cell}" if cell.startswith(_FORMULA_STARTS) else cell
    return '"' + text.replace('"', '""') + '"' if _QUOTED & set(text) else text


def _number_text(number: float) -> str:
    """Seven significant digits; a rate of 1e-7 stays what it is."""
    return f"{number:.{_DECIMALS + 1}g}"
