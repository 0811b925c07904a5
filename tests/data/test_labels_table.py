import math
from collections.abc import Iterator
from pathlib import Path

import pytest
from loguru import logger

from csi_predictor.data.labels_table import LabelsTable, read_labels_table
from csi_predictor.errors import LabelsError

HEADER = "FileID;right_sup;left_sup;right_mid;left_mid;right_inf;left_inf"


def read(folder: Path, *lines: str, **options: object) -> LabelsTable:
    path = folder / "labels.csv"
    path.write_text("\n".join(lines), encoding="utf-8")
    return read_labels_table(path, **options)  # type: ignore[arg-type]


@pytest.fixture
def warnings() -> Iterator[list[str]]:
    lines: list[str] = []
    sink = logger.add(lines.append, level="WARNING", format="{message}")
    yield lines
    logger.remove(sink)


def problems(folder: Path, *lines: str) -> tuple[str, ...]:
    with pytest.raises(LabelsError) as caught:
        read(folder, *lines)
    return caught.value.problems


def test_ids_stay_text__weakness_5(tmp_path: Path) -> None:
    table = read(tmp_path, HEADER, " 007 ;0;1;2;3;0;0", "7;0;0;0;0;0;0", "1e3;0;0;0;0;0;0")
    assert [row.file_id for row in table.rows] == ["007", "7", "1e3"]


def test_csi_column_is_optional__weakness_4(tmp_path: Path) -> None:
    assert read(tmp_path, HEADER, "a;0;1;2;3;0;0").rows[0].targets == (0, 1, 2, 3, 0, 0)
    assert read(tmp_path, HEADER + ";csi", "a;0;1;2;3;0;0;1").rows[0].targets == (0, 1, 2, 3, 0, 0)


def test_other_scores_are_refused_and_none_is_truncated__weakness_6(tmp_path: Path) -> None:
    found = problems(
        tmp_path,
        HEADER,
        "a;5;-1;1.5;bad;2.0;2",
        "b;0;0;0;0;0;0",
        "c;0;0;0;0;0;7",
        "d;1_0;2e0;+1;\N{ARABIC-INDIC DIGIT TWO};0;0",
    )
    expected = "expected 0 to 3, or empty for ungradable"
    assert found == (
        f"labels.csv row 2, column right_sup = 5: {expected}",
        f"labels.csv row 2, column left_sup = -1: {expected}",
        f"labels.csv row 2, column right_mid = 1.5: {expected}",
        f"labels.csv row 2, column left_mid = bad: {expected}",
        f"labels.csv row 4, column left_inf = 7: {expected}",
        f"labels.csv row 5, column right_sup = 1_0: {expected}",
        f"labels.csv row 5, column left_sup = 2e0: {expected}",
        f"labels.csv row 5, column right_mid = +1: {expected}",
        f"labels.csv row 5, column left_mid = \N{ARABIC-INDIC DIGIT TWO}: {expected}",
    )


def test_ungradable_is_nan_however_it_is_written(tmp_path: Path) -> None:
    targets = read(tmp_path, HEADER, "a;;NaN;nan;NA; ;2.0").rows[0].targets
    assert [math.isnan(grade) for grade in targets] == [True] * 5 + [False]
    assert targets[5] == 2


def test_a_row_with_no_gradable_zone_is_legal(tmp_path: Path) -> None:
    assert all(map(math.isnan, read(tmp_path, HEADER, "a;;;;;;").rows[0].targets))


def test_zones_are_found_by_name_in_any_order_and_case(tmp_path: Path) -> None:
    table = read(
        tmp_path, "LEFT_INF,right_inf,left_mid,right_mid,left_sup,Right_Sup,fileid", "3,2,1,0,3,2,a"
    )
    assert table.rows[0].targets == (2, 3, 0, 1, 2, 3)


def test_repeated_and_empty_ids_are_named_with_their_rows(tmp_path: Path) -> None:
    assert problems(tmp_path, HEADER, "a;0;0;0;0;0;0", ";0;0;0;0;0;0", "a;1;0;0;0;0;0") == (
        "labels.csv row 3, column FileID is empty: expected the image's id",
        "labels.csv row 4, column FileID = a: also in row 2: expected one row an image: remove one",
    )


def test_empty_patient_cell_is_an_error_that_names_the_row(tmp_path: Path) -> None:
    (found,) = problems(tmp_path, HEADER + ";PatientID", "a;0;0;0;0;0;0;P", "b;0;0;0;0;0;0;")
    assert found.startswith(
        "labels.csv row 3, column PatientID is empty: expected the patient's id"
    )


def test_patients_are_absent_without_their_column(tmp_path: Path) -> None:
    table = read(tmp_path, HEADER, "a;0;0;0;0;0;0")
    assert not table.has_patients
    assert table.rows[0].patient_id is None


def test_excluded_rows_arent_looked_at_and_unknown_ones_are_warned_of(
    tmp_path: Path, warnings: list[str]
) -> None:
    table = read(tmp_path, HEADER, "a;9;;;;;", "b;0;0;0;0;0;0", excluded_file_ids=("a", "zz"))
    assert [row.file_id for row in table.rows] == ["b"]
    assert warnings == ["[DATA] EXCLUDED_FILE_IDS: not in labels.csv: zz\n"]


def test_header_alone_is_an_error(tmp_path: Path) -> None:
    assert problems(tmp_path, HEADER, "") == (
        "labels.csv: no row with an image: expected a header and one row an image",
    )


def test_all_missing_columns_are_named_at_once(tmp_path: Path) -> None:
    (found,) = problems(tmp_path, "FileID;right_sup;left_sup", "a;0;0")
    assert "no column right_mid, left_mid, right_inf, left_inf: found FileID" in found


def test_another_csi_is_a_warning__weakness_4(tmp_path: Path, warnings: list[str]) -> None:
    # means by hand: 7/6 = 1.1667; (1+2)/2 = 1.5; nothing gradable has no mean
    read(
        tmp_path,
        HEADER + ";csi",
        "a;1;1;1;1;1;2;1.17",
        "b;1;2;;;;;1,5",
        "c;;;;;;;",
        "d;1;1;1;1;1;2;1.18",
        "e;;;;;;;0",
        "f;1;1;1;1;1;1;one",
    )
    assert warnings == [
        "labels.csv: csi isn't the mean of the gradable zones in 3 rows (first: row 5): "
        "the zones are used, csi isn't\n"
    ]
