import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
from loguru import logger

from csi_predictor.architectures import CHEXNET_LABELS
from csi_predictor.data.label_rows import LabelsTable
from csi_predictor.data.label_table import scan_label_table
from csi_predictor.errors import LabelsError
from csi_predictor.specs import TargetSpec

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


def test_every_column_of_0_and_1_is_a_label(tmp_path: Path) -> None:
    table = read(tmp_path, "FileID;PatientID;Edema;Mass", "007;p;1;0", "8;q;0.0;1.0")
    assert table.target_spec == TargetSpec(
        task="multilabel", names=("Edema", "Mass"), num_classes=2
    )
    assert [row.file_id for row in table.rows] == ["007", "8"]
    assert [row.patient_id for row in table.rows] == ["p", "q"]
    assert table.has_patients
    assert targets(table) == [[1, 0], [0, 1]]


def test_an_unknown_label_is_nan_and_never_0__weakness_004_07(tmp_path: Path) -> None:
    table = read(tmp_path, "FileID,A,B,C,D", "a,,NaN,NA,1", "b,1,0,1,0")
    np.testing.assert_array_equal(targets(table), [[NAN, NAN, NAN, 1], [1, 0, 1, 0]])
    assert not table.has_patients


def test_columns_of_other_content_are_passed_over_and_named_in_the_log(
    tmp_path: Path, log: list[str]
) -> None:
    table = read(tmp_path, "FileID,Age,Sex,Edema,Note", "a,61,F,1,", "b,70,M,0,")
    assert table.target_spec.names == ("Edema",)
    assert "INFO labels.csv: 1 labels: Edema; not labels: Age, Sex, Note\n" in log


def test_a_wrong_cell_in_a_label_column_is_told_with_row_and_column(tmp_path: Path) -> None:
    rows = [f"x{number},0,1" for number in range(6)]
    _, problems = scan(tmp_path, "FileID,Edema,Mass", *rows, "y,2,-1", "z,yes,0")
    assert problems == [
        "labels.csv row 8, column Edema = 2: expected 0, 1, or empty for unknown",
        "labels.csv row 8, column Mass = -1: expected 0, 1, or empty for unknown",
        "labels.csv row 9, column Edema = yes: expected 0, 1, or empty for unknown",
    ]


def test_columns_that_may_be_labels_or_not_are_one_problem(tmp_path: Path) -> None:
    _, problems = scan(
        tmp_path, "FileID,Age,Visits,Edema", "a,1,0,1", "b,61,2,0", "c,70,3,0", "d,2,1,1"
    )
    assert problems == [
        "labels.csv: Age, Visits: yes and no in words, or 0 or 1 in some rows and other values in "
        "as many or more: expected 0 and 1: write them so, or set [DATA] LABELS to the columns "
        "that are labels"
    ]
    table = read(tmp_path, "FileID,Age,Visits,Edema", "a,1,0,1", "b,61,2,0", labels=("Edema",))
    assert table.target_spec.names == ("Edema",)


def test_named_labels_are_taken_in_the_order_named(tmp_path: Path) -> None:
    table = read(tmp_path, "FileID,A,B,C", "a,1,0,0", "b,0,1,0", labels=("C", "A"))
    assert table.target_spec.names == ("C", "A")
    assert targets(table) == [[0, 1], [0, 0]]


def test_a_named_label_without_a_column_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        LabelsError, match=r"row 1: no column Edema: found FileID, Mass: expected F"
    ):
        scan(tmp_path, "FileID,Mass", "a,1", labels=("Mass", "Edema"))


def test_a_table_without_labels_is_refused(tmp_path: Path) -> None:
    _, problems = scan(tmp_path, "FileID,Age", "a,61")
    assert problems == [
        "labels.csv: no column holds 0 and 1: found FileID, Age: expected a column a label: add "
        "them, or name them in [DATA] LABELS"
    ]


def test_ids_and_patients_are_checked_as_in_the_six_zone_table(tmp_path: Path) -> None:
    _, problems = scan(
        tmp_path, "id,who,A", "a,p,1", ",p,0", "a,,1", id_column="id", patient_column="who"
    )
    assert problems == [
        "labels.csv row 3, column id is empty: expected the image's id",
        "labels.csv row 4, column id = a: also in row 2: expected one row an image: remove one",
        "labels.csv row 4, column who is empty: expected the patient's id in each row, or no such "
        "column at all",
    ]


def test_excluded_rows_arent_looked_at(tmp_path: Path, log: list[str]) -> None:
    table = read(tmp_path, "FileID,A", "a,9", "b,1", "c,0", excluded_file_ids=("a", "zz"))
    assert [row.file_id for row in table.rows] == ["b", "c"]
    assert "WARNING [DATA] EXCLUDED_FILE_IDS: not in labels.csv: zz\n" in log


def test_a_header_alone_is_an_error(tmp_path: Path) -> None:
    _, problems = scan(tmp_path, "FileID,A", labels=("A",))
    assert problems == ["labels.csv: no row with an image: expected a header and one row an image"]


def test_rare_and_absent_labels_are_told_in_one_line_each(tmp_path: Path, log: list[str]) -> None:
    rows = [f"x{number},1,{number % 5 // 4},0,{int(number < 10)},0" for number in range(20)]
    read(tmp_path, "FileID,A,B,C,D,E", *rows)
    assert log[-2:] == [
        "WARNING labels.csv: present in no image, so neither taught nor measured: C, E\n",
        "WARNING labels.csv: present in fewer than 10 images, so hardly taught or measured: "
        "B (4)\n",
    ]


def test_the_number_of_unknown_answers_is_told(tmp_path: Path, log: list[str]) -> None:
    read(tmp_path, "FileID,A,B", "a,,1", "b,1,", "c,0,")
    assert "INFO labels.csv: 3 of 6 answers are unknown: they neither teach nor count\n" in log


def test_classes_are_sorted_and_an_empty_one_is_unknown(tmp_path: Path) -> None:
    table = read(
        tmp_path, "FileID,label", "a,pneumonia", "b,normal", "c,", "d,covid", task="multiclass"
    )
    assert table.target_spec == TargetSpec(
        task="multiclass", names=("covid", "normal", "pneumonia"), num_classes=3
    )
    np.testing.assert_array_equal(targets(table), [[2], [1], [NAN], [0]])


def test_numbers_are_sorted_as_numbers_however_they_are_written(tmp_path: Path) -> None:
    table = read(
        tmp_path, "FileID,label", "a,10", "b,2.0", "c,2", "d,1", "e,nan", task="multiclass"
    )
    assert table.target_spec.names == ("1", "2", "10")
    np.testing.assert_array_equal(targets(table), [[2], [1], [1], [0], [NAN]])


def test_named_classes_give_the_order_and_others_are_refused(tmp_path: Path) -> None:
    lines = ("FileID,label", "a,normal", "b,pneumonia", "c,pneumona", "d,7")
    options = {"task": "multiclass", "labels": ("pneumonia", "normal")}
    table, problems = scan(tmp_path, *lines, **options)
    assert table.target_spec.names == ("pneumonia", "normal")
    assert targets(table)[:2] == [[1], [0]]
    assert problems == [
        "labels.csv row 4, column label = pneumona: expected one of pneumonia, normal, or empty "
        "for unknown; did you mean pneumonia?",
        "labels.csv row 5, column label = 7: expected one of pneumonia, normal, or empty for "
        "unknown",
    ]


@pytest.mark.parametrize(
    ("header", "labels"),
    [("FileID,PatientID,grade", ()), ("FileID,grade,label,site", ("grade",))],
)
def test_the_class_column_may_have_another_name(
    tmp_path: Path, header: str, labels: tuple[str, ...]
) -> None:
    cells = ["p,high", "q,low"] if "PatientID" in header else ["high,x,y", "low,x,y"]
    lines = [f"{number},{cell}" for number, cell in enumerate(cells)]
    table = read(tmp_path, header, *lines, task="multiclass", labels=labels)
    assert table.target_spec.names == ("high", "low")
    assert targets(table) == [[0], [1]]


def test_a_class_column_that_nobody_names_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(
        LabelsError,
        match=r"row 1: no column label: found FileID, a, b: expected FileID and label: rename",
    ):
        scan(tmp_path, "FileID,a,b", "x,1,2", task="multiclass")


def test_one_class_and_two_spellings_of_one_are_refused(tmp_path: Path) -> None:
    _, problems = scan(tmp_path, "FileID,label", "a,yes", "b,", task="multiclass")
    assert problems == [
        "labels.csv, column label: only the class yes: expected at least 2, or [DATA] LABELS to "
        "name those that are missing"
    ]
    _, problems = scan(tmp_path, "FileID,label", "a,Yes", "b,yes", task="multiclass")
    assert problems == [
        "labels.csv, column label: Yes and yes differ in upper and lower case alone: expected one "
        "spelling of a class"
    ]


def test_an_excluded_row_gives_no_class(tmp_path: Path) -> None:
    lines = ("FileID,label", "a,zebra", "b,low", "c,high")
    table = read(tmp_path, *lines, task="multiclass", excluded_file_ids=("a",))
    assert table.target_spec.names == ("high", "low")


def test_classes_without_images_are_told(tmp_path: Path, log: list[str]) -> None:
    rows = [f"x{number},b" for number in range(10)]
    read(tmp_path, "FileID,label", *rows, "y,a", task="multiclass", labels=("a", "b", "c"))
    assert log[-2:] == [
        "WARNING labels.csv: present in no image, so neither taught nor measured: c\n",
        "WARNING labels.csv: present in fewer than 10 images, so hardly taught or measured: "
        "a (1)\n",
    ]


def test_the_shared_chest14_table_is_read_whole(shared_data: Path, log: list[str]) -> None:
    path = shared_data / "nih_chest14" / "labels.csv"
    table, problems = scan_label_table(path, task="multilabel")
    assert problems == []
    assert table.target_spec.names == CHEXNET_LABELS
    assert len(table.rows) == 400
    assert len({row.patient_id for row in table.rows}) == 400
    assert (
        f"INFO labels.csv: 14 labels: {', '.join(CHEXNET_LABELS)}; "
        "not labels: Age, Sex, ViewPosition\n"
    ) in log
    frame = pandas.read_csv(path)
    expected = frame[list(CHEXNET_LABELS)].sum().tolist()
    assert [sum(row.targets[index] for row in table.rows) for index in range(14)] == expected


@pytest.mark.parametrize("words", [("True", "False"), ("yes", "no"), ("-1", "-1")])
def test_a_label_in_words_is_not_silently_left_out(tmp_path: Path, words: tuple[str, str]) -> None:
    _, problems = scan(tmp_path, "FileID,Edema,Mass", f"a,1,{words[0]}", f"b,0,{words[1]}", "c,1,")
    assert len(problems) == 1
    assert problems[0].startswith("labels.csv: Mass: yes and no in words")


def test_one_class_named_by_labels_is_refused_before_any_image(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("FileID,label\na,x\nb,x\n", encoding="utf-8")
    _, problems = scan_label_table(tmp_path / "labels.csv", task="multiclass", labels=("x",))
    assert problems == [
        "labels.csv, column label: only the class x: expected at least 2, or [DATA] LABELS to "
        "name those that are missing"
    ]
