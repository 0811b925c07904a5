"""The labels table: six zones an image, graded 0-3 by a reader, or ungradable."""

import math
import re
from collections.abc import Collection, Sequence
from pathlib import Path

from loguru import logger

from csi_predictor.data.label_rows import (
    UNKNOWN,
    LabelRow,
    LabelsTable,
    ReadRow,
    row_problems,
    warn_of_unknown_ids,
)
from csi_predictor.data.table import TextRow, TextTable, check_no_problems, read_text_table
from csi_predictor.specs import MAX_GRADE, ZONES

__all__ = ["LabelRow", "LabelsTable", "read_labels_table", "scan_labels_table"]

_GRADE = re.compile(rf"[0-{MAX_GRADE}](\.0*)?")
_CSI_TOLERANCE = 0.005 + 1e-9  # half of the last digit of a mean written with two decimals


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
    warn_of_unknown_ids(path.name, (row[id_column] for row in text.rows), excluded_file_ids)
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
    problems = [
        *text.problems,
        *row_problems(
            path,
            map(ReadRow, rows, map(_cell_problems, kept)),
            id_column=id_column,
            patient_column=patient_column,
        ),
    ]
    return LabelsTable(path, tuple(rows), has_patients=patients is not None), problems


def _read_grade(cell: str) -> float:
    """A grade; NaN for ungradable, and for what `_cell_problems` refuses."""
    return float(cell) if _GRADE.fullmatch(cell) else math.nan


def _cell_problems(row: TextRow) -> list[str]:
    return [
        f"{zone} = {row[zone]}: expected 0 to {MAX_GRADE}, or empty for ungradable"
        for zone in ZONES
        if not _GRADE.fullmatch(row[zone]) and row[zone].casefold() not in UNKNOWN
    ]


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
    if cell.casefold() in UNKNOWN:
        return True
    gradable = [grade for grade in targets if not math.isnan(grade)]
    try:
        csi = float(cell.replace(",", "."))
    except ValueError:
        return False
    return bool(gradable) and abs(csi - sum(gradable) / len(gradable)) <= _CSI_TOLERANCE
