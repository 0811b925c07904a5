"""What every labels table gives, six zones or labels, and what is checked of its rows alike."""

import math
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path

from loguru import logger

from csi_predictor.specs import TargetSpec

UNKNOWN = frozenset({"", "nan", "na"})
"""Cells, in lower case, that say nothing."""

_YES_NO = re.compile(r"[01](\.0*)?")


@dataclass(frozen=True)
class LabelRow:
    """One image's row of a labels table.

    Attributes:
        number: Row as a spreadsheet counts it; the header is row 1.
        file_id: Text, `007` stays `007`.
        patient_id: None when the table doesn't name patients.
        targets: As the table's `target_spec` says; NaN = ungradable or unknown.
        relative_path: The image's path as a published table gives it; empty = the id finds it.
    """

    number: int
    file_id: str
    patient_id: str | None
    targets: tuple[float, ...]
    relative_path: str = ""


@dataclass(frozen=True)
class ReadRow:
    """A row, and what is wrong with its cells.

    Attributes:
        row: The result, to be used only when there is no problem.
        problems: One line each, as `Edema = 2: expected ...`.
        is_left_out: The table itself says that it isn't wanted, as a lateral radiograph.
    """

    row: LabelRow
    problems: Sequence[str] = ()
    is_left_out: bool = False


@dataclass(frozen=True)
class LabelsTable:
    """A labels table.

    Attributes:
        path: The file.
        rows: In the file's order, those to be left out already gone.
        has_patients: Whether each row names its patient.
        target_spec: What the rows' targets mean.
    """

    path: Path
    rows: tuple[LabelRow, ...]
    has_patients: bool
    target_spec: TargetSpec = field(default_factory=TargetSpec)


def row_problems(
    path: Path, rows: Iterable[ReadRow], *, id_column: str, patient_column: str
) -> Iterator[str]:
    """What is wrong with the rows: none at all, empty and repeated ids, empty patients, cells."""
    first_row: dict[str, int] = {}
    for read in rows:
        row = read.row
        where = f"{path.name} row {row.number}, column"
        first = first_row.setdefault(row.file_id, row.number)
        if not row.file_id:
            yield f"{where} {id_column} is empty: expected the image's id"
        elif first != row.number:
            yield (
                f"{where} {id_column} = {row.file_id}: also in row {first}: expected one row an "
                "image: remove one"
            )
        if row.patient_id == "":
            yield (
                f"{where} {patient_column} is empty: expected the patient's id in each row, or "
                "no such column at all"
            )
        yield from (f"{where} {problem}" for problem in read.problems)
    if not first_row:
        yield f"{path.name}: no row with an image: expected a header and one row an image"


def warn_of_unknown_ids(name: str, file_ids: Iterable[str], excluded: Collection[str]) -> None:
    """Warn in the log of ids to be left out that aren't there.

    Args:
        name: Of the file that has the ids.
        file_ids: All of its ids.
        excluded: [DATA] EXCLUDED_FILE_IDS.
    """
    unknown = set(excluded) - set(file_ids)
    if unknown:
        logger.warning("[DATA] EXCLUDED_FILE_IDS: not in {}: {}", name, ", ".join(sorted(unknown)))


def read_yes_no(column: str, cell: str) -> tuple[float, list[str]]:
    """0, 1 or NaN for unknown, and the problem of a label's cell, if there is one."""
    if _YES_NO.fullmatch(cell):
        return float(cell), []
    if cell.casefold() in UNKNOWN:
        return math.nan, []
    return math.nan, [f"{column} = {cell}: expected 0, 1, or empty for unknown"]


def nearest(word: str, names: Sequence[str]) -> str:
    """`; did you mean ...?` where a name is near the word, else nothing."""
    near = get_close_matches(word, names, n=1)
    return f"; did you mean {near[0]}?" if near else ""
