"""Plain tables of labels and classes: which columns are meant, and what their cells say."""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from loguru import logger

from csi_predictor.data.label_rows import UNKNOWN, LabelRow, ReadRow, nearest, read_yes_no
from csi_predictor.data.table import TextRow, TextTable
from csi_predictor.errors import LabelsError

_CLASS_COLUMN = "label"
_NUMBER = re.compile(r"-?\d+(\.\d*)?")
_WHOLE = re.compile(r"(-?\d+)\.0*")
_MOSTLY = 0.5
_WORDED = frozenset(
    {"true", "false", "yes", "no", "y", "n", "t", "f"}
    | {"positive", "negative", "present", "absent", "-1", "-1.0"}
)
"""Cells of a column that is a label in words, in lower case."""


@dataclass(frozen=True, kw_only=True)
class KeyColumns:
    """The columns of a plain table that aren't answers.

    Attributes:
        file_id: Names the image file without its extension.
        patient: Names the patient; None = there is no such column.
    """

    file_id: str
    patient: str | None


@dataclass(frozen=True, kw_only=True)
class PlainRows:
    """A plain table as read.

    Attributes:
        names: Its labels or classes.
        rows: All rows.
        problems: Of its columns.
    """

    names: tuple[str, ...]
    rows: tuple[ReadRow, ...]
    problems: tuple[str, ...] = ()


def read_plain_labels(
    table: TextTable, labels: Sequence[str], keys: KeyColumns, looked_at: Sequence[TextRow]
) -> PlainRows:
    """The rows of a table with a column a label; a cell is 0, 1, or empty for unknown.

    Without `labels`, a column is a label when more than half of its filled cells are 0 or 1; one
    that never holds either is passed over, and the log names it. One in between is a problem, for
    nobody can know whether it is meant.

    Args:
        table: Has the key columns and those of `labels`.
        labels: Names of columns; empty = find them.
        keys: The other columns.
        looked_at: The rows by which columns are judged.
    """
    problems: list[str] = []
    names = tuple(labels)
    if not names:
        names, problems = _find_label_columns(table, keys, looked_at)
    return PlainRows(
        names=names,
        rows=tuple(_read_label_row(row, names, keys) for row in table.rows),
        problems=tuple(problems),
    )


def read_plain_classes(
    table: TextTable,
    labels: Sequence[str],
    keys: KeyColumns,
    looked_at: Sequence[TextRow],
    *,
    class_column: str = "",
) -> PlainRows:
    """The rows of a table with the name of a class a row, empty for unknown.

    The class stands in the column that `labels` names alone, else in `label`, else in the only
    column beside the keys. `1` and `1.0` are the same class.

    Args:
        table: Has the key columns.
        labels: The classes in their order; empty = those of the table, sorted, numbers as numbers.
        keys: The other columns.
        looked_at: The rows whose classes count.
        class_column: Taken before all others where the table has it.

    Raises:
        LabelsError: Nothing says which column has the classes.
    """
    has_column = bool(class_column) and table.has_column(class_column)
    column = class_column if has_column else _find_class_column(table, labels, keys)
    is_column_named = len(labels) == 1 and table.has_column(labels[0])
    names = () if is_column_named else tuple(labels)
    if not names:
        names = _sorted_classes(row[column] for row in looked_at)
    problems = _class_problems(table, column, names)
    index = {_whole(name): float(position) for position, name in enumerate(names)}
    return PlainRows(
        names=names,
        rows=tuple(_read_class_row(row, column, names, index, keys) for row in table.rows),
        problems=tuple(problems),
    )


def _find_label_columns(
    table: TextTable, keys: KeyColumns, rows: Sequence[TextRow]
) -> tuple[tuple[str, ...], list[str]]:
    found: dict[str, list[str]] = {"label": [], "other": [], "doubtful": []}
    for column in _other_columns(table, keys):
        found[_judge(row[column] for row in rows)].append(column)
    labels, other, doubtful = found["label"], found["other"], found["doubtful"]
    problems = []
    if doubtful:
        problems.append(
            f"{table.path.name}: {', '.join(doubtful)}: yes and no in words, or 0 or 1 in some "
            "rows and other values in as many or more: expected 0 and 1: write them so, or set "
            "[DATA] LABELS to the columns that are labels"
        )
    elif not labels:
        problems.append(
            f"{table.path.name}: no column holds 0 and 1: found {', '.join(table.header)}: "
            "expected a column a label: add them, or name them in [DATA] LABELS"
        )
    logger.info(
        "{}: {} labels: {}; not labels: {}",
        table.path.name,
        len(labels),
        ", ".join(labels) or "none",
        ", ".join(other) or "none",
    )
    return tuple(labels), problems


def _other_columns(table: TextTable, keys: KeyColumns) -> list[str]:
    """All columns that have a name and aren't a key."""
    taken = {name.casefold() for name in ("", keys.file_id, keys.patient or "")}
    return [column for column in table.header if column.casefold() not in taken]


def _judge(cells: Iterable[str]) -> str:
    """`label`, `other` or `doubtful`, by the share of 0 and 1 in the cells that say something."""
    filled = [cell for cell in cells if cell.casefold() not in UNKNOWN]
    num_right = sum(not read_yes_no("", cell)[1] for cell in filled)
    if not num_right:
        is_worded = bool(filled) and all(cell.casefold() in _WORDED for cell in filled)
        return "doubtful" if is_worded else "other"
    return "label" if num_right > _MOSTLY * len(filled) else "doubtful"


def _read_label_row(row: TextRow, labels: Sequence[str], keys: KeyColumns) -> ReadRow:
    targets, problems = [], []
    for label in labels:
        target, problem = read_yes_no(label, row[label])
        targets.append(target)
        problems += problem
    return ReadRow(_label_row(row, keys, tuple(targets)), problems)


def _label_row(row: TextRow, keys: KeyColumns, targets: tuple[float, ...]) -> LabelRow:
    patient = None if keys.patient is None else row[keys.patient]
    return LabelRow(row.number, row[keys.file_id], patient, targets)


def _find_class_column(table: TextTable, labels: Sequence[str], keys: KeyColumns) -> str:
    other = _other_columns(table, keys)
    if len(labels) == 1 and table.has_column(labels[0]):
        return labels[0]
    if table.has_column(_CLASS_COLUMN):
        return _CLASS_COLUMN
    if len(other) == 1:
        return other[0]
    raise LabelsError(
        f"{table.path.name} row 1: no column {_CLASS_COLUMN}: found {', '.join(table.header)}: "
        f"expected {keys.file_id} and {_CLASS_COLUMN}: rename the column of the classes, or name "
        "it alone in [DATA] LABELS"
    )


def _sorted_classes(cells: Iterable[str]) -> tuple[str, ...]:
    names = {_whole(cell) for cell in cells if cell.casefold() not in UNKNOWN}
    if all(_NUMBER.fullmatch(name) for name in names):
        return tuple(sorted(names, key=float))
    return tuple(sorted(names))


def _class_problems(table: TextTable, column: str, names: Sequence[str]) -> list[str]:
    problems = []
    if len(names) < 2:
        found = f"only the class {names[0]}" if names else "no class"
        problems.append(
            f"{table.path.name}, column {column}: {found}: expected at least 2, or [DATA] LABELS "
            "to name those that are missing"
        )
    folded: dict[str, list[str]] = {}
    for name in names:
        folded.setdefault(name.casefold(), []).append(name)
    problems += [
        f"{table.path.name}, column {column}: {' and '.join(same)} differ in upper and lower case "
        "alone: expected one spelling of a class"
        for same in folded.values()
        if len(same) > 1
    ]
    return problems


def _read_class_row(
    row: TextRow, column: str, names: Sequence[str], index: dict[str, float], keys: KeyColumns
) -> ReadRow:
    cell = row[column]
    target = index.get(_whole(cell), math.nan)
    problems = []
    if math.isnan(target) and cell.casefold() not in UNKNOWN:
        problems.append(
            f"{column} = {cell}: expected one of {', '.join(names)}, or empty for unknown"
            f"{nearest(cell, names)}"
        )
    return ReadRow(_label_row(row, keys, (target,)), problems)


def _whole(cell: str) -> str:
    """`2.0`, as a column with empty cells is often written, is the class `2`."""
    whole = _WHOLE.fullmatch(cell)
    return whole[1] if whole else cell
