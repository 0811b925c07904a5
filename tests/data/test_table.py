from pathlib import Path

import pytest

from csi_predictor.data.table import check_no_problems, read_text_table
from csi_predictor.errors import LabelsError


def write(folder: Path, text: str | bytes) -> Path:
    path = folder / "labels.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize("separator", [";", ",", "\t"])
def test_separator_is_found_by_the_expected_columns(tmp_path: Path, separator: str) -> None:
    path = write(tmp_path, f"FileID{separator}a;b,c\n007{separator}2\n".replace("a;b,c", "grade"))
    table = read_text_table(path, ("FileID", "grade"))
    assert [(row.number, row["fileid"], row["Grade"]) for row in table.rows] == [(2, "007", "2")]


def test_comma_in_a_quoted_note_doesnt_hide_the_semicolon(tmp_path: Path) -> None:
    path = write(tmp_path, 'FileID;"note, free, long";grade\n1;"a, b; c";3\n')
    assert read_text_table(path, ("FileID", "grade")).rows[0]["grade"] == "3"


def test_byte_order_mark_isnt_part_of_the_first_name(tmp_path: Path) -> None:
    path = write(tmp_path, b"\xef\xbb\xbfFileID,grade\r\n007,1\r\n")
    assert read_text_table(path, ("FileID", "grade")).header == ("FileID", "grade")


def test_row_numbers_count_blank_rows_as_a_spreadsheet_does(tmp_path: Path) -> None:
    path = write(tmp_path, "FileID;grade\n1;0\n\n;\n2;1\n")
    assert [row.number for row in read_text_table(path, ("FileID",)).rows] == [2, 5]


def test_ragged_rows_are_problems_with_their_numbers(tmp_path: Path) -> None:
    path = write(tmp_path, "FileID;grade\n1;0;3\n2;1\n3\n")
    table = read_text_table(path, ("FileID",))
    assert table.problems == (
        "labels.csv row 2: 3 cells: expected 2, as many as the header has",
        "labels.csv row 4: 1 cells: expected 2, as many as the header has",
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "labels.csv: empty: expected a header row with FileID, grade"),
        ("a|b\n1|2\n", r"row 1: found 'a\|b': expected the columns FileID, grade, separated by ;"),
        ("FileID;x\n1;2\n", "row 1: no column grade: found FileID, x: expected FileID, grade"),
        ("FileID;grade;Grade\n1;2;2\n", "row 1: 2 columns are named grade: expected each name"),
        ('FileID;grade\n1;"2\n', "row 2: unexpected end of data: expected cells without quotes"),
        (b"FileID;grade\nh\xe9;2\n", "byte 14 isn't UTF-8 text: save the table as CSV UTF-8"),
    ],
)
def test_a_file_that_is_no_such_table_is_refused(
    tmp_path: Path, text: str | bytes, message: str
) -> None:
    with pytest.raises(LabelsError, match=message):
        read_text_table(write(tmp_path, text), ("FileID", "grade"))


def test_wrong_separator_is_named_with_the_right_one(tmp_path: Path) -> None:
    path = write(tmp_path, "FileID\tgrade\n1\t2\n")
    with pytest.raises(LabelsError, match="separated by tab, not by ,: set LABELS_CSV_SEPARATOR"):
        read_text_table(path, ("FileID", "grade"), separator=",")


def test_missing_file_and_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(LabelsError, match=r"absent\.csv: no such file: expected a table"):
        read_text_table(tmp_path / "absent.csv", ("FileID",))
    with pytest.raises(LabelsError, match=r"can't be read \(.*\): expected a file"):
        read_text_table(tmp_path, ("FileID",))


def test_fifty_problems_are_listed_and_the_rest_counted() -> None:
    check_no_problems([])
    with pytest.raises(LabelsError) as caught:
        check_no_problems([f"problem {number}" for number in range(62)])
    assert caught.value.problems[49:] == ("problem 49", "... and 12 more problems")
