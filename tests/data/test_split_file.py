from pathlib import Path

import pytest

from csi_predictor.data.manifest import Row
from csi_predictor.data.split import Split, folds_by_patient
from csi_predictor.data.split_file import read_split, write_split
from csi_predictor.errors import LabelsError

ROWS = tuple(
    Row(name, patient, Path(name), (1.0,) * 6)
    for name, patient in (("007", "01"), ("7", "1"), ("1e3", "p;q"), ("x", "01"))
)
SPLIT = Split(("007", "x"), ("7",), ("1e3",))


def test_a_split_is_read_as_it_was_written__weakness_5(tmp_path: Path) -> None:
    write_split(tmp_path / "split.csv", (SPLIT,), ROWS)
    text = (tmp_path / "split.csv").read_text()
    assert text == "FileID,PatientID,split\n007,01,train\n7,1,val\n1e3,p;q,test\nx,01,train\n"
    assert read_split(tmp_path / "split.csv", ROWS) == (SPLIT,)


def test_folds_are_read_as_they_were_written(tmp_path: Path) -> None:
    rows = [Row(f"i{n}", f"p{n}", Path("x"), (n % 4,) * 6) for n in range(24)]
    splits = folds_by_patient(rows, folds=11, val_fraction=0.1, seed=0)
    write_split(tmp_path / "split.csv", splits, rows)
    lines = (tmp_path / "split.csv").read_text().splitlines()
    assert lines[0] == "FileID,PatientID,split,fold"
    assert lines[-1].endswith(",11")
    assert read_split(tmp_path / "split.csv", rows) == splits


def test_a_spreadsheets_form_of_the_file_is_read(tmp_path: Path) -> None:
    text = "\N{ZERO WIDTH NO-BREAK SPACE}split;FileID\nTrain;007\ntrain;x\nVAL;7\ntest;1e3\n"
    (tmp_path / "split.csv").write_text(text, encoding="utf-8")
    assert read_split(tmp_path / "split.csv", ROWS) == (SPLIT,)


def test_excluded_ids_may_stand_in_the_file(tmp_path: Path) -> None:
    write_split(tmp_path / "split.csv", (SPLIT,), ROWS)
    (split,) = read_split(tmp_path / "split.csv", ROWS[:3], excluded_file_ids=("x",))
    assert split == Split(("007",), ("7",), ("1e3",))


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            "007,train\n7,val\n1e3,test\nx,val",
            "split.csv: one patient's images are in several",
        ),
        ("007,train\n7,val\n1e3,test\n1e3,val\nx,train", "1e3 is in the split 2 times"),
        ("007,train\n7,val\nx,train", "1e3 is in the labels table and not in the split"),
        ("007,train\nz,val\n7,val\n1e3,test\nx,train", "z is in the split and not in the labels"),
        ("007,tain\n7,val", "split.csv row 2, column split = tain: expected train, val, test"),
        ("007,val\n7,val\n1e3,test\nx,val", "no image has split = train: expected some"),
    ],
)
def test_a_split_that_doesnt_fit_the_table_is_refused(
    tmp_path: Path, lines: str, message: str
) -> None:
    (tmp_path / "split.csv").write_text(f"FileID,split\n{lines}\n")
    with pytest.raises(LabelsError, match=message):
        read_split(tmp_path / "split.csv", ROWS)
