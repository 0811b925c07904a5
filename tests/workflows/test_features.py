"""`--mode features` as a user would run it, and its parts that choose rows."""

import contextlib
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score
from sklearn.preprocessing import StandardScaler

from csi_predictor.cli import main
from csi_predictor.data.manifest import Row
from csi_predictor.data.split import Split
from csi_predictor.inference.bundle import load_bundle
from csi_predictor.workflows.features import choose_probe_splits

NAN = float("nan")
INI = """\
[RUNTIME]
NUM_WORKERS = 0
DEVICE = cpu
[MODEL]
IMAGE_SIZE = 64
[DATA]
CACHE_DIR = cache
PHANTOM_DIR = phantom
[TRAINING]
N_EPOCHS = 1
BATCH_SIZE = 8
[EVALUATION]
BOOTSTRAP = 0
NUM_THUMBNAILS = 0
[SYNTHESIS]
COUNT = 30
SIZE = 64
"""
FILES = ("features.npz", "features.parquet", "probes.json", "tsne.png", "log.txt")


def run(folder: Path, mode: str, *overrides: str) -> int:
    with contextlib.chdir(folder):
        return main(["--mode", mode, "--set", *overrides])


def probes_of(folder: Path) -> dict:
    return json.loads((folder / "probes.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an INI, its training in `trained` and that one's features in `features`."""
    folder = tmp_path_factory.mktemp("features")
    (folder / "config.ini").write_text(INI, encoding="utf-8")
    assert run(folder, "train", "RUNTIME.RUN_DIR=trained") == 0
    wanted = ("EVALUATION.MODEL=trained/model", "EVALUATION.SPLIT=all")
    assert run(folder, "features", *wanted, "RUNTIME.RUN_DIR=features") == 0
    return folder


def test_every_image_has_its_features_ids_and_part(workplace: Path) -> None:
    for name in FILES:
        assert (workplace / "features" / name).is_file(), name
    split = pd.read_csv(workplace / "trained" / "split.csv", dtype=str).set_index("FileID")
    with np.load(workplace / "features" / "features.npz") as found:
        assert found["features"].shape == (30, 256)
        assert found["targets"].shape == (30, 6)
        assert sorted(found["file_ids"].tolist()) == sorted(split.index)
        ids = found["file_ids"].tolist()
        assert found["parts"].tolist() == split.loc[ids, "split"].tolist()
        assert found["patient_ids"].tolist() == split.loc[ids, "PatientID"].tolist()
        table = pd.read_parquet(workplace / "features" / "features.parquet")
        assert table["FileID"].tolist() == ids
        np.testing.assert_array_equal(table.filter(regex=r"^f\d+$"), found["features"])


def test_the_probes_learn_on_train_and_tell_what_the_network_has_seen(workplace: Path) -> None:
    table = pd.read_parquet(workplace / "features" / "features.parquet")
    probes = probes_of(workplace / "features")
    assert probes["network"] == load_bundle(workplace / "trained" / "model").facts.model_id
    assert probes["learnt_and_measured_on"] == "train to val and test"
    assert probes["n_measured"] == (table["split"] != "train").sum()
    assert probes["n_measured_learnt_by_network"] == (table["split"] == "val").sum()
    for probe in ("linear", "knn"):
        assert 0 <= probes[probe]["zone_mae"] <= 3
        assert probes[probe].keys() == {"zone_mae", "zone_qwk"}


def test_a_second_run_gives_equal_files(workplace: Path) -> None:
    wanted = ("EVALUATION.MODEL=trained/model", "EVALUATION.SPLIT=all")
    assert run(workplace, "features", *wanted, "RUNTIME.RUN_DIR=again") == 0
    for name in FILES[:-1]:
        one, two = (workplace / folder / name for folder in ("features", "again"))
        assert one.read_bytes() == two.read_bytes(), name


def test_the_maps_are_of_the_part_that_split_names(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    both = "EVALUATION.MODEL=trained/model,trained/model"
    assert run(workplace, "features", both, "RUNTIME.RUN_DIR=two") == 0
    shown = capsys.readouterr().err
    split = pd.read_csv(workplace / "trained" / "split.csv", dtype=str)["split"]
    assert f"The maps are of SPLIT = test: {(split == 'test').sum()} images" in shown
    assert "the features of 2 networks stand side by side" in shown
    with np.load(workplace / "two" / "features.npz") as found:
        assert found["features"].shape == (30, 512)
        np.testing.assert_array_equal(found["features"][:, :256], found["features"][:, 256:])


def test_other_images_than_the_bundles_are_probed_in_folds(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = pd.read_csv(workplace / "phantom" / "labels.csv", sep=None, engine="python", dtype=str)
    table.loc[0, table.columns[2:]] = ""  # unlabelled: it has features and no part in the probes
    table.iloc[:20].to_csv(workplace / "some.csv", index=False)
    source = ("DATA.SOURCE=csv", "DATA.DATA_DIR=phantom/images", "DATA.LABELS_CSV=some.csv")
    wanted = (*source, "EVALUATION.MODEL=trained/model", "RUNTIME.RUN_DIR=others")
    assert run(workplace, "features", *wanted) == 2
    assert "is in the split and not in the labels table" in capsys.readouterr().err
    assert run(workplace, "features", *wanted, "EVALUATION.SPLIT=all") == 0
    assert "split.csv is of other images: left aside" in capsys.readouterr().err
    probes = probes_of(workplace / "others")
    assert probes["learnt_and_measured_on"] == "5 folds by patient"
    assert probes["n_measured"] == 19
    table = pd.read_parquet(workplace / "others" / "features.parquet")
    assert table["split"].isna().all()
    assert len(table) == 20


def test_folds_of_the_training_are_told_and_every_image_counts_as_learnt_from(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = workplace / "folded"
    shutil.copytree(workplace / "trained" / "model", copy / "model")
    split = pd.read_csv(workplace / "trained" / "split.csv", dtype=str)
    folds = [split.assign(fold=str(number)) for number in (1, 2)]
    pd.concat(folds).to_csv(copy / "split.csv", index=False)
    wanted = ("EVALUATION.MODEL=folded/model", "RUNTIME.RUN_DIR=of_folds")
    assert run(workplace, "features", *wanted) == 0
    shown = capsys.readouterr().err
    assert "holds 2 folds, so every image was learnt from by some network" in shown
    assert "WARNING" in shown
    assert probes_of(workplace / "of_folds")["learnt_and_measured_on"] == "5 folds by patient"


def test_pretrained_weights_give_features_without_a_bundle(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(workplace, "features", "RUNTIME.RUN_DIR=random") == 2
    assert "[EVALUATION] MODEL: empty, and [MODEL] names no weights" in capsys.readouterr().err
    model = load_bundle(workplace / "trained" / "model").models[0]
    torch.save(model.backbone.state_dict(), workplace / "encoder.pt")
    wanted = ("MODEL.WEIGHTS=encoder.pt", "RUNTIME.RUN_DIR=pretrained")
    assert run(workplace, "features", *wanted) == 0
    assert "features of custom1 with encoder.pt" in capsys.readouterr().err
    with (
        np.load(workplace / "pretrained" / "features.npz") as found,
        np.load(workplace / "features" / "features.npz") as expected,
    ):
        np.testing.assert_array_equal(found["features"], expected["features"])
    probes = probes_of(workplace / "pretrained")
    assert probes["network"] == "custom1, encoder.pt"
    assert probes["learnt_and_measured_on"] == "5 folds by patient"
    assert probes["n_measured_learnt_by_network"] == 0


def test_classes_of_a_published_set_are_probed_on_its_own_split(
    workplace: Path, shared_data: Path
) -> None:
    model = load_bundle(workplace / "trained" / "model").models[0]
    torch.save(model.backbone.state_dict(), workplace / "classes.pt")
    folder = workplace / "medmnist"
    folder.mkdir()
    shutil.copy(shared_data / "medmnist" / "pneumoniamnist.npz", folder)
    with np.load(folder / "pneumoniamnist.npz") as whole:
        some = {name: values[:90] for name, values in whole.items()}
    np.savez(folder / "pneumoniamnist.npz", **some)
    wanted = (
        "DATA.TASK=multiclass",
        "DATA.SOURCE=medmnist",
        "DATA.DATA_DIR=medmnist",
        "DATA.MEDMNIST_FLAG=pneumoniamnist",
        "MODEL.WEIGHTS=classes.pt",
        "RUNTIME.RUN_DIR=classes",
    )
    assert run(workplace, "features", *wanted) == 0
    with np.load(workplace / "classes" / "features.npz") as found:
        parts, truth = found["parts"], found["targets"][:, 0]
        features, names = found["features"], found["names"].tolist()
    assert names == ["normal", "pneumonia"]
    assert [(parts == part).sum() for part in ("train", "val", "test")] == [90, 90, 90]
    train = parts == "train"
    scaler = StandardScaler().fit(features[train])
    fitted = LogisticRegression(C=1, max_iter=5000)
    fitted.fit(scaler.transform(features[train]), truth[train])
    given = fitted.predict(scaler.transform(features[~train]))
    probes = probes_of(workplace / "classes")
    assert probes["n_measured"] == 180
    assert probes["linear"]["accuracy"] == pytest.approx(accuracy_score(truth[~train], given))


def test_a_split_that_measures_nothing_gives_way_to_folds_of_the_labelled_rows() -> None:
    rows = [Row(f"{n}", f"p{n // 2}", Path(f"{n}"), (float(n % 3),)) for n in range(24)]
    rows += [Row("x", "q", Path("x"), (NAN,)), Row("y", "r", Path("y"), (NAN,))]
    everything = Split(train=tuple(row.file_id for row in rows))
    splits, how = choose_probe_splits(rows, everything, seed=1)
    assert how == "5 folds by patient"
    assert sorted(i for each in splits for i in each.test) == sorted(f"{n}" for n in range(24))
    assert not any(each.val for each in splits)
    measured = Split(train=everything.train[:20], val=everything.train[20:])
    assert choose_probe_splits(rows, measured, seed=1) == ((measured,), "train to val and test")


def test_few_patients_make_fewer_folds_and_one_makes_none() -> None:
    rows = [Row(f"{n}", f"p{n % 3}", Path(f"{n}"), (1.0,)) for n in range(9)]
    assert choose_probe_splits(rows, None, seed=1)[1] == "3 folds by patient"
    assert choose_probe_splits(rows[::3], None, seed=1) == ((), "nothing")
