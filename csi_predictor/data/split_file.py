"""`split.csv`: the split of a run, `FileID,PatientID,split` and, for k folds, `fold` (1 to k)."""

import csv
from collections.abc import Collection, Sequence
from pathlib import Path

from csi_predictor.data.manifest import Row
from csi_predictor.data.split import PARTS, Split
from csi_predictor.data.table import TextRow, TextTable, check_no_problems, read_text_table
from csi_predictor.errors import LabelsError
from csi_predictor.files import replaced


def write_split(path: Path, splits: Sequence[Split], rows: Sequence[Row]) -> None:
    """Write one split, or k folds as k times all images; `read_split` reads it again.

    Raises:
        ResourceError: The disk is full.
    """
    has_folds = len(splits) > 1
    with replaced(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["FileID", "PatientID", "split", *["fold"] * has_folds])
        for fold, split in enumerate(splits, start=1):
            part_of = split.part_of()
            for row in rows:
                cells = [row.file_id, row.patient_id, part_of[row.file_id]]
                writer.writerow([*cells, *[fold] * has_folds])


def read_split(
    path: Path, rows: Sequence[Row], *, excluded_file_ids: Collection[str] = ()
) -> tuple[Split, ...]:
    """The splits of a file, proved to be those of the labelled images.

    Args:
        path: Columns `FileID` and `split` (train, val or test), and `fold` where there are several.
        rows: All labelled images; their patients count, not a `PatientID` in the file.
        excluded_file_ids: May stand in the file; left out.

    Raises:
        LabelsError: An unknown part, an id that one side lacks, an image or a patient in two parts,
            or nothing to train on.
    """
    table = read_text_table(path, ("FileID", "split"))
    problems = [*table.problems, *_word_problems(table)]
    check_no_problems(problems)
    has_folds = table.has_column("fold")
    members: dict[str, list[TextRow]] = {}
    for row in table.rows:
        if row["FileID"] not in excluded_file_ids:
            members.setdefault(row["fold"] if has_folds else "", []).append(row)
    return tuple(_build(path, fold, members[fold], rows) for fold in sorted(members, key=_natural))


def _word_problems(table: TextTable) -> list[str]:
    return [
        f"{table.path.name} row {row.number}, column split = {row['split']}: expected "
        f"{', '.join(PARTS)}"
        for row in table.rows
        if row["split"].lower() not in PARTS
    ]


def _natural(fold: str) -> tuple[int, str]:
    return (int(fold) if fold.isdecimal() else 0, fold)


def _build(path: Path, fold: str, members: Sequence[TextRow], rows: Sequence[Row]) -> Split:
    split = Split(
        **{
            part: tuple(sorted(row["FileID"] for row in members if row["split"].lower() == part))
            for part in PARTS
        }
    )
    where = f"{path.name}, fold {fold}" if fold else path.name
    try:
        split.check_disjoint(rows)
    except LabelsError as error:
        raise LabelsError([f"{where}: {problem}" for problem in error.problems]) from error
    if not split.train:
        raise LabelsError(f"{where}: no image has split = train: expected some to train on")
    return split
