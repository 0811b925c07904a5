import csv
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from csi_predictor.reporting import training
from csi_predictor.reporting.training import plot_training_curves, write_history

ROWS = [
    {"epoch": 1, "train_loss": 1.25, "learning_rate": 1e-3, "val_loss": 1.0, "val_zone_mae": 0.9},
    {"epoch": 2, "train_loss": 0.75, "learning_rate": 5e-7, "val_loss": 0.9, "val_zone_mae": 0.4},
    {"epoch": 3, "train_loss": 0.5, "learning_rate": 0.0, "val_loss": 1.1, "val_zone_mae": 0.5},
]


def test_history_gives_back_every_number(tmp_path: Path) -> None:
    write_history(ROWS, tmp_path / "history.csv")
    with (tmp_path / "history.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert [{name: float(text) for name, text in row.items()} for row in rows] == ROWS


def test_a_figure_that_an_epoch_lacks_is_an_empty_cell(tmp_path: Path) -> None:
    write_history([{"epoch": 1}, {"epoch": 2, "val_loss": float("nan")}], tmp_path / "h.csv")
    assert (tmp_path / "h.csv").read_text(encoding="utf-8") == "epoch,val_loss\n1,\n2,\n"


@pytest.mark.parametrize("rows", [ROWS, ROWS[:1], [{"epoch": 1, "train_loss": 1.0}]])
def test_curves_are_drawn_for_any_history(rows, tmp_path: Path) -> None:
    plot_training_curves(rows, tmp_path / "training_curves.png")
    with Image.open(BytesIO((tmp_path / "training_curves.png").read_bytes())) as picture:
        assert picture.format == "PNG"
        assert np.asarray(picture.convert("L")).std() > 10


def test_the_best_epoch_is_lowest_or_highest_as_the_monitor_asks() -> None:
    rows = [{"epoch": 1, "val_zone_qwk": 0.2}, {"epoch": 2, "val_zone_qwk": 0.6}]
    assert training._best_epoch(ROWS, "val_zone_mae") == 2
    assert training._best_epoch(rows, "val_zone_qwk") == 2
    assert training._best_epoch(rows, "val_loss") is None


def test_the_marked_epoch_is_the_one_whose_weights_were_kept(tmp_path: Path) -> None:
    for name, epoch in (("a.png", None), ("b.png", 2), ("c.png", 1)):
        plot_training_curves(ROWS, tmp_path / name, best_epoch=epoch)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert (tmp_path / "a.png").read_bytes() != (tmp_path / "c.png").read_bytes()
