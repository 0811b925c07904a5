import csv
import json
from pathlib import Path

import numpy as np
import pytest

from csi_predictor.reporting.label_evaluation import (
    write_label_evaluation,
    write_label_predictions,
)


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def folder(label_case, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "evaluation"
    write_label_evaluation(
        label_case.evaluation, label_case.predictions, folder, run_facts={"Model": "resnet18"}
    )
    return folder


def test_the_folder_holds_what_was_promised(folder: Path) -> None:
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert names == {
        *("metrics.json", "predictions.csv", "report.html", "figures/auroc.png"),
        *("figures/roc.png", "figures/precision_recall.png", "figures/reliability.png"),
    }


def test_metrics_json_holds_what_users_rely_on(folder: Path, label_case) -> None:
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    assert metrics == label_case.evaluation.metrics
    for name in ("auroc_macro", "auprc_macro", "f1_macro", "ece"):
        assert isinstance(metrics[name], float)
        assert metrics[f"{name}_ci_low"] <= metrics[f"{name}_ci_high"]
    for block in metrics["labels"].values():
        assert {"auroc", "auprc", "n_positive"} <= set(block)
    assert metrics["labels"]["Hernia"]["auroc"] is None


def test_metrics_of_classes_hold_what_users_rely_on(class_case) -> None:
    metrics = class_case.evaluation.metrics
    for name in ("accuracy", "balanced_accuracy", "auroc_macro", "f1_macro", "ece", "brier"):
        assert isinstance(metrics[name], float)
    for block in metrics["classes"].values():
        assert {"auroc", "auprc", "n_positive", "recall", "precision"} <= set(block)


def test_writing_again_gives_equal_bytes(folder: Path, label_case, tmp_path: Path) -> None:
    write_label_evaluation(
        label_case.evaluation, label_case.predictions, tmp_path, run_facts={"Model": "resnet18"}
    )
    for path in folder.rglob("*.*"):
        assert (tmp_path / path.relative_to(folder)).read_bytes() == path.read_bytes(), path.name


def test_predictions_of_labels_give_back_every_answer__weakness_004_07(
    folder: Path, label_case
) -> None:
    rows, made = read(folder / "predictions.csv"), label_case.predictions
    assert list(rows[0]) == [
        *("FileID", "PatientID", "Effusion_true", "Effusion_prob"),
        *("'=Mass <b>_true", "'=Mass <b>_prob", "Hernia_true", "Hernia_prob"),
    ]
    columns = ("Effusion", "'=Mass <b>", "Hernia")
    true = [[float(row[f"{name}_true"] or "nan") for name in columns] for row in rows]
    np.testing.assert_array_equal(true, made.targets)
    probs = [[float(row[f"{name}_prob"]) for name in columns] for row in rows]
    np.testing.assert_allclose(probs, made.probs, rtol=1e-6)
    unknown = {row[f"{name}_true"] for row in rows for name in columns}
    assert unknown == {"0", "1", ""}  # an unknown answer is empty, not 0


def test_predictions_of_classes_name_the_true_and_the_given_one(class_case, tmp_path: Path) -> None:
    made = class_case.predictions
    write_label_predictions(made, tmp_path / "p.csv")
    rows = read(tmp_path / "p.csv")
    assert list(rows[0])[-2:] == ["label_true", "label_pred"]
    for index, row in enumerate(rows):
        assert row["label_pred"] == made.names[made.probs[index].argmax()]
        known = index != 7
        true = made.names[int(made.targets[index, 0])] if known else ""
        assert row["label_true"] == true
        assert row["normal_true"] == (str(int(true == "normal")) if known else "")


def test_pictures_of_the_worst_cases_are_asked_for_by_their_ids(class_case, tmp_path) -> None:
    asked: list[str] = []

    def picture(file_id: str) -> np.ndarray:
        asked.append(file_id)
        return np.zeros((4, 8, 8))

    write_label_evaluation(
        class_case.evaluation,
        class_case.predictions,
        tmp_path,
        run_facts={},
        thumbnails=picture,
        num_thumbnails=2,
        is_volume=True,
    )
    worst = class_case.evaluation.worst[:2]
    assert asked == [class_case.predictions.file_ids[index] for index in worst]
    assert (tmp_path / "figures" / "confusion.png").is_file()
