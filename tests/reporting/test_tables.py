import csv
from pathlib import Path

import pytest

from csi_predictor.reporting.tables import cell_text, write_table


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\0x"])
def test_a_text_never_starts_a_formula(text: str) -> None:
    assert cell_text(text) == f"'{text}"


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (None, ""),
        (float("nan"), ""),
        (-1.5, "-1.5"),
        (1 / 3, "0.3333333"),
        (8 / 3, "2.666667"),
        (1e-7, "1e-07"),
        (7, "7"),
        ("007", "007"),
    ],
)
def test_cells_are_written_plainly(cell, text: str) -> None:
    assert cell_text(cell) == text


def test_separators_and_quotes_survive_a_csv_reader(tmp_path: Path) -> None:
    row = ["a,b", 'say "x"', "two\nlines"]
    write_table(tmp_path / "t.csv", ["A", "B", "C"], [row])
    with (tmp_path / "t.csv").open(encoding="utf-8", newline="") as file:
        assert list(csv.reader(file)) == [["A", "B", "C"], row]
