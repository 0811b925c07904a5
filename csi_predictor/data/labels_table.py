"""The labels table: six zones an image, graded 0-3 by a reader, or ungradable."""

import math
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from loguru import logger

from csi_predictor.data.table import TextRow, TextTable, check_no_problems, read_text_table
from csi_predictor.specs import MAX_GRADE, ZONES

_UNGRADABLE = frozenset({"", "nan", "na"})
_GRADE = re.compile(rf"[0-{MAX_GRADE}](\.0*)?")
_CSI_TOLERANCE = 0.005 + 1e-9  # half of the last digit of a mean written with two decimals


@dataclass(frozen=True)
class LabelRow:
    """One image's grades.

    Attributes:
        number: Row as a spreadsheet counts it; the header is row 1.
        file_id: Text, `007` stays `007`.
        patient_id: None when the table has no patient column.
        targets: One a zone in the order of `specs.ZONES`; NaN = ungradable.
    """

    number: int
    file_id: str
    patient_id: str | None
    targets: tuple[float, ...]


@dataclass(frozen=True)
class LabelsTable:
    """A labels table.

    Attributes:
        path: The file.
        rows: In the file's order, those to be left out already gone.
        has_patients: Whether the patient column is there.
    """

    path: Path
    rows: tuple[LabelRow, ...]
    has_patients: bool


def read_labels_table(
    path: Path,
    *,
    separator: str | None = None,
    id_column: str = "FileID",
    patient_column: str = "PatientID",
    excluded_file_ids: Collection[str] = (),
) -> LabelsTable:
    """The table of `scan_labels_table`, refused when there is any problem.

    Raises:
        LabelsError: All problems of the table.
    """
    table, problems = scan_labels_table(
        path,
        separator=separator,
        id_column=id_column,
        patient_column=patient_column,
        excluded_file_ids=excluded_file_ids,
    )
    check_no_problems(problems)
    return table


def scan_labels_table(
    path: Path,
    *,
    separator: str | None = None,
    id_column: str = "FileID",
    patient_column: str = "PatientID",
    excluded_file_ids: Collection[str] = (),
) -> tuple[LabelsTable, list[str]]:
    """A table with columns `id_column` and the names of `specs.ZONES`, and all its problems.

    A cell is 0, 1, 2 or 3 (`2` or `2.0`); empty, NaN or NA is ungradable. Upper and lower case of
    column names are equal. `patient_column` and `csi` are optional: a `csi` that isn't the mean
    of the gradable zones is only a warning in the log, since the zones alone are learnt.

    Args:
        path: UTF-8 text, with or without BOM.
        separator: `;`, `,` or tab; None finds it.
        id_column: Names the image file without its extension.
        patient_column: Names the patient.
        excluded_file_ids: Rows that aren't looked at.

    Returns:
        The table, to be used only when there is no problem, and one line a problem.

    Raises:
        LabelsError: The file as a whole isn't such a table.
    """
    text = read_text_table(path, (id_column, *ZONES), separator=separator)
    _warn_of_unknown(text, id_column, excluded_file_ids)
    kept = [row for row in text.rows if row[id_column] not in excluded_file_ids]
    patients = patient_column if text.has_column(patient_column) else None
    rows = [
        LabelRow(
            row.number,
            row[id_column],
            None if patients is None else row[patients],
            tuple(_read_grade(row[zone]) for zone in ZONES),
        )
        for row in kept
    ]
    _warn_of_other_csi(text, kept, rows)
    problems = [*text.problems, *_problems(path, kept, id_column, patients)]
    return LabelsTable(path, tuple(rows), has_patients=patients is not None), problems


def _read_grade(cell: str) -> float:
    """A grade; NaN for ungradable, and for what `_cell_problems` refuses."""
    return float(cell) if _GRADE.fullmatch(cell) else math.nan


def _problems(
    path: Path, rows: Sequence[TextRow], id_column: str, patient_column: str | None
) -> Iterator[str]:
    if not rows:
        yield f"{path.name}: no row with an image: expected a header and one row an image"
    first_row: dict[str, int] = {}
    for row in rows:
        where = f"{path.name} row {row.number}, column"
        file_id = row[id_column]
        first = first_row.setdefault(file_id, row.number)
        if not file_id:
            yield f"{where} {id_column} is empty: expected the image's id"
        elif first != row.number:
            yield (
                f"{where} {id_column} = {file_id}: also in row {first}: expected one row an "
                "image: remove one"
            )
        if patient_column is not None and not row[patient_column]:
            yield (
                f"{where} {patient_column} is empty: expected the patient's id in each row, or "
                "no such column at all"
            )
        yield from _cell_problems(where, row)


def _cell_problems(where: str, row: TextRow) -> Iterator[str]:
    for zone in ZONES:
        cell = row[zone]
        if not _GRADE.fullmatch(cell) and cell.casefold() not in _UNGRADABLE:
            yield f"{where} {zone} = {cell}: expected 0 to {MAX_GRADE}, or empty for ungradable"


def _warn_of_unknown(table: TextTable, id_column: str, excluded: Collection[str]) -> None:
    unknown = set(excluded) - {row[id_column] for row in table.rows}
    if unknown:
        logger.warning(
            "[DATA] EXCLUDED_FILE_IDS: not in {}: {}", table.path.name, ", ".join(sorted(unknown))
        )


def _warn_of_other_csi(
    table: TextTable, text_rows: Sequence[TextRow], rows: Sequence[LabelRow]
) -> None:
    if not table.has_column("csi"):
        return
    other = [
        row.number
        for text, row in zip(text_rows, rows, strict=True)
        if not _is_csi(text["csi"], row.targets)
    ]
    if other:
        logger.warning(
            "{}: csi isn't the mean of the gradable zones in {} rows (first: row {}): "
            "the zones are used, csi isn't",
            table.path.name,
            len(other),
            other[0],
        )


def _is_csi(cell: str, targets: tuple[float, ...]) -> bool:
    """Whether a csi cell is what the zones say; an empty one says nothing and is right."""
    if cell.casefold() in _UNGRADABLE:
        return True
    gradable = [grade for grade in targets if not math.isnan(grade)]
    try:
        csi = float(cell.replace(",", "."))
    except ValueError:
        return False
    return bool(gradable) and abs(csi - sum(gradable) / len(gradable)) <= _CSI_TOLERANCE
