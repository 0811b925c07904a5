import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from loguru import logger

from csi_predictor.architectures import CHEXNET_LABELS, CT_RATE_LABELS
from csi_predictor.data.label_rows import LabelsTable
from csi_predictor.data.label_table import find_by_relative_path, scan_label_table
from csi_predictor.errors import ConfigError, LabelsError

NAN = math.nan


@pytest.fixture
def log() -> Iterator[list[str]]:
    lines: list[str] = []
    sink = logger.add(lines.append, level="INFO", format="{level} {message}")
    yield lines
    logger.remove(sink)


def scan(folder: Path, *lines: str, **options: Any) -> tuple[LabelsTable, list[str]]:
    path = folder / "labels.csv"
    path.write_text("\n".join(lines), encoding="utf-8")
    return scan_label_table(path, **{"task": "multilabel", **options})


def read(folder: Path, *lines: str, **options: Any) -> LabelsTable:
    table, problems = scan(folder, *lines, **options)
    assert problems == []
    return table


def targets(table: LabelsTable) -> list[list[float]]:
    return [list(row.targets) for row in table.rows]


NIH_HEADER = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y],"
)


def nih(name: str, findings: str, patient: str = "1") -> str:
    return f"{name},{findings},0,{patient},058Y,M,PA,2682,2749,0.143,0.143,"


def test_chestxray14_is_read_as_it_comes(tmp_path: Path) -> None:
    table = read(
        tmp_path,
        NIH_HEADER,
        nih("00000001_000.png", "Cardiomegaly|Emphysema"),
        nih("00000001_001.png", "No Finding"),
        nih("00000002_000.png", "Pleural_Thickening", "2"),
        layout="chestxray14",
    )
    assert table.target_spec.names == CHEXNET_LABELS
    assert [row.file_id for row in table.rows] == ["00000001_000", "00000001_001", "00000002_000"]
    assert [row.patient_id for row in table.rows] == ["1", "1", "2"]
    found = [
        [name for name, value in zip(CHEXNET_LABELS, row.targets, strict=True) if value]
        for row in table.rows
    ]
    assert found == [["Cardiomegaly", "Emphysema"], [], ["Pleural_Thickening"]]


def test_chestxray14_refuses_other_findings_by_row(tmp_path: Path) -> None:
    _, problems = scan(
        tmp_path,
        NIH_HEADER,
        nih("a.png", "Cardiomegally|Mass"),
        nih("b.png", "No Finding|Mass"),
        nih("c.png", ""),
        nih("d.png", "Mass|"),
        layout="chestxray14",
    )
    where = "labels.csv row {}, column Finding Labels"
    expected = ": expected No Finding alone, or some of Atelectasis, Cardiomegaly,"
    assert [problem.partition(" Effusion")[0] for problem in problems] == [
        f"{where.format(2)} = Cardiomegally|Mass: Cardiomegally isn't a label{expected}",
        f"{where.format(3)} = No Finding|Mass: No Finding isn't a label{expected}",
        f"{where.format(4)} is empty{expected}",
        f"{where.format(5)} = Mass|: nothing isn't a label{expected}",
    ]
    assert problems[0].endswith(", Hernia, separated by |; did you mean Cardiomegaly?")


CHEXPERT_HEADER = (
    "Path,Sex,Age,Frontal/Lateral,AP/PA,No Finding,Enlarged Cardiomediastinum,Cardiomegaly,"
    "Lung Opacity,Lung Lesion,Edema,Consolidation,Pneumonia,Atelectasis,Pneumothorax,"
    "Pleural Effusion,Pleural Other,Fracture,Support Devices"
)
CHEXPERT_LABELS = tuple(CHEXPERT_HEADER.split(",")[5:])
FIRST = "CheXpert-v1.0-small/train/patient00001/study1/view1_frontal.jpg"


def chexpert(path: str, cells: str, view: str = "Frontal") -> str:
    return f"{path},Female,68,{view},AP,{cells}"


CHEXPERT_ROWS = (
    CHEXPERT_HEADER,
    chexpert(FIRST, "1.0,,,,,,,,0.0,,-1.0,,,1.0"),
    chexpert(
        "CheXpert-v1.0-small/train/patient00002/study1/view2_lateral.jpg",
        "9" * 13 + ",,,,,,,,,,,,,",
        "Lateral",
    ),
)


@pytest.mark.parametrize(
    ("uncertain", "unmentioned", "expected"),
    [
        ("ignore", "zeros", [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, NAN, 0, 0, 1]),
        ("zeros", "zeros", [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]),
        ("ones", "zeros", [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 1]),
        ("ignore", "ignore", [1, *[NAN] * 7, 0, NAN, NAN, NAN, NAN, 1]),
        ("ones", "ignore", [1, *[NAN] * 7, 0, NAN, 1, NAN, NAN, 1]),
    ],
)
def test_chexpert_is_read_with_its_uncertain_and_empty_cells(
    tmp_path: Path, uncertain: str, unmentioned: str, expected: list[float]
) -> None:
    table = read(
        tmp_path, *CHEXPERT_ROWS, layout="chexpert", uncertain=uncertain, unmentioned=unmentioned
    )
    assert table.target_spec.names == CHEXPERT_LABELS
    np.testing.assert_array_equal(targets(table), [[float(value) for value in expected]])
    assert table.has_patients


def test_chexperts_ids_are_paths_and_lateral_images_are_left_out(
    tmp_path: Path, log: list[str]
) -> None:
    (row,) = read(tmp_path, *CHEXPERT_ROWS, layout="chexpert").rows
    assert row.file_id == FIRST.removesuffix(".jpg")
    assert row.relative_path == FIRST
    assert row.patient_id == "patient00001"
    assert "INFO labels.csv: 1 lateral images left out\n" in log


def test_chexperts_view_is_read_from_the_name_where_it_has_no_column(tmp_path: Path) -> None:
    lines = [
        f"test/patient64741/study1/{name}.jpg" + ",0.0" * 14
        for name in ("view1_frontal", "view2_lateral")
    ]
    table = read(tmp_path, f"Path,{','.join(CHEXPERT_LABELS)}", *lines, layout="chexpert")
    assert [row.file_id for row in table.rows] == ["test/patient64741/study1/view1_frontal"]


def test_wrong_cells_of_chexpert_are_told_at_once(tmp_path: Path) -> None:
    _, problems = scan(
        tmp_path,
        CHEXPERT_HEADER,
        chexpert("train/study1/view1.jpg", "2,,,,,,,,,,,,,maybe", "Oblique"),
        layout="chexpert",
    )
    where = "labels.csv row 2, column"
    assert problems == [
        f"{where} Path = train/study1/view1.jpg: expected a path with patient and number in it",
        f"{where} Frontal/Lateral = Oblique: expected Frontal or Lateral",
        f"{where} No Finding = 2: expected 1, 0, -1 for uncertain, or empty",
        f"{where} Support Devices = maybe: expected 1, 0, -1 for uncertain, or empty",
    ]


def test_some_labels_of_a_published_table_may_be_chosen(tmp_path: Path) -> None:
    chosen = ("Support Devices", "No Finding")
    table = read(tmp_path, *CHEXPERT_ROWS, layout="chexpert", labels=chosen)
    assert table.target_spec.names == chosen
    assert targets(table) == [[1, 1]]
    with pytest.raises(
        ConfigError, match=r"LABELS: Oedema isn't a label of LABELS_LAYOUT = chexpert.*mean Edema\?"
    ):
        scan(tmp_path, *CHEXPERT_ROWS, layout="chexpert", labels=("Oedema",))


def test_a_file_is_found_with_and_without_the_paths_first_folder(tmp_path: Path) -> None:
    whole = tmp_path / FIRST
    whole.parent.mkdir(parents=True)
    whole.touch()
    assert find_by_relative_path(tmp_path, FIRST) == whole
    assert find_by_relative_path(tmp_path / "CheXpert-v1.0-small", FIRST) == whole
    assert find_by_relative_path(tmp_path / "other", FIRST) is None


def test_ct_rate_has_its_18_labels_in_order(tmp_path: Path) -> None:
    header = "VolumeName," + ",".join(CT_RATE_LABELS)
    cells = [["0"] * 18, ["1"] * 18]
    cells[0][3], cells[1][17] = "1", ""
    names = ("train_1_a_1.nii.gz", "valid_20_b_2.nii.gz")
    lines = [f"{name},{','.join(row)}" for name, row in zip(names, cells, strict=True)]
    table = read(tmp_path, header, *lines, layout="ct_rate")
    assert len(table.target_spec.names) == 18
    assert table.target_spec.names[3] == "Pericardial effusion"
    assert [(row.file_id, row.patient_id) for row in table.rows] == [
        ("train_1_a_1", "train_1"),
        ("valid_20_b_2", "valid_20"),
    ]
    assert targets(table)[0] == [float(index == 3) for index in range(18)]
    np.testing.assert_array_equal(targets(table)[1], [*[1.0] * 17, NAN])  # unknown, not 0


def test_wrong_rows_of_ct_rate_are_told_at_once(tmp_path: Path) -> None:
    header = "VolumeName," + ",".join(CT_RATE_LABELS)
    _, problems = scan(tmp_path, header, "brain.nii.gz" + ",0" * 17 + ",3", layout="ct_rate")
    assert problems == [
        "labels.csv row 2, column VolumeName = brain.nii.gz: expected a form as train_1_a_1.nii.gz",
        "labels.csv row 2, column Interlobular septal thickening = 3: expected 0, 1, or empty for "
        "unknown",
    ]


def test_a_published_table_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LabelsError, match="no column Image Index, Finding Labels, Patient ID"):
        scan(tmp_path, "FileID,A", "a,1", layout="chestxray14", separator=",")


def test_published_tables_have_labels_and_no_classes(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"LABELS_LAYOUT = ct_rate: .* expected TASK = multilabel, not multiclass"
    ):
        scan(tmp_path, "x", layout="ct_rate", task="multiclass")
