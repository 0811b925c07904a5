"""A delimited text table, all cells text, with the row numbers that a person sees."""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from csi_predictor.errors import LabelsError

SEPARATORS = (";", ",", "\t")
_SHOWN_PROBLEMS = 50


@dataclass(frozen=True)
class TextRow:
    """One row: `row["FileID"]` is its cell, blanks around it removed; case is no matter.

    Attributes:
        number: As a spreadsheet counts: the header is row 1, and a blank row counts.
        cells: By column name in lower case.
    """

    number: int
    cells: dict[str, str]

    def __getitem__(self, column: str) -> str:
        return self.cells[column.casefold()]


@dataclass(frozen=True)
class TextTable:
    """A table with a header.

    Attributes:
        path: The file.
        header: Column names of row 1, blanks around them removed.
        rows: The rows that aren't blank.
        problems: Rows that don't have as many cells as the header; they aren't in `rows`.
    """

    path: Path
    header: tuple[str, ...]
    rows: tuple[TextRow, ...]
    problems: tuple[str, ...]

    def has_column(self, name: str) -> bool:
        """Whether a column is there, upper and lower case being equal."""
        return name.casefold() in (column.casefold() for column in self.header)


def read_text_table(
    path: Path, expected: Sequence[str], *, separator: str | None = None
) -> TextTable:
    """The table of a UTF-8 file (with or without BOM).

    Args:
        path: A delimited text file.
        expected: Columns that must be there, exact names; upper and lower case are equal.
        separator: One character; None finds `;`, `,` or tab by the expected columns.

    Raises:
        LabelsError: The file can't be read, is empty or isn't such a table, the separator is
            wrong, an expected column is missing, or a column name stands there twice.
    """
    text = _read_text(path)
    separator = separator or _find_separator(path, text, expected)
    records = _parse(path, text, separator)
    table = _build_table(path, records)
    _check_header(table, expected, text, separator)
    return table


def check_no_problems(problems: Sequence[str]) -> None:
    """Raise one error with all problems, of which the first 50 are listed.

    Raises:
        LabelsError: There is at least one problem.
    """
    if len(problems) > _SHOWN_PROBLEMS:
        more = f"... and {len(problems) - _SHOWN_PROBLEMS} more problems"
        problems = [*problems[:_SHOWN_PROBLEMS], more]
    if problems:
        raise LabelsError(problems)


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise LabelsError(
            f"{path}: byte {error.start} isn't UTF-8 text: save the table as CSV UTF-8"
        ) from error
    except FileNotFoundError as error:
        raise LabelsError(f"{path}: no such file: expected a table with a header row") from error
    except OSError as error:
        raise LabelsError(f"{path}: can't be read ({error.strerror}): expected a file") from error


def _find_separator(path: Path, text: str, expected: Sequence[str]) -> str:
    found = {each: _count_expected(text, each, expected) for each in SEPARATORS}
    separator = max(SEPARATORS, key=lambda each: found[each])
    if not text.strip():
        raise LabelsError(f"{path}: empty: expected a header row with {', '.join(expected)}")
    if found[separator] == 0:
        first_row = text.splitlines()[0][:200]
        raise LabelsError(
            f"{path.name} row 1: found '{first_row}': expected the columns {', '.join(expected)}, "
            "separated by ; or , or tab"
        )
    return separator


def _count_expected(text: str, separator: str, expected: Sequence[str]) -> int:
    try:
        header = next(csv.reader(io.StringIO(text, newline=""), delimiter=separator), [])
    except csv.Error:  # a stray quote or an overlong cell; _parse reports it with its row
        return 0
    return len({name.strip().casefold() for name in header} & {n.casefold() for n in expected})


def _parse(path: Path, text: str, separator: str) -> list[tuple[int, tuple[str, ...]]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    records = []
    try:
        for number, cells in enumerate(reader, start=1):
            records.append((number, tuple(cell.strip() for cell in cells)))
    except csv.Error as error:
        raise LabelsError(
            f"{path.name} row {len(records) + 1}: {error}: expected cells without quotes, or each "
            'in a pair of "'
        ) from error
    return records


def _build_table(path: Path, records: list[tuple[int, tuple[str, ...]]]) -> TextTable:
    header = records[0][1] if records else ()
    names = [name.casefold() for name in header]
    rows, problems = [], []
    for number, cells in records[1:]:
        if not any(cells):
            continue
        if len(cells) == len(header):
            rows.append(TextRow(number, dict(zip(names, cells, strict=True))))
        else:
            problems.append(
                f"{path.name} row {number}: {len(cells)} cells: expected {len(header)}, "
                "as many as the header has"
            )
    return TextTable(path, header, tuple(rows), tuple(problems))


def _check_header(table: TextTable, expected: Sequence[str], text: str, separator: str) -> None:
    problems = list(_header_problems(table, expected))
    if problems and len(table.header) == 1:
        problems += _separator_hint(table.path, text, separator, expected)
    check_no_problems(problems)


def _header_problems(table: TextTable, expected: Sequence[str]) -> Iterator[str]:
    missing = [name for name in expected if not table.has_column(name)]
    if missing:
        yield (
            f"{table.path.name} row 1: no column {', '.join(missing)}: found "
            f"{', '.join(table.header) or 'nothing'}: expected {', '.join(expected)}"
        )
    folded = [name.casefold() for name in table.header if name]
    for name in sorted({name for name in folded if folded.count(name) > 1}):
        yield (
            f"{table.path.name} row 1: {folded.count(name)} columns are named {name}: "
            "expected each name once: remove or rename the others"
        )


def _separator_hint(
    path: Path, text: str, separator: str, expected: Sequence[str]
) -> Iterator[str]:
    for other in SEPARATORS:
        if _count_expected(text, other, expected) > 1:
            yield (
                f"{path.name}: separated by {_name_of(other)}, not by {_name_of(separator)}: "
                f"set LABELS_CSV_SEPARATOR = auto"
            )


def _name_of(separator: str) -> str:
    return "tab" if separator == "\t" else separator
