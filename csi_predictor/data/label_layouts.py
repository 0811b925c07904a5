"""The tables that published sets come with: where each says id, patient and labels.

Sources: ChestX-ray14's Data_Entry_2017.csv (Wang et al. 2017, arXiv:1705.02315); CheXpert's
train.csv (Irvin et al. 2019, arXiv:1901.07031); CT-RATE's train_predicted_labels.csv (Hamamci et
al. 2024, arXiv:2403.17834).
"""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from csi_predictor.architectures import CHEXNET_LABELS, CT_RATE_LABELS
from csi_predictor.data.label_rows import UNKNOWN, LabelRow, ReadRow, nearest, read_yes_no
from csi_predictor.data.table import TextRow
from csi_predictor.data.volume_files import ct_rate_id, ct_rate_patient

Uncertain = Literal["ignore", "zeros", "ones"]
Unmentioned = Literal["zeros", "ignore"]
PublishedName = Literal["chestxray14", "chexpert", "ct_rate"]

CHEXPERT_LABELS = (
    "No Finding",
    "Enlarged Cardiomediastinum",
    "Cardiomegaly",
    "Lung Opacity",
    "Lung Lesion",
    "Edema",
    "Consolidation",
    "Pneumonia",
    "Atelectasis",
    "Pneumothorax",
    "Pleural Effusion",
    "Pleural Other",
    "Fracture",
    "Support Devices",
)
"""In the table's order."""

_UNCERTAIN = re.compile(r"-1(\.0*)?")
_NO_FINDING = "No Finding"
_CHEXPERT_VIEW = "Frontal/Lateral"
_CHEXPERT_PATIENT = re.compile(r"patient\d+")


@dataclass(frozen=True, kw_only=True)
class CellRules:
    """What a cell of CheXpert's table means that is neither 1 nor 0.

    Attributes:
        uncertain: A -1: `ignore` = unknown, `zeros` = absent, `ones` = present.
        unmentioned: An empty one: `zeros` = absent, `ignore` = unknown.
    """

    uncertain: Uncertain = "ignore"
    unmentioned: Unmentioned = "zeros"


ReadLayoutRow = Callable[[TextRow, Sequence[str], CellRules], ReadRow]


@dataclass(frozen=True, kw_only=True)
class LabelLayout:
    """A published table.

    Attributes:
        id_column: Names the image, with its extension.
        patient_column: Names the patient, may be the same column.
        labels: All of its labels, in its order.
        has_label_columns: Each label has a column of its own.
        other_columns: Columns that must be there beside those.
        read_row: Takes a row, the wanted labels and the cell rules.
    """

    id_column: str
    patient_column: str
    labels: tuple[str, ...]
    has_label_columns: bool
    other_columns: tuple[str, ...] = ()
    read_row: ReadLayoutRow


def _read_chestxray14(row: TextRow, labels: Sequence[str], rules: CellRules) -> ReadRow:
    """Of `Finding Labels`, separated by `|`, what isn't named is absent, as the set defines it."""
    findings = [finding.strip() for finding in row["Finding Labels"].split("|")]
    return ReadRow(
        LabelRow(
            row.number,
            _without_extension(row["Image Index"]),
            row["Patient ID"],
            tuple(float(label in findings) for label in labels),
        ),
        [] if findings == [_NO_FINDING] else _finding_problems(row["Finding Labels"], findings),
    )


def _finding_problems(cell: str, findings: Sequence[str]) -> list[str]:
    expected = (
        f"expected {_NO_FINDING} alone, or some of {', '.join(CHEXNET_LABELS)}, separated by |"
    )
    if not cell:
        return [f"Finding Labels is empty: {expected}"]
    return [
        f"Finding Labels = {cell}: {finding or 'nothing'} isn't a label: {expected}"
        f"{nearest(finding, CHEXNET_LABELS)}"
        for finding in findings
        if finding not in CHEXNET_LABELS
    ]


def _read_chexpert(row: TextRow, labels: Sequence[str], rules: CellRules) -> ReadRow:
    path = row["Path"]
    problems = []
    patient = _CHEXPERT_PATIENT.search(path)
    if path and patient is None:
        problems.append(f"Path = {path}: expected a path with patient and number in it")
    view = row.cells.get(_CHEXPERT_VIEW.casefold(), "") or _view_of_name(path)
    if path and view not in ("Frontal", "Lateral"):
        problems.append(f"{_CHEXPERT_VIEW} = {view}: expected Frontal or Lateral")
    targets = []
    for label in labels:
        target, problem = _read_chexpert_cell(label, row[label], rules)
        targets.append(target)
        problems += problem
    return ReadRow(
        LabelRow(
            row.number,
            _without_extension(path),
            patient[0] if patient else None,
            tuple(targets),
            relative_path=path,
        ),
        problems,
        is_left_out=view == "Lateral",
    )


def _read_chexpert_cell(column: str, cell: str, rules: CellRules) -> tuple[float, list[str]]:
    if cell.casefold() in UNKNOWN:
        return {"zeros": 0.0, "ignore": math.nan}[rules.unmentioned], []
    if _UNCERTAIN.fullmatch(cell):
        return {"ignore": math.nan, "zeros": 0.0, "ones": 1.0}[rules.uncertain], []
    target, problem = read_yes_no(column, cell)
    return target, problem and [f"{column} = {cell}: expected 1, 0, -1 for uncertain, or empty"]


def _view_of_name(path: str) -> str:
    """`view1_frontal.jpg` -> `Frontal`; CheXpert's test labels have no column for it."""
    return _without_extension(path).rpartition("_")[2].capitalize()


def _read_ct_rate(row: TextRow, labels: Sequence[str], rules: CellRules) -> ReadRow:
    name = row["VolumeName"]
    patient, problems = None, []
    if name:
        try:
            patient = ct_rate_patient(name)
        except ValueError as error:
            problems.append(str(error))
    targets = []
    for label in labels:
        target, problem = read_yes_no(label, row[label])
        targets.append(target)
        problems += problem
    return ReadRow(LabelRow(row.number, ct_rate_id(name), patient, tuple(targets)), problems)


def _without_extension(name: str) -> str:
    return re.sub(r"\.[A-Za-z]{3,4}$", "", name)


LAYOUTS: dict[PublishedName, LabelLayout] = {
    "chestxray14": LabelLayout(
        id_column="Image Index",
        patient_column="Patient ID",
        labels=CHEXNET_LABELS,
        has_label_columns=False,
        other_columns=("Finding Labels", "Patient ID"),
        read_row=_read_chestxray14,
    ),
    "chexpert": LabelLayout(
        id_column="Path",
        patient_column="Path",
        labels=CHEXPERT_LABELS,
        has_label_columns=True,
        read_row=_read_chexpert,
    ),
    "ct_rate": LabelLayout(
        id_column="VolumeName",
        patient_column="VolumeName",
        labels=CT_RATE_LABELS,
        has_label_columns=True,
        read_row=_read_ct_rate,
    ),
}
