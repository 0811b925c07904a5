"""As a user would: what is fitted on validation images goes with the bundle into scoring."""

import contextlib
import csv
import io
import json
import shutil
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from csi_predictor.cli import main
from csi_predictor.specs import ZONES

SMALL = """\
[RUNTIME]
RUNS_DIR = runs
NUM_WORKERS = 0
[MODEL]
IMAGE_SIZE = 64
[DATA]
CACHE_DIR = cache
PHANTOM_DIR = phantom
VAL_FRACTION = 0.3
[TRAINING]
N_EPOCHS = 2
BATCH_SIZE = 8
[EVALUATION]
BOOTSTRAP = 20
REVIEW_BUDGET = 0.4
[SYNTHESIS]
COUNT = 40
SIZE = 96
"""


def run(*arguments: str, folder: Path) -> tuple[int, str]:
    """Exit code, and all that was said."""
    out = io.StringIO()
    with contextlib.chdir(folder), redirect_stdout(out), redirect_stderr(out):
        code = main(["--ini", "config.ini", *arguments])
    return code, out.getvalue()


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def metrics_of(folder: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    return found


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small INI and its finished training in `trained`."""
    folder = tmp_path_factory.mktemp("trusted")
    (folder / "config.ini").write_text(SMALL, encoding="utf-8")
    options = ["RUNTIME.RUN_DIR=trained", "EVALUATION.HEATMAPS=2", "EVALUATION.CORRUPTIONS=noise"]
    code, told = run("--mode", "train", *sets(*options), folder=folder)
    assert code == 0, told
    return folder


def sets(*overrides: str) -> list[str]:
    return [part for override in overrides for part in ("--set", override)]


def test_a_training_keeps_its_trust_and_shows_why(workplace: Path) -> None:
    assert (workplace / "trained" / "model" / "trust.json").is_file()
    folder = workplace / "trained" / "evaluation"
    metrics = metrics_of(folder)
    for name in ("calibration", "uncertainty", "conformal", "triage", "robustness", "laterality"):
        assert metrics[name], name
    maps = list((folder / "heatmaps").glob("*.png"))
    assert len(maps) == metrics["heat_maps"]["num_maps"] >= 2  # type: ignore[index]
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert page.count('class="heat"') == len(maps)


def test_a_score_has_the_confidence_set_and_triage_of_the_evaluation(workplace: Path) -> None:
    code, told = run(
        *("--mode", "score"),
        *sets("SCORING.MODEL=trained/model", "SCORING.INPUT_DIR=phantom/images"),
        *sets("SCORING.OUTPUT_DIR=scored", "SCORING.WORKERS=0"),
        folder=workplace,
    )
    assert code == 0, told
    scored = {Path(row["path"]).stem: row for row in rows_of(workplace / "scored" / "scores.csv")}
    evaluated = rows_of(workplace / "trained" / "evaluation" / "predictions.csv")
    assert len(evaluated) >= 5
    for row in evaluated:
        score = scored[row["FileID"]]
        assert score["triage"] == row["triage"] in ("automatic", "reader")
        assert float(score["unsure"]) == pytest.approx(float(row["unsure"]), abs=1e-5)
        for zone in ZONES:
            confidence = f"{zone}_confidence"
            assert float(score[confidence]) == pytest.approx(float(row[confidence]), abs=1e-5)
            for part in ("lowest", "highest"):
                assert score[f"{zone}_{part}"] == row[f"{zone}_{part}"] != ""
    flagged = [row for row in scored.values() if row["triage"] == "reader"]
    assert flagged
    assert all("unsure, give it to a reader" in row["quality"] for row in flagged)


def test_an_unsure_score_can_be_withheld_and_is_another_setup(workplace: Path) -> None:
    code, told = run(
        *("--mode", "score"),
        *sets("SCORING.MODEL=trained/model", "SCORING.INPUT_DIR=phantom/images"),
        *sets("SCORING.OUTPUT_DIR=scored", "SCORING.WORKERS=0", "SCORING.UNSURE=withhold"),
        folder=workplace,
    )
    assert code == 0, told
    rows = rows_of(workplace / "scored" / "scores.csv")
    withheld = [row for row in rows if row["triage"] == "reader"]
    assert withheld
    assert {(row["csi"], row["risk"]) for row in withheld} == {("", "")}
    assert all(row["csi"] for row in rows if row["triage"] == "automatic")


def test_other_settings_are_fitted_anew_and_kept_and_the_same_again_are_not(
    workplace: Path,
) -> None:
    shutil.copytree(workplace / "trained", workplace / "copy", dirs_exist_ok=True)
    path = workplace / "copy" / "model" / "trust.json"
    before = path.read_bytes()
    evaluate = ("--mode", "evaluate", *sets("EVALUATION.MODEL=copy/model"))
    code, told = run(*evaluate, *sets("RUNTIME.RUN_DIR=same"), folder=workplace)
    assert code == 0, told
    assert path.read_bytes() == before
    same, first = (metrics_of(workplace / f) for f in ("same", "trained/evaluation"))
    for name in ("ece", "zone_qwk"):
        assert same[name] == pytest.approx(first[name], abs=1e-9)
    options = ("RUNTIME.RUN_DIR=other", "EVALUATION.UNCERTAINTY=mc_dropout")
    dropout = ("EVALUATION.MC_SAMPLES=5", "EVALUATION.TRIAGE_MEASURE=epistemic")
    code, told = run(*evaluate, *sets(*options, *dropout), folder=workplace)
    assert code == 0, told
    assert path.read_bytes() == before
    assert "the bundle is as it was" in told
    assert (workplace / "other" / "trust.json").is_file()
    unsure = metrics_of(workplace / "other")["uncertainty"]
    assert unsure["num_passes"] == 5  # type: ignore[index]
    parts = [unsure[name] for name in ("aleatoric", "epistemic")]  # type: ignore[index]
    assert sum(parts) == pytest.approx(unsure["total"], abs=1e-6)  # type: ignore[index]
    keep = ("RUNTIME.RUN_DIR=kept", "EVALUATION.KEEP_TRUST=true", *options[1:])
    code, told = run(*evaluate, *sets(*keep, *dropout), folder=workplace)
    assert code == 0, told
    assert path.read_bytes() != before


def test_rows_that_a_trust_was_fitted_on_are_evaluated_without_it(workplace: Path) -> None:
    code, told = run(
        *("--mode", "evaluate", *sets("EVALUATION.MODEL=trained/model", "EVALUATION.SPLIT=all")),
        *sets("EVALUATION.CALIBRATION=isotonic", "RUNTIME.RUN_DIR=all"),
        folder=workplace,
    )
    assert code == 0, told
    assert "the bundle's are used" in told
    assert "of the 40 images: evaluated without them" in told
    calibration = metrics_of(workplace / "all")["calibration"]
    assert calibration["method"] == "none"  # type: ignore[index]


def test_nothing_is_fitted_on_images_that_the_weights_were_learnt_from(workplace: Path) -> None:
    rows = rows_of(workplace / "trained" / "split.csv")
    other = {"train": "val", "val": "train", "test": "test"}
    lines = [f"{row['FileID']},{other[row['split']]}" for row in rows]
    text = "\n".join(["FileID,split", *lines]) + "\n"
    (workplace / "swapped.csv").write_text(text, encoding="utf-8")
    code, told = run(
        *("--mode", "evaluate", *sets("EVALUATION.MODEL=trained/model")),
        *sets("DATA.SPLIT_FILE=swapped.csv", "EVALUATION.CALIBRATION=vector"),
        *sets("RUNTIME.RUN_DIR=swapped"),
        folder=workplace,
    )
    assert code == 2
    assert "validation images, so nothing can be fitted on them" in told


def test_a_retrained_bundle_keeps_no_trust_of_its_earlier_weights(workplace: Path) -> None:
    shutil.copytree(workplace / "trained", workplace / "again", dirs_exist_ok=True)
    options = ("RUNTIME.RUN_DIR=again", "TRAINING.RESUME=never", "DATA.VAL_FRACTION=0")
    code, told = run("--mode", "train", *sets(*options, "TRAINING.N_EPOCHS=1"), folder=workplace)
    assert code == 0, told
    assert not (workplace / "again" / "model" / "trust.json").exists()


def test_folds_without_validation_images_are_fitted_on_each_other(workplace: Path) -> None:
    options = ("RUNTIME.RUN_DIR=folds", "DATA.FOLDS=3", "DATA.VAL_FRACTION=0")
    code, told = run("--mode", "train", *sets(*options, "TRAINING.N_EPOCHS=1"), folder=workplace)
    assert code == 0, told
    metrics = metrics_of(workplace / "folds" / "evaluation")
    assert metrics["calibration"]["fitted_on"] == "the other folds' unseen images"  # type: ignore[index]
    assert metrics["conformal"]["num_folds"] == 3  # type: ignore[index]
    assert not (workplace / "folds" / "model" / "trust.json").exists()
    assert "keeps no calibration, sets and triage" in told


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("EVALUATION.SUBGROUPS=ward", "[EVALUATION] SUBGROUPS = ward: there is no labels table"),
        ("EVALUATION.CRITICAL_ANSWERS=7", "7 is no answer: expected one of 0, 1, 2, 3"),
        ("EVALUATION.UNCERTAINTY=ensemble", "UNCERTAINTY = ensemble: found one network"),
        ("EVALUATION.COMPARE_MODEL=nowhere", "nowhere"),
        ("EVALUATION.AGE_BANDS=60,40", "AGE_BANDS"),
        ("EVALUATION.READER_ACCURACY=0.9,0.8", "READER_ACCURACY: 2 numbers: expected one, or 4"),
    ],
)
def test_what_does_not_fit_is_told_before_anything_is_trained(
    workplace: Path, override: str, message: str
) -> None:
    extra = ["EVALUATION.SUBGROUPS=age"] if "AGE_BANDS" in override else []
    options = ("RUNTIME.RUN_DIR=wrong", override, *extra)
    code, told = run("--mode", "train", *sets(*options), folder=workplace)
    assert code in (1, 2), told
    assert message in told
    assert "epoch 1" not in told
