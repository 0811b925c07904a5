"""As a user would: one INI trains, evaluates and scores; a second run, wrong input, interrupts."""

import contextlib
import csv
import io
import json
import math
import shutil
import signal
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest

from csi_predictor.cli import main
from csi_predictor.specs import ZONES

ROOT = Path(__file__).resolve().parents[1]
SMALL = """\
[RUNTIME]
RUNS_DIR = runs
NUM_WORKERS = 0
[MODEL]
IMAGE_SIZE = 64
[DATA]
CACHE_DIR = cache
[TRAINING]
N_EPOCHS = 2
BATCH_SIZE = 8
[EVALUATION]
BOOTSTRAP = 20
[SYNTHESIS]
COUNT = 24
SIZE = 96
OUTPUT_DIR = phantom
"""


@dataclass(frozen=True)
class Done:
    """What a user sees of a finished command."""

    returncode: int
    stdout: str
    stderr: str


def run(*arguments: str, folder: Path) -> Done:
    """The program with a folder as the current one, in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.chdir(folder), redirect_stdout(out), redirect_stderr(err):
        code = main(arguments)
    return Done(code, out.getvalue(), err.getvalue())


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small INI and its finished training in `trained`."""
    folder = tmp_path_factory.mktemp("workplace")
    (folder / "config.ini").write_text(SMALL, encoding="utf-8")
    done = run("--mode", "train", "--set", "RUNTIME.RUN_DIR=trained", folder=folder)
    assert done.returncode == 0, done.stderr
    return folder


def test_train_writes_what_the_contract_names(workplace: Path) -> None:
    names = (
        "config.ini split.csv history.csv training_curves.png log.txt state/checkpoint.pt "
        "model/model.safetensors model/bundle.json model/model_card.md evaluation/metrics.json "
        "evaluation/predictions.csv evaluation/report.html"
    )
    for name in names.split():
        assert (workplace / "trained" / name).is_file(), name
    assert list((workplace / "trained" / "evaluation" / "figures").glob("*.png"))
    assert len(rows_of(workplace / "trained" / "history.csv")) == 2


def test_metrics_and_predictions_have_the_contracts_names(workplace: Path) -> None:
    folder = workplace / "trained" / "evaluation"
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    names = (
        "zone_mae zone_qwk zone_accuracy zone_within_one zone_f1_macro global_mae global_pearson "
        "icc csi_mae ece"
    )
    for name in names.split():
        assert {name, f"{name}_ci_low", f"{name}_ci_high"} <= metrics.keys(), name
    assert metrics["zones"].keys() == set(ZONES)
    assert {"mae", "qwk", "accuracy"} <= metrics["zones"]["left_inf"].keys()
    rows = rows_of(folder / "predictions.csv")
    assert metrics["n_images"] == len(rows)
    errors = [
        abs(float(row[f"{zone}_true"]) - float(row[f"{zone}_pred"]))
        for row in rows
        for zone in ZONES
        if row[f"{zone}_true"]
    ]
    assert metrics["zone_mae"] == pytest.approx(sum(errors) / len(errors))


def test_no_patient_is_in_two_parts__weakness_15(workplace: Path) -> None:
    parts: dict[str, set[str]] = {}
    for row in rows_of(workplace / "trained" / "split.csv"):
        parts.setdefault(row["PatientID"], set()).add(row["split"])
    assert all(len(found) == 1 for found in parts.values())


def test_the_resolved_ini_gives_the_same_numbers_again(workplace: Path) -> None:
    ini = str(workplace / "trained" / "config.ini")
    done = run("--mode", "train", "--ini", ini, "--set", "RUNTIME.RUN_DIR=again", folder=workplace)
    assert done.returncode == 0, done.stderr
    one, two = (workplace / name / "model" / "model.safetensors" for name in ("trained", "again"))
    assert one.read_bytes() == two.read_bytes()
    one, two = (workplace / name / "evaluation" / "metrics.json" for name in ("trained", "again"))
    assert one.read_text(encoding="utf-8") == two.read_text(encoding="utf-8")


def test_evaluating_the_bundle_on_its_test_split_gives_the_trainings_figures(
    workplace: Path,
) -> None:
    overrides = ("EVALUATION.MODEL=trained/model", "RUNTIME.RUN_DIR=evaluated")
    done = run("--mode", "eval", "--set", *overrides, folder=workplace)
    assert done.returncode == 0, done.stderr
    found = json.loads((workplace / "evaluated" / "metrics.json").read_text(encoding="utf-8"))
    path = workplace / "trained" / "evaluation" / "metrics.json"
    expected = json.loads(path.read_text(encoding="utf-8"))
    assert found["n_images"] == expected["n_images"]
    assert found["zone_mae"] == pytest.approx(expected["zone_mae"])


def test_scoring_accounts_for_every_file_and_a_second_run_does_nothing(workplace: Path) -> None:
    inbox = workplace / "inbox"
    shutil.copytree(workplace / "phantom" / "images", inbox)
    (inbox / "report.txt").write_text("not an image", encoding="utf-8")
    overrides = (
        "SCORING.MODEL=trained/model",
        "SCORING.INPUT_DIR=inbox",
        "SCORING.OUTPUT_DIR=scored",
        "SCORING.WORKERS=1",
    )
    for _ in range(2):
        done = run("--mode", "score", "--set", *overrides, folder=workplace)
        assert done.returncode == 0, done.stderr
    assert " 0 to score" in done.stderr
    scores, rejected = (rows_of(workplace / "scored" / f"{n}.csv") for n in ("scores", "rejected"))
    assert len(scores) == 24
    assert [(row["path"], row["reason"]) for row in rejected] == [("report.txt", "NOT_AN_IMAGE")]
    summary = json.loads((workplace / "scored" / "summary.json").read_text(encoding="utf-8"))
    assert (summary["found"], summary["scored"], summary["rejected"]) == (25, 24, 1)


def test_a_score_equals_the_evaluations_answer_for_the_same_image(workplace: Path) -> None:
    overrides = (
        "SCORING.MODEL=trained/model",
        "SCORING.INPUT_DIR=phantom/images",
        "SCORING.OUTPUT_DIR=equal",
        "SCORING.WORKERS=1",
    )
    done = run("--mode", "score", "--set", *overrides, folder=workplace)
    assert done.returncode == 0, done.stderr
    scores = {Path(row["path"]).stem: row for row in rows_of(workplace / "equal" / "scores.csv")}
    for row in rows_of(workplace / "trained" / "evaluation" / "predictions.csv"):
        for zone in ZONES:
            found = float(scores[row["FileID"]][f"{zone}_expected"])
            assert math.isclose(found, float(row[f"{zone}_expected"]), abs_tol=1e-5)


def test_an_interrupt_exits_130_and_the_same_command_goes_on(
    tmp_path: Path, workplace: Path
) -> None:
    shutil.copytree(workplace / "phantom", tmp_path / "phantom")
    (tmp_path / "config.ini").write_text(SMALL, encoding="utf-8")
    overrides = ("--set", "TRAINING.N_EPOCHS=60", "TRAINING.PATIENCE=0")
    command = [sys.executable, str(ROOT / "main.py"), "--mode", "train", *overrides]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if "epoch 2/" in line:
            break
    process.send_signal(signal.SIGINT)
    _, rest = process.communicate(timeout=120)
    assert process.returncode == 130, rest
    assert "run the same command again to go on" in rest
    assert "Traceback" not in rest
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    first_lines = [process.stderr.readline() for _ in range(12)]
    process.kill()
    process.communicate()
    assert any("going on from epoch" in line for line in first_lines), first_lines
    assert len(list((tmp_path / "runs").iterdir())) == 1


@pytest.mark.parametrize(
    ("mode", "overrides", "expected"),
    [
        ("train", ["DATA.SOURCE=csv", "DATA.DATA_DIR=.", "DATA.LABELS_CSV=no.csv"], "no.csv"),
        ("evaluate", [], "[EVALUATION] MODEL: empty"),
        ("evaluate", ["EVALUATION.MODEL=phantom"], "bundle.json: no such file"),
        ("score", ["SCORING.MODEL=trained/model"], "[SCORING] INPUT_DIR: empty"),
        ("score", ["SCORING.INPUT_DIR=phantom"], "[SCORING] MODEL: empty"),
        ("train", ["RUNTIME.DEVICE=cuda:77"], "this machine has"),
        ("train", ["RUNTIME.PRECISION=fp16", "RUNTIME.DEVICE=cpu"], "hundreds of times slower"),
    ],
)
def test_wrong_input_is_one_message_and_exit_code_2(
    workplace: Path, mode: str, overrides: list[str], expected: str
) -> None:
    done = run("--mode", mode, *(["--set", *overrides] if overrides else []), folder=workplace)
    assert done.returncode == 2
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert any(expected in line for line in errors), done.stderr
    assert "Traceback" not in done.stderr


def test_check_reports_and_trains_nothing(workplace: Path) -> None:
    before = sorted(workplace.iterdir())
    good = run("--mode", "check", "--set", "EVALUATION.MODEL=trained/model", folder=workplace)
    assert good.returncode == 0, good.stdout
    assert "no problem found" in good.stdout
    wrong = ("DATA.SOURCE=csv", "DATA.DATA_DIR=nowhere", "DATA.LABELS_CSV=phantom/labels.csv")
    bad = run("--mode", "check", "--set", *wrong, "SCORING.MODEL=nowhere", folder=workplace)
    assert bad.returncode == 2
    assert "nowhere: no such folder: set [DATA] DATA_DIR" in bad.stdout
    assert "bundle.json: no such file" in bad.stdout
    assert "2 problems found" in bad.stdout
    assert sorted(workplace.iterdir()) == before


def test_a_cross_validation_answers_for_every_image_once(workplace: Path) -> None:
    overrides = (
        "DATA.FOLDS=2",
        "TRAINING.ENSEMBLE_SIZE=2",
        "RUNTIME.RUN_DIR=folds",
        "TRAINING.N_EPOCHS=1",
    )
    done = run("--mode", "train", "--set", *overrides, folder=workplace)
    assert done.returncode == 0, done.stderr
    ids = [row["FileID"] for row in rows_of(workplace / "folds" / "evaluation" / "predictions.csv")]
    assert len(ids) == len(set(ids)) == 24
    assert (workplace / "folds" / "fold_2" / "member_1" / "state" / "checkpoint.pt").is_file()
    facts = json.loads((workplace / "folds" / "model" / "bundle.json").read_text(encoding="utf-8"))
    assert facts["num_members"] == 4
    again = ("EVALUATION.MODEL=folds/model", "RUNTIME.RUN_DIR=refused")
    refused = run("--mode", "evaluate", "--set", *again, folder=workplace)
    assert refused.returncode == 2
    assert "every image was learnt from by some network" in refused.stderr


def test_going_on_with_other_labels_is_refused(workplace: Path) -> None:
    table = workplace / "table.csv"
    shutil.copy(workplace / "phantom" / "labels.csv", table)
    overrides = ("DATA.SOURCE=csv", "DATA.LABELS_CSV=table.csv", "DATA.DATA_DIR=phantom/images")
    command = ("--mode", "train", "--set", *overrides, "RUNTIME.RUN_DIR=relabelled")
    assert run(*command, folder=workplace).returncode == 0
    before = (workplace / "relabelled" / "split.csv").read_bytes()
    lines = table.read_text(encoding="utf-8").splitlines()
    table.write_text("\n".join(lines[:-2]), encoding="utf-8")
    done = run(*command, folder=workplace)
    assert done.returncode == 2
    assert "this training began with other labels" in done.stderr
    assert (workplace / "relabelled" / "split.csv").read_bytes() == before


def test_a_bundle_is_not_tested_on_what_it_has_learnt_from(workplace: Path) -> None:
    split = workplace / "trained" / "split.csv"
    text = split.read_text(encoding="utf-8")
    turned = text.replace(",test", ",XXX").replace(",train", ",test").replace(",XXX", ",train")
    (workplace / "turned.csv").write_text(turned, encoding="utf-8")
    overrides = ("EVALUATION.MODEL=trained/model", "DATA.SPLIT_FILE=turned.csv")
    done = run("--mode", "evaluate", "--set", *overrides, folder=workplace)
    assert done.returncode == 2
    assert "images were learnt from by custom1-" in done.stderr


def test_a_table_without_any_grade_is_refused_before_training(workplace: Path) -> None:
    lines = (workplace / "phantom" / "labels.csv").read_text(encoding="utf-8").splitlines()
    empty = [lines[0], *(";".join([*line.split(";")[:2], *[""] * 6]) for line in lines[1:])]
    (workplace / "empty.csv").write_text("\n".join(empty), encoding="utf-8")
    overrides = ("DATA.SOURCE=csv", "DATA.LABELS_CSV=empty.csv", "DATA.DATA_DIR=phantom/images")
    done = run("--mode", "train", "--set", *overrides, "RUNTIME.RUN_DIR=none", folder=workplace)
    assert done.returncode == 2
    assert "all zones of its" in done.stderr
    assert "train images are ungradable" in done.stderr


def test_a_run_folder_that_cannot_be_made_is_named(workplace: Path) -> None:
    (workplace / "afile").write_text("", encoding="utf-8")
    done = run("--mode", "train", "--set", "RUNTIME.RUNS_DIR=afile/runs", folder=workplace)
    assert done.returncode == 2
    assert "can't be made (Not a directory): set [RUNTIME] RUNS_DIR or RUN_DIR" in done.stderr


def test_training_on_everything_leaves_nothing_to_evaluate(workplace: Path) -> None:
    overrides = ("DATA.VAL_FRACTION=0", "DATA.TEST_FRACTION=0", "RUNTIME.RUN_DIR=everything")
    done = run("--mode", "train", "--set", *overrides, folder=workplace)
    assert done.returncode == 0, done.stderr
    assert "there is nothing to evaluate on" in done.stderr
    card = (workplace / "everything" / "model" / "model_card.md").read_text(encoding="utf-8")
    assert "not measured" in card


def test_synthesize_writes_radiographs_with_their_labels(tmp_path: Path) -> None:
    overrides = ("SYNTHESIS.COUNT=3", "SYNTHESIS.SIZE=64", "RUNTIME.RUN_DIR=made")
    done = run(
        "--mode",
        "synthesize",
        "--ini",
        str(ROOT / "config.ini"),
        "--set",
        *overrides,
        folder=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "made" / "images").iterdir())) == 3
    assert (tmp_path / "made" / "labels.csv").is_file()


def test_models_prints_the_registry(tmp_path: Path) -> None:
    done = run("--mode", "models", folder=tmp_path)
    assert done.returncode == 0
    assert "efficientnet_b3" in done.stdout
    assert "resnet50.tv_in1k/model.safetensors" in done.stdout
