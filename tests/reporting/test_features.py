"""Files of features, read back with the libraries that others would use."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from csi_predictor.inference.features import ImageFeatures
from csi_predictor.reporting.features import write_features, write_maps, write_probes
from csi_predictor.specs import ZONES, TargetSpec

NAN = float("nan")
LABELS = TargetSpec(task="multilabel", names=("Edema", "=Mass"), num_classes=2)
CLASSES = TargetSpec(task="multiclass", names=("normal", "pneumonia"), num_classes=2)


def make(spec: TargetSpec, targets: list[list[float]], seed: int = 0) -> ImageFeatures:
    count = len(targets)
    return ImageFeatures(
        file_ids=tuple(f"{index:03d}" for index in range(count)),
        patient_ids=tuple(f"p{index // 2}" for index in range(count)),
        parts=tuple(["train", "val", "test", ""][index % 4] for index in range(count)),
        target_spec=spec,
        targets=np.array(targets),
        values=np.random.default_rng(seed).normal(size=(count, 12)).astype(np.float32),
    )


def test_arrays_come_back_as_they_were_without_pickles(tmp_path: Path) -> None:
    features = make(LABELS, [[0, 1], [NAN, 0], [1, 1]])
    write_features(features, tmp_path)
    with np.load(tmp_path / "features.npz", allow_pickle=False) as found:
        assert found["features"].dtype == np.float32
        np.testing.assert_array_equal(found["features"], features.values)
        np.testing.assert_array_equal(found["targets"], features.targets)
        assert found["file_ids"].tolist() == ["000", "001", "002"]
        assert found["patient_ids"].tolist() == ["p0", "p0", "p1"]
        assert found["parts"].tolist() == ["train", "val", "test"]
        assert found["names"].tolist() == ["Edema", "=Mass"]


def test_the_table_has_ids_split_truth_and_one_column_a_feature(tmp_path: Path) -> None:
    features = make(LABELS, [[0, 1], [NAN, 0], [1, 1], [1, 0]])
    write_features(features, tmp_path)
    table = pq.read_table(tmp_path / "features.parquet")
    names = ["FileID", "PatientID", "split", "Edema_true", "=Mass_true"]
    assert table.column_names == names + [f"f{index:04d}" for index in range(12)]
    assert table["FileID"].to_pylist() == ["000", "001", "002", "003"]
    assert table["split"].to_pylist() == ["train", "val", "test", None]
    assert table["f0011"].to_pylist() == features.values[:, 11].tolist()
    assert str(table.schema.field("f0000").type) == "float"
    frame = pd.read_parquet(tmp_path / "features.parquet")
    assert frame["Edema_true"].isna().tolist() == [False, True, False, False]


def test_classes_are_written_by_name_and_zones_by_grade(tmp_path: Path) -> None:
    write_features(make(CLASSES, [[1], [NAN], [0]]), tmp_path)
    table = pq.read_table(tmp_path / "features.parquet")
    assert table["label_true"].to_pylist() == ["pneumonia", None, "normal"]
    write_features(make(TargetSpec(), [[0, 1, 2, 3, NAN, 0]]), tmp_path)
    table = pq.read_table(tmp_path / "features.parquet")
    assert table.column_names[3:9] == [f"{zone}_true" for zone in ZONES]
    assert table["left_mid_true"].to_pylist() == [3]


def test_a_file_name_that_is_not_utf8_is_shown_with_its_bytes(tmp_path: Path) -> None:
    features = make(CLASSES, [[1]])
    odd = ImageFeatures(**{**vars(features), "file_ids": ("caf\udce9",)})
    write_features(odd, tmp_path)
    table = pq.read_table(tmp_path / "features.parquet")
    assert table["FileID"].to_pylist() == ["caf\\udce9"]


def test_files_are_the_same_each_time(tmp_path: Path) -> None:
    features = make(CLASSES, [[index % 2] for index in range(40)])
    for name in ("one", "two"):
        write_features(features, tmp_path / name)
        write_maps(features, tmp_path / name, seed=3)
    for file in sorted((tmp_path / "one").iterdir()):
        assert file.read_bytes() == (tmp_path / "two" / file.name).read_bytes(), file.name
    assert (tmp_path / "one" / "tsne.png").read_bytes().startswith(b"\x89PNG")


def test_an_undefined_figure_is_null(tmp_path: Path) -> None:
    figures = {"linear": {"auroc_macro": 0.5, "auroc": {"a": NAN, "b": 0.5}}}
    write_probes(figures, {"network": "n"}, tmp_path)
    found = json.loads((tmp_path / "probes.json").read_text(encoding="utf-8"))
    assert found == {
        "network": "n",
        "linear": {"auroc_macro": 0.5, "auroc": {"a": None, "b": 0.5}},
    }


@pytest.mark.parametrize("missing", ["features.npz", "features.parquet"])
def test_nothing_half_written_is_left(tmp_path: Path, missing: str) -> None:
    (tmp_path / missing).mkdir()  # can't be replaced by a file
    with pytest.raises(OSError, match="directory"):
        write_features(make(CLASSES, [[1]]), tmp_path)
    assert not list(tmp_path.glob(".*"))
