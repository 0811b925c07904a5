import csv
import json
from pathlib import Path

import numpy as np
import pytest

from csi_predictor.reporting.evaluation import write_evaluation, write_predictions
from csi_predictor.specs import ZONES


@pytest.fixture(scope="module")
def folder(case, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "evaluation"
    write_evaluation(case.evaluation, case.predictions, folder, run_facts={"Model": "custom1"})
    return folder


def test_the_folder_holds_what_was_promised(folder: Path) -> None:
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert {"metrics.json", "predictions.csv", "report.html", "figures/csi_scatter.png"} <= names
    assert not [name for name in names if name.endswith(".tmp")]


def test_metrics_json_is_the_evaluation(folder: Path, case) -> None:
    text = (folder / "metrics.json").read_text(encoding="utf-8")
    assert json.loads(text) == case.evaluation.metrics


def test_writing_again_gives_equal_bytes(folder: Path, case, tmp_path: Path) -> None:
    write_evaluation(case.evaluation, case.predictions, tmp_path, run_facts={"Model": "custom1"})
    for path in folder.rglob("*.*"):
        again = tmp_path / path.relative_to(folder)
        assert again.read_bytes() == path.read_bytes(), path.name


def test_predictions_give_back_every_answer(folder: Path, case) -> None:
    with (folder / "predictions.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    predictions = case.predictions
    parts = ("true", "pred", "expected", "p_ungradable")
    zone_columns = [f"{zone}_{part}" for zone in ZONES for part in parts]
    assert list(rows[0]) == ["FileID", "PatientID", *zone_columns, "csi_true", "csi_pred"]
    true = [[float(row[f"{zone}_true"] or "nan") for zone in ZONES] for row in rows]
    np.testing.assert_array_equal(true, predictions.targets)
    given = [[int(row[f"{zone}_pred"]) for zone in ZONES] for row in rows]
    np.testing.assert_array_equal(given, predictions.grades)
    expected = [[float(row[f"{zone}_expected"]) for zone in ZONES] for row in rows]
    np.testing.assert_allclose(expected, predictions.expected, atol=1e-6)


def test_an_image_without_gradable_zone_has_an_empty_index__weakness_7(folder: Path) -> None:
    with (folder / "predictions.csv").open(encoding="utf-8") as file:
        row = list(csv.DictReader(file))[3]
    assert row["csi_true"] == ""
    assert row["right_sup_true"] == ""
    assert row["right_sup_pred"] in "0123"


def test_ids_stay_text(case, tmp_path: Path) -> None:
    one = case.predictions.take(np.array([0]))
    object.__setattr__(one, "file_ids", ("007",))
    write_predictions(one, tmp_path / "p.csv")
    assert (tmp_path / "p.csv").read_text(encoding="utf-8").splitlines()[1].startswith("007,")
