"""The labels table of other tasks than six zones: labels that are there or not, or classes."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from loguru import logger

from csi_predictor.data.label_counts import log_label_counts
from csi_predictor.data.label_layouts import (
    LAYOUTS,
    CellRules,
    LabelLayout,
    PublishedName,
    Uncertain,
    Unmentioned,
)
from csi_predictor.data.label_rows import (
    LabelsTable,
    ReadRow,
    nearest,
    row_problems,
    warn_of_unknown_ids,
)
from csi_predictor.data.plain_labels import KeyColumns, read_plain_classes, read_plain_labels
from csi_predictor.data.table import read_text_table
from csi_predictor.errors import ConfigError
from csi_predictor.specs import TargetSpec

LabelTask = Literal["multilabel", "multiclass"]
LayoutName = Literal["plain", "chestxray14", "chexpert", "ct_rate"]


@dataclass(frozen=True, kw_only=True)
class _Read:
    """All rows of a table, those to be left out too."""

    names: tuple[str, ...]
    rows: Sequence[ReadRow]
    problems: Sequence[str]
    id_column: str
    patient_column: str | None


def scan_label_table(
    path: Path,
    *,
    task: LabelTask,
    layout: LayoutName = "plain",
    labels: Sequence[str] = (),
    class_column: str = "",
    separator: str | None = None,
    id_column: str = "FileID",
    patient_column: str = "PatientID",
    excluded_file_ids: Collection[str] = (),
    uncertain: Uncertain = "ignore",
    unmentioned: Unmentioned = "zeros",
) -> tuple[LabelsTable, list[str]]:
    """A table of labels or classes, and all its problems.

    `plain` and `multilabel`: a column a label; a cell is 0 or 1 (`1` or `1.0`), and empty, NaN or
    NA is unknown. `plain` and `multiclass`: the class stands in the column `label`, in the only
    one beside id and patient, or in the one that `labels` names alone; empty is unknown. The
    published layouts are tables of `label_layouts` as they come; of CheXpert frontal images alone.

    Args:
        path: UTF-8 text, with or without BOM.
        task: `multilabel` or `multiclass`.
        layout: `plain` or a published one, which has columns of its own and is multilabel.
        labels: Labels or classes in the wanted order; of a published layout some of its own. Empty
            = all that the table has: classes sorted, numbers as numbers.
        class_column: Of `plain` and `multiclass`: where the class stands, while `labels` names the
            classes; empty, or a column that isn't there = found as above.
        separator: `;`, `,` or tab; None finds it.
        id_column: Of `plain`: names the image file without its extension.
        patient_column: Of `plain`: names the patient, may be absent.
        excluded_file_ids: Rows that aren't looked at.
        uncertain: What -1 means in CheXpert's table.
        unmentioned: What an empty cell means in CheXpert's table.

    Returns:
        The table, to be used only when there is no problem, and one line a problem.

    Raises:
        LabelsError: The file as a whole isn't such a table.
        ConfigError: The layout has no such task or label.
    """
    excluded = frozenset(excluded_file_ids)
    if layout == "plain":
        read = _read_plain(
            path, task, labels, class_column, separator, id_column, patient_column, excluded
        )
    else:
        rules = CellRules(uncertain=uncertain, unmentioned=unmentioned)
        read = _read_published(path, layout, _choose(labels, layout, task), rules, separator)
    warn_of_unknown_ids(path.name, (each.row.file_id for each in read.rows), excluded)
    wanted = [each for each in read.rows if each.row.file_id not in excluded]
    kept = [each for each in wanted if not each.is_left_out]
    columns = {"id_column": read.id_column, "patient_column": read.patient_column or ""}
    problems = [*read.problems, *row_problems(path, kept, **columns)]
    table = LabelsTable(
        path,
        tuple(each.row for each in kept),
        has_patients=read.patient_column is not None,
        target_spec=TargetSpec(
            task=task,
            names=read.names,
            num_classes=2 if task == "multilabel" else len(read.names),
        ),
    )
    if not problems:
        if len(kept) < len(wanted):
            logger.info("{}: {} lateral images left out", path.name, len(wanted) - len(kept))
        targets = [row.targets for row in table.rows]
        log_label_counts(path.name, table.target_spec, targets)
    return table, problems


def find_by_relative_path(folder: Path, relative_path: str) -> Path | None:
    """The file of a published table's path below a folder; None = it isn't there.

    The path's first folder (`CheXpert-v1.0-small/`) may be missing below the folder, for the folder
    may be that one.
    """
    parts = PurePosixPath(relative_path.replace("\\", "/")).parts
    for candidate in (folder.joinpath(*parts), folder.joinpath(*parts[1:])):
        if candidate.is_file():
            return candidate
    return None


def _read_plain(
    path: Path,
    task: LabelTask,
    labels: Sequence[str],
    class_column: str,
    separator: str | None,
    id_column: str,
    patient_column: str,
    excluded: Collection[str],
) -> _Read:
    expected = (id_column, *labels) if task == "multilabel" else (id_column,)
    text = read_text_table(path, expected, separator=separator)
    patients = patient_column if text.has_column(patient_column) else None
    keys = KeyColumns(file_id=id_column, patient=patients)
    looked_at = [row for row in text.rows if row[id_column] not in excluded]
    if task == "multilabel":
        plain = read_plain_labels(text, labels, keys, looked_at)
    else:
        plain = read_plain_classes(text, labels, keys, looked_at, class_column=class_column)
    return _Read(
        names=plain.names,
        rows=plain.rows,
        problems=(*text.problems, *plain.problems),
        id_column=id_column,
        patient_column=patients,
    )


def _choose(labels: Sequence[str], layout: PublishedName, task: LabelTask) -> tuple[str, ...]:
    """The wanted labels of a published layout, by default all."""
    if task != "multilabel":
        raise ConfigError(
            f"[DATA] LABELS_LAYOUT = {layout}: its images have any number of labels: expected "
            f"TASK = multilabel, not {task}"
        )
    known = LAYOUTS[layout].labels
    problems = [
        f"[DATA] LABELS: {label} isn't a label of LABELS_LAYOUT = {layout}: expected some of "
        f"{', '.join(known)}{nearest(label, known)}"
        for label in labels
        if label not in known
    ]
    if problems:
        raise ConfigError(problems)
    return tuple(labels) or known


def _read_published(
    path: Path,
    name: PublishedName,
    labels: tuple[str, ...],
    rules: CellRules,
    separator: str | None,
) -> _Read:
    layout: LabelLayout = LAYOUTS[name]
    columns = (layout.id_column, *layout.other_columns)
    columns += labels if layout.has_label_columns else ()
    text = read_text_table(path, columns, separator=separator)
    return _Read(
        names=labels,
        rows=[layout.read_row(row, labels, rules) for row in text.rows],
        problems=text.problems,
        id_column=layout.id_column,
        patient_column=layout.patient_column,
    )
