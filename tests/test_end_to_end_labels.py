"""As a user would, with labels, classes and volumes: one INI trains, a bundle is evaluated."""

import contextlib
import csv
import io
import json
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import SimpleITK
from sklearn.metrics import accuracy_score, average_precision_score, f1_score, roc_auc_score

from csi_predictor.cli import main
from csi_predictor.medmnist_sets import find_medmnist_set

COMMON = """\
[RUNTIME]
RUNS_DIR = runs
NUM_WORKERS = 0
DEVICE = cpu
[TRAINING]
N_EPOCHS = 2
BATCH_SIZE = 8
[EVALUATION]
BOOTSTRAP = 10
NUM_THUMBNAILS = 1
"""
LABELS_INI = COMMON + (
    "[MODEL]\nIMAGE_SIZE = 32\n"
    "[DATA]\nTASK = multilabel\nSOURCE = csv\nDATA_DIR = images\nLABELS_CSV = labels.csv\n"
    "CACHE_DIR = cache\nVAL_FRACTION = 0.25\nTEST_FRACTION = 0.25\n"
)
CLASSES_INI = COMMON + (
    "[MODEL]\nMODEL_ARCH = resnet18\nHEAD = linear\n"
    "[DATA]\nTASK = multiclass\nSOURCE = medmnist\nDATA_DIR = sets\nMEDMNIST_FLAG = bloodmnist\n"
)
VOLUMES_INI = COMMON + (
    "[MODEL]\nMODEL_ARCH = densenet_tiny_3d\n"
    "[DATA]\nTASK = multilabel\nSOURCE = volumes\nDATA_DIR = volumes\nLABELS_CSV = labels.csv\n"
    "CACHE_DIR = cache\nVOLUME_SHAPE = 32, 32, 32\nSPACING_MM = 4, 4, 4\n"
    "VAL_FRACTION = 0.25\nTEST_FRACTION = 0.25\n"
)


def run(*arguments: str, folder: Path, ends_with: int = 0) -> str:
    """The program with a folder as the current one, in this process; returns stderr."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.chdir(folder), redirect_stdout(out), redirect_stderr(err):
        code = main(arguments)
    assert code == ends_with, err.getvalue()
    return err.getvalue()


def train(folder: Path, name: str, *overrides: str) -> Path:
    """The folder of a finished training."""
    run("--mode", "train", "--set", f"RUNTIME.RUN_DIR={name}", *overrides, folder=folder)
    return folder / name


def evaluate(folder: Path, trained: str, name: str, *overrides: str) -> Path:
    """The folder of a finished evaluation."""
    settings = (f"EVALUATION.MODEL={trained}/model", f"RUNTIME.RUN_DIR={name}", *overrides)
    run("--mode", "evaluate", "--set", *settings, folder=folder)
    return folder / name


def metrics_of(folder: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    return found


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def column(rows: Sequence[dict[str, str]], name: str) -> np.ndarray:
    return np.array([float(row[name]) if row[name] else np.nan for row in rows])


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 PNGs of 20 patients with two labels, some unknown, and their finished training."""
    folder = tmp_path_factory.mktemp("labelled")
    (folder / "images").mkdir()
    rng = np.random.default_rng(11)
    lines = ["FileID,PatientID,age,edema,effusion"]
    for number in range(40):
        edema, effusion = number % 2, number // 2 % 2
        pixels = rng.integers(60, 120, (37, 41))
        pixels[:12] += 100 * edema
        pixels[-12:] += 100 * effusion
        picture = PIL.Image.fromarray(pixels.astype(np.uint8))
        picture.save(folder / "images" / f"{number:03d}.png")
        known = "" if number % 10 == 7 else str(effusion)
        lines.append(f"{number:03d},P{number // 4 * 2 + edema},{20 + number},{edema},{known}")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "config.ini").write_text(LABELS_INI, encoding="utf-8")
    train(folder, "trained")
    return folder


def test_a_training_of_labels_writes_what_the_contract_names(labelled: Path) -> None:
    names = (
        "config.ini split.csv history.csv training_curves.png log.txt state/checkpoint.pt "
        "model/model.safetensors model/bundle.json model/model_card.md evaluation/metrics.json "
        "evaluation/predictions.csv evaluation/report.html"
    )
    for name in names.split():
        assert (labelled / "trained" / name).is_file(), name
    assert list((labelled / "trained" / "evaluation" / "figures").glob("*.png"))
    history = rows_of(labelled / "trained" / "history.csv")
    assert len(history) == 2
    assert {"val_loss", "val_auroc_macro", "val_accuracy"} <= history[0].keys()


def test_figures_of_labels_are_scikit_learns_of_the_predictions(labelled: Path) -> None:
    folder = labelled / "trained" / "evaluation"
    rows, metrics = rows_of(folder / "predictions.csv"), metrics_of(folder)
    assert list(rows[0])[:2] == ["FileID", "PatientID"]
    assert metrics["n_images"] == len(rows)
    facts = json.loads((labelled / "trained" / "model" / "bundle.json").read_text("utf-8"))
    areas, precisions, scores = [], [], []
    for index, name in enumerate(("edema", "effusion")):
        truth, probs = column(rows, f"{name}_true"), column(rows, f"{name}_prob")
        is_known = np.isfinite(truth)
        truth, probs = truth[is_known], probs[is_known]
        areas.append(roc_auc_score(truth, probs))
        precisions.append(average_precision_score(truth, probs))
        scores.append(f1_score(truth, probs >= facts["label_thresholds"][index]))
        block = metrics["labels"][name]  # type: ignore[index]
        assert block["auroc"] == pytest.approx(areas[-1], abs=1e-6)
        assert block["auprc"] == pytest.approx(precisions[-1], abs=1e-6)
        assert block["n_positive"] == int(truth.sum())
    assert metrics["auroc_macro"] == pytest.approx(np.mean(areas), abs=1e-6)
    assert metrics["auprc_macro"] == pytest.approx(np.mean(precisions), abs=1e-6)
    assert metrics["f1_macro"] == pytest.approx(np.mean(scores), abs=1e-6)
    for name in ("auroc_macro", "auprc_macro", "f1_macro", "ece"):
        assert {name, f"{name}_ci_low", f"{name}_ci_high"} <= metrics.keys(), name


def test_a_bundle_knows_its_prevalence_from_the_training_rows_alone(labelled: Path) -> None:
    facts = json.loads((labelled / "trained" / "model" / "bundle.json").read_text("utf-8"))
    part = {row["FileID"]: row["split"] for row in rows_of(labelled / "trained" / "split.csv")}
    learnt = [row for row in rows_of(labelled / "labels.csv") if part[row["FileID"]] == "train"]
    shares = [np.nanmean(column(learnt, name)) for name in ("edema", "effusion")]
    assert facts["label_prevalence"] == pytest.approx(shares)
    assert facts["spec"]["target_spec"]["names"] == ["edema", "effusion"]
    assert facts["baseline_grades"] == []


def test_evaluating_a_bundle_of_labels_gives_the_trainings_figures(labelled: Path) -> None:
    found = metrics_of(evaluate(labelled, "trained", "evaluated"))
    expected = metrics_of(labelled / "trained" / "evaluation")
    assert found.keys() == expected.keys()
    for name in ("n_images", "auroc_macro", "auprc_macro", "f1_macro", "ece", "labels"):
        assert found[name] == expected[name], name
    test, every = (
        (labelled / name / "predictions.csv").read_text(encoding="utf-8").splitlines()
        for name in ("evaluated", "trained/evaluation")
    )
    assert test == every


def test_a_second_training_of_labels_is_equal_to_the_bit(labelled: Path) -> None:
    ini = str(labelled / "trained" / "config.ini")
    run("--mode", "train", "--ini", ini, "--set", "RUNTIME.RUN_DIR=again", folder=labelled)
    names = ("model/model.safetensors", "evaluation/metrics.json", "evaluation/predictions.csv")
    for name in names:
        one, two = (labelled / each / name for each in ("trained", "again"))
        assert one.read_bytes() == two.read_bytes(), name


def test_starting_a_finished_training_again_trains_nothing(labelled: Path) -> None:
    before = (labelled / "trained" / "model" / "model.safetensors").read_bytes()
    text = run("--mode", "train", "--set", "RUNTIME.RUN_DIR=trained", folder=labelled)
    assert "training is finished already" in text
    assert (labelled / "trained" / "model" / "model.safetensors").read_bytes() == before


def test_a_cross_validation_of_labels_answers_for_every_image_once(labelled: Path) -> None:
    folder = train(labelled, "folds", "DATA.FOLDS=2", "TRAINING.N_EPOCHS=1")
    ids = [row["FileID"] for row in rows_of(folder / "evaluation" / "predictions.csv")]
    assert sorted(ids) == [f"{number:03d}" for number in range(40)]
    facts = json.loads((folder / "model" / "bundle.json").read_text(encoding="utf-8"))
    assert facts["num_members"] == 2
    assert len(facts["label_thresholds"]) == 2


def test_an_evaluation_of_another_task_or_other_labels_is_refused(labelled: Path) -> None:
    settings = ("EVALUATION.MODEL=trained/model", "EVALUATION.SPLIT=all")
    other = ("DATA.TASK=multiclass", "DATA.LABELS=edema")
    text = run("--mode", "evaluate", "--set", *settings, *other, folder=labelled, ends_with=2)
    assert "[DATA] TASK = multiclass: custom1-" in text
    assert "answers multilabel: set that" in text
    lines = (labelled / "labels.csv").read_text(encoding="utf-8").replace("edema", "oedema")
    (labelled / "other.csv").write_text(lines, encoding="utf-8")
    text = run(
        "--mode",
        "evaluate",
        "--set",
        *settings,
        "DATA.LABELS_CSV=other.csv",
        folder=labelled,
        ends_with=2,
    )
    assert "edema" in text
    assert "Traceback" not in text


def test_check_names_the_answers_of_a_table(labelled: Path) -> None:
    out = io.StringIO()
    with contextlib.chdir(labelled), redirect_stdout(out):
        assert main(["--mode", "check"]) == 0, out.getvalue()
    assert "answers: edema, effusion" in out.getvalue()
    assert "no problem found" in out.getvalue()


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small file of BloodMNIST's format and its finished training."""
    folder = tmp_path_factory.mktemp("published")
    (folder / "sets").mkdir()
    rng = np.random.default_rng(13)
    arrays = {}
    for part, count in (("train", 24), ("val", 8), ("test", 16)):
        labels = np.arange(count) % 8
        pixels = rng.integers(0, 80, (count, 28, 28, 3))
        pixels[..., 0] += 22 * labels[:, None, None]
        arrays[f"{part}_images"] = pixels.astype(np.uint8)
        arrays[f"{part}_labels"] = labels[:, None].astype(np.uint8)
    np.savez(folder / "sets" / "bloodmnist.npz", **arrays)
    (folder / "config.ini").write_text(CLASSES_INI, encoding="utf-8")
    train(folder, "trained")
    return folder


def test_a_training_of_classes_keeps_the_published_split(published: Path) -> None:
    rows = rows_of(published / "trained" / "split.csv")
    assert all(row["FileID"].partition("_")[0] == row["split"] for row in rows)
    tests = rows_of(published / "trained" / "evaluation" / "predictions.csv")
    assert [row["FileID"] for row in tests] == [f"test_{number:05d}" for number in range(16)]
    facts = json.loads((published / "trained" / "model" / "bundle.json").read_text("utf-8"))
    assert facts["spec"]["stem"] == "small"
    assert facts["spec"]["input_spec"]["size"] == [28, 28]
    assert facts["label_prevalence"] == [0.125] * 8
    assert facts["label_thresholds"] == []


def test_figures_of_classes_are_scikit_learns_of_the_predictions(published: Path) -> None:
    folder = published / "trained" / "evaluation"
    rows, metrics = rows_of(folder / "predictions.csv"), metrics_of(folder)
    names = find_medmnist_set("bloodmnist").labels
    truth = np.arange(16) % 8
    probs = np.stack([column(rows, f"{name}_prob") for name in names], axis=1)
    np.testing.assert_allclose(probs.sum(axis=1), 1, atol=1e-5)
    assert metrics["accuracy"] == pytest.approx(accuracy_score(truth, probs.argmax(axis=1)))
    assert metrics["f1_macro"] == pytest.approx(
        f1_score(truth, probs.argmax(axis=1), average="macro", zero_division=0)
    )
    area = np.mean([roc_auc_score(truth == k, probs[:, k]) for k in range(8)])
    assert metrics["auroc_macro"] == pytest.approx(area, abs=1e-6)
    brier = ((probs - np.eye(8)[truth]) ** 2).sum(axis=1).mean()
    assert metrics["brier"] == pytest.approx(brier, abs=1e-6)
    for name in ("accuracy", "balanced_accuracy", "auroc_macro", "f1_macro", "ece", "brier"):
        assert {name, f"{name}_ci_low", f"{name}_ci_high"} <= metrics.keys(), name


def test_evaluating_a_bundle_of_classes_gives_the_trainings_figures(published: Path) -> None:
    found = metrics_of(evaluate(published, "trained", "evaluated"))
    expected = metrics_of(published / "trained" / "evaluation")
    for name in ("n_images", "accuracy", "balanced_accuracy", "auroc_macro", "brier", "classes"):
        assert found[name] == expected[name], name


@pytest.fixture(scope="module")
def scanned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """16 NIfTI volumes with two labels and their finished training."""
    folder = tmp_path_factory.mktemp("scanned")
    (folder / "volumes").mkdir()
    rng = np.random.default_rng(17)
    lines = ["FileID,nodule,effusion"]
    for number in range(16):
        nodule, effusion = number % 2, number // 2 % 2
        voxels = rng.normal(-700, 60, (18, 22, 20))
        voxels[6:12, 6:12, 6:12] += 600 * nodule
        voxels[:, 14:, :] += 500 * effusion
        image = SimpleITK.GetImageFromArray(voxels.astype(np.int16))
        image.SetSpacing((5.0, 5.0, 6.0))
        SimpleITK.WriteImage(image, folder / "volumes" / f"scan{number}.nii.gz")
        lines.append(f"scan{number},{nodule},{effusion}")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "config.ini").write_text(VOLUMES_INI, encoding="utf-8")
    train(folder, "trained")
    return folder


def test_a_training_of_volumes_writes_what_the_contract_names(scanned: Path) -> None:
    folder = scanned / "trained" / "evaluation"
    metrics, rows = metrics_of(folder), rows_of(folder / "predictions.csv")
    assert metrics["n_images"] == len(rows) == 4
    assert {"nodule_true", "nodule_prob", "effusion_true", "effusion_prob"} <= rows[0].keys()
    assert metrics["labels"].keys() == {"nodule", "effusion"}  # type: ignore[attr-defined]
    assert (folder / "report.html").is_file()
    facts = json.loads((scanned / "trained" / "model" / "bundle.json").read_text("utf-8"))
    spec = facts["spec"]["input_spec"]
    assert spec["size"] == [32, 32, 32]
    assert spec["hu_range"] == [-1000, 1000]
    assert spec["spacing_mm"] == [4, 4, 4]


def test_volumes_are_prepared_as_the_bundle_says_not_as_the_ini__weakness_004_01(
    scanned: Path,
) -> None:
    other = ("DATA.HU_MIN=-200", "DATA.HU_MAX=300", "DATA.SPACING_MM=2,2,2")
    folder = evaluate(scanned, "trained", "evaluated", *other)
    expected = metrics_of(scanned / "trained" / "evaluation")
    found = metrics_of(folder)
    for name in ("n_images", "auroc_macro", "auprc_macro", "f1_macro", "ece", "labels"):
        assert found[name] == expected[name], name
    assert "0 images newly prepared, 4 were there" in (folder / "log.txt").read_text("utf-8")


def test_a_bundle_of_volumes_is_not_evaluated_as_one_of_images(scanned: Path) -> None:
    settings = ("EVALUATION.MODEL=trained/model", "MODEL.MODEL_ARCH=custom1", "DATA.SOURCE=csv")
    empty = ("DATA.VOLUME_SHAPE=", "DATA.SPACING_MM=")
    text = run("--mode", "evaluate", "--set", *settings, *empty, folder=scanned, ends_with=2)
    assert "[MODEL] MODEL_ARCH = custom1: densenet_tiny_3d-" in text
    assert "takes volumes: expected the network of the training" in text
