"""From [DATA] to labelled images and volumes, their split and their store."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import SimpleITK
from loguru import logger
from numpy.typing import NDArray

from csi_predictor.config import Config, load_config
from csi_predictor.config.schema import DataSection
from csi_predictor.data.build import (
    build_cache,
    build_label_manifest,
    build_medmnist_manifest,
    build_splits,
    read_targets,
    warn_of_equal_images,
)
from csi_predictor.data.cache import PreparedCache
from csi_predictor.data.label_rows import LabelRow, LabelsTable
from csi_predictor.data.manifest import Manifest, Row, join_images
from csi_predictor.data.medmnist_images import MedMnistImages
from csi_predictor.data.volumes import prepare_volume
from csi_predictor.errors import ConfigError, LabelsError
from csi_predictor.specs import InputSpec, TargetSpec

WriteSeries = Callable[..., Path]
NAN = float("nan")
PUBLISHED = InputSpec(size=(28, 28), value_range=(0.0, 255.0))
VOLUME = InputSpec(size=(8, 12, 10), channels=1, mean=(0.5,), std=(0.5,), hu_range=(-1000.0, 600.0))


def write_table(folder: Path, *lines: str) -> Path:
    path = folder / "labels.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def write_pictures(folder: Path, *names: str) -> None:
    for number, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        PIL.Image.fromarray(np.full((5, 4), number * 9, np.uint8)).save(path)


def write_volumes(folder: Path, *names: str) -> None:
    rng = np.random.default_rng(3)
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        voxels = rng.integers(-1000, 600, (7, 9, 11)).astype(np.int16)
        SimpleITK.WriteImage(SimpleITK.GetImageFromArray(voxels), folder / name)


def read(
    folder: Path,
    table: Path,
    *,
    are_volumes: bool = False,
    targets: TargetSpec | None = None,
    **keys: Any,
) -> Manifest:
    section = DataSection(**{"task": "multilabel", "source": "csv", **keys})
    return build_label_manifest(
        section, image_dir=folder, labels_csv=table, are_volumes=are_volumes, targets=targets
    )


def numbers(manifest: Manifest) -> NDArray[np.float64]:
    return np.array([row.targets for row in manifest.rows])


def test_a_plain_table_of_labels_meets_its_pictures(tmp_path: Path) -> None:
    table = write_table(tmp_path, "id;who;edema;mass", "007;P1;1;0", "08;P1;;1", "out;P2;1;1")
    write_pictures(tmp_path / "images", "007.png", "below/08.png")
    found = read(
        tmp_path / "images",
        table,
        id_column="id",
        patient_column="who",
        excluded_file_ids=("out",),
    )
    assert [row.file_id for row in found.rows] == ["007", "08"]
    assert [row.patient_id for row in found.rows] == ["P1", "P1"]
    assert [row.path.name for row in found.rows] == ["007.png", "08.png"]
    np.testing.assert_array_equal(numbers(found), [[1, 0], [NAN, 1]])
    assert found.target_spec == TargetSpec(
        task="multilabel", names=("edema", "mass"), num_classes=2
    )
    assert found.published_split is None
    assert found.num_patients == 1


def test_a_trained_network_gives_the_order_of_the_labels(tmp_path: Path) -> None:
    table = write_table(tmp_path, "FileID,edema,age,mass", "a,1,0,0", "b,0,1,1")
    write_pictures(tmp_path, "a.png", "b.png")
    targets = TargetSpec(task="multilabel", names=("mass", "edema"), num_classes=2)
    found = read(tmp_path, table, targets=targets)
    assert found.target_spec == targets
    np.testing.assert_array_equal(numbers(found), [[0, 1], [1, 0]])
    absent = TargetSpec(task="multilabel", names=("mass", "nodule"), num_classes=2)
    with pytest.raises(LabelsError, match="nodule"):
        read(tmp_path, table, targets=absent)


def test_a_trained_network_gives_the_order_of_the_classes(tmp_path: Path) -> None:
    table = write_table(tmp_path, "FileID,label", "a,viral", "b,normal")
    write_pictures(tmp_path, "a.png", "b.png")
    targets = TargetSpec(task="multiclass", names=("viral", "bacterial", "normal"), num_classes=3)
    found = read(tmp_path, table, targets=targets, task="multiclass")
    assert found.target_spec == targets
    assert numbers(found).tolist() == [[0], [2]]


def test_a_trained_network_finds_the_class_column_that_the_ini_names(tmp_path: Path) -> None:
    table = write_table(tmp_path, "FileID,age,kind", "a,30,viral", "b,40,normal")
    write_pictures(tmp_path, "a.png", "b.png")
    learnt = read(tmp_path, table, task="multiclass", labels=("kind",))
    assert learnt.target_spec.names == ("normal", "viral")
    targets = TargetSpec(task="multiclass", names=("bacterial", "normal", "viral"), num_classes=3)
    found = read(tmp_path, table, task="multiclass", labels=("kind",), targets=targets)
    assert found.target_spec == targets
    assert numbers(found).tolist() == [[2], [1]]


def test_targets_are_told_without_images(tmp_path: Path) -> None:
    table = write_table(tmp_path, "FileID,edema", "a,1", "b,0")
    section = DataSection(task="multilabel", source="csv")
    assert read_targets(section, table).names == ("edema",)
    write_table(tmp_path, "FileID,edema", "a,1", "b,0", "c,2", "d,1")
    with pytest.raises(LabelsError, match="row 4, column edema = 2: expected 0, 1, or empty"):
        read_targets(section, table)


def test_faults_of_table_and_images_are_told_together(tmp_path: Path) -> None:
    table = write_table(tmp_path, "FileID,edema", "a,1", "b,3", "c,0", "d,1")
    write_pictures(tmp_path, "a.png", "b.png", "d.png", "d.jpg")
    with pytest.raises(LabelsError) as caught:
        read(tmp_path, table, labels=("edema",))
    assert [line.replace(str(tmp_path), "HERE") for line in caught.value.problems] == [
        "labels.csv row 3, column edema = 3: expected 0, 1, or empty for unknown",
        "labels.csv row 4, column FileID = c: no such image below HERE: add it, or name it in "
        "EXCLUDED_FILE_IDS",
        "labels.csv row 5, column FileID = d: 2 images (d.jpg, d.png): expected one: remove the "
        "others, or set IMAGE_EXTENSION",
    ]


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    table = write_table(tmp_path, "FileID,edema", "a,1", "b,0")
    with pytest.raises(LabelsError, match=r"nowhere: no such folder: set \[DATA\] DATA_DIR"):
        read(tmp_path / "nowhere", table)
    with pytest.raises(LabelsError, match="none of the 2 ids has an image below"):
        read(tmp_path, table)


CHEXPERT = ",".join(
    (
        "Path,Sex,Age,Frontal/Lateral,AP/PA,No Finding,Enlarged Cardiomediastinum,Cardiomegaly",
        "Lung Opacity,Lung Lesion,Edema,Consolidation,Pneumonia,Atelectasis,Pneumothorax",
        "Pleural Effusion,Pleural Other,Fracture,Support Devices",
    )
)


def test_chexperts_paths_find_their_files(tmp_path: Path) -> None:
    first, second = (
        f"CheXpert-v1.0-small/train/patient0000{n}/study1/view1_frontal.jpg" for n in (1, 2)
    )
    table = write_table(
        tmp_path,
        CHEXPERT,
        f"{first},Female,68,Frontal,AP,1.0,,,,,-1.0,,,,0.0,,,,1.0",
        f"{second},Male,40,Frontal,AP,,,1.0,,,0.0,,,,,1.0,,,",
    )
    below = [each.partition("/")[2] for each in (first, second)]
    write_pictures(tmp_path / "set", below[0], below[1])
    found = read(
        tmp_path / "set", table, labels_layout="chexpert", labels=("Edema", "Cardiomegaly")
    )
    assert [row.path for row in found.rows] == [tmp_path / "set" / each for each in below]
    assert [row.patient_id for row in found.rows] == ["patient00001", "patient00002"]
    np.testing.assert_array_equal(numbers(found), [[NAN, 0], [0, 1]])
    (tmp_path / "set" / below[1]).unlink()
    with pytest.raises(
        LabelsError, match=r"labels\.csv row 3: .*patient00002.*: no such image below"
    ):
        read(tmp_path / "set", table, labels_layout="chexpert")
    with pytest.raises(LabelsError, match="no such folder"):
        read(tmp_path / "other", table, labels_layout="chexpert")


def test_volumes_are_files_or_folders_of_slices(
    tmp_path: Path, write_series: WriteSeries, hounsfield: NDArray[np.int16]
) -> None:
    write_volumes(tmp_path / "ct", "one.nii.gz", "two.nii")
    write_series(hounsfield, folder="ct/three")
    table = write_table(tmp_path, "FileID,nodule", "three,1", "one,0", "two,1")
    found = read(tmp_path / "ct", table, source="volumes", are_volumes=True)
    assert [row.path.name for row in found.rows] == ["three", "one.nii.gz", "two.nii"]
    assert found.rows[0].patient_id == "CANARY-7"  # of the slices' headers
    assert found.rows[1].patient_id == "file:one"


def volume_rows(folder: Path) -> tuple[Row, ...]:
    return tuple(Row(each.name, each.name, each, (0.0,)) for each in sorted(folder.iterdir()))


def log_of(action: Callable[[], object]) -> list[str]:
    lines: list[str] = []
    sink = logger.add(lines.append, format="{message}")
    action()
    logger.remove(sink)
    return lines


def test_prepared_volumes_are_found_again_by_their_content(
    tmp_path: Path,
    write_series: WriteSeries,
    hounsfield: NDArray[np.int16],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write_volumes(tmp_path / "ct", "one.nii.gz")
    folder = write_series(hounsfield, folder="ct/two")
    config = load_config(None, [f"DATA.CACHE_DIR={tmp_path / 'cache'}"], {})
    rows = volume_rows(tmp_path / "ct")
    cache = build_cache(config, VOLUME)
    assert isinstance(cache, PreparedCache)
    assert "cache: 2 images newly prepared, 0 were there\n" in log_of(lambda: cache.fill(rows))
    expected = [prepare_volume(row.path, VOLUME).pixels for row in rows]
    for row, pixels in zip(rows, expected, strict=True):
        assert pixels.shape == (8, 12, 10)
        np.testing.assert_array_equal(cache.get(row), pixels)
    for number, each in enumerate(sorted(folder.iterdir())):
        each.rename(folder / f"renamed{9 - number}.dcm")
    (tmp_path / "ct").rename(tmp_path / "moved")
    again = build_cache(config, VOLUME)
    monkeypatch.setattr(again, "_prepare", None)  # nothing is prepared again
    moved = volume_rows(tmp_path / "moved")
    assert "cache: 0 images newly prepared, 2 were there\n" in log_of(lambda: again.fill(moved))
    for row, pixels in zip(moved, expected, strict=True):
        np.testing.assert_array_equal(again.get(row), pixels)


def test_another_range_of_hounsfield_units_is_another_entry(tmp_path: Path) -> None:
    write_volumes(tmp_path / "ct", "one.nii.gz")
    (row,) = volume_rows(tmp_path / "ct")
    config = load_config(None, [f"DATA.CACHE_DIR={tmp_path / 'cache'}"], {})
    wide = build_cache(config, VOLUME).get(row)
    narrow = build_cache(config, replace(VOLUME, hu_range=(-100.0, 100.0))).get(row)
    spaced = build_cache(config, replace(VOLUME, spacing_mm=(2.0, 2.0, 2.0))).get(row)
    assert not np.array_equal(wide, narrow)
    assert not np.array_equal(wide, spaced)


def test_volumes_that_cannot_be_used_are_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "ct" / "empty").mkdir(parents=True)
    (tmp_path / "ct" / "text.nii.gz").write_text("no volume", encoding="utf-8")
    write_volumes(tmp_path / "ct", "good.nii")
    config = load_config(None, [f"DATA.CACHE_DIR={tmp_path / 'cache'}"], {})
    with pytest.raises(LabelsError, match="2 of 3 images can't be used") as caught:
        build_cache(config, VOLUME).fill(volume_rows(tmp_path / "ct"))
    assert "EXCLUDED_FILE_IDS = empty, text.nii.gz" in str(caught.value)


def medmnist_config(folder: Path, *overrides: str) -> Config:
    base = (
        "DATA.SOURCE=medmnist",
        "DATA.TASK=multiclass",
        "DATA.MEDMNIST_FLAG=pneumoniamnist",
        f"DATA.DATA_DIR={folder}",
        "MODEL.MODEL_ARCH=resnet18",
        "RUNTIME.OFFLINE=true",
    )
    return load_config(None, [*base, *overrides], {})


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """A folder with a small file of PneumoniaMNIST's format."""
    rng = np.random.default_rng(5)
    arrays: dict[str, NDArray[np.uint8]] = {}
    for part, count in (("train", 6), ("val", 2), ("test", 3)):
        arrays[f"{part}_images"] = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        arrays[f"{part}_labels"] = np.arange(count, dtype=np.uint8)[:, None] % 2
    np.savez(tmp_path / "pneumoniamnist.npz", **arrays)
    return tmp_path


def test_a_published_split_is_taken_whatever_the_seed_and_fractions(published: Path) -> None:
    config = medmnist_config(published, "RUNTIME.SEED=3", "DATA.TEST_FRACTION=0.6")
    manifest = build_medmnist_manifest(config)
    (split,) = build_splits(config, manifest)
    assert split.train == tuple(f"train_{n:05d}" for n in range(6))
    assert split.val == ("val_00000", "val_00001")
    assert split.test == ("test_00000", "test_00001", "test_00002")
    assert manifest.target_spec.names == ("normal", "pneumonia")
    assert numbers(manifest)[:, 0].tolist() == [0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0]


def test_a_published_sets_store_gives_its_pictures_as_they_are(published: Path) -> None:
    config = medmnist_config(published)
    store = build_cache(config, PUBLISHED)
    assert isinstance(store, MedMnistImages)
    manifest = build_medmnist_manifest(config)
    stored = np.load(published / "pneumoniamnist.npz")["val_images"][1]
    (row,) = manifest.select(["val_00001"])
    np.testing.assert_allclose(store.get(row), stored / 255, atol=1e-7)


def test_a_published_set_that_is_absent_offline_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(LabelsError, match=r"pneumoniamnist\.npz: no such file: put .*MD5"):
        build_medmnist_manifest(medmnist_config(tmp_path))
    asked = medmnist_config(tmp_path, "DATA.MEDMNIST_DOWNLOAD=true")
    with pytest.raises(LabelsError, match=r"no such file, and \[RUNTIME\] OFFLINE = true"):
        build_medmnist_manifest(asked)


def test_volumes_from_a_published_set_of_pictures_are_refused(published: Path) -> None:
    with pytest.raises(ConfigError, match="holds pictures, and the network takes volumes"):
        build_cache(medmnist_config(published), VOLUME)


def test_equal_published_pictures_are_told_only_across_parts(published: Path) -> None:
    """Each counts as its own patient there, so equal ones of one part would flood the log."""
    path = published / "pneumoniamnist.npz"
    arrays = dict(np.load(path))
    arrays["train_images"][1] = arrays["train_images"][0]
    np.savez(path, **arrays)
    config = medmnist_config(published)

    def warn() -> None:
        manifest = build_medmnist_manifest(config)
        splits = build_splits(config, manifest)
        warn_of_equal_images(manifest, splits, build_cache(config, PUBLISHED))

    assert not any("the same picture" in line for line in log_of(warn))
    arrays["test_images"][2] = arrays["train_images"][0]
    np.savez(path, **arrays)
    (line,) = (line for line in log_of(warn) if "the same picture" in line)
    assert "test_00002 (test), train_00000 (train), train_00001 (train)" in line
    assert "in different parts, so the figures flatter" in line


def table_of(rows: Sequence[LabelRow], folder: Path) -> LabelsTable:
    return LabelsTable(folder / "labels.csv", tuple(rows), has_patients=True)


def test_problems_of_a_relative_path_name_row_and_id(tmp_path: Path) -> None:
    rows = [
        LabelRow(2, "set/a", "P", (1.0,), relative_path="set/a.png"),
        LabelRow(3, "set/b", "P", (1.0,), relative_path="set/b.png"),
    ]
    write_pictures(tmp_path, "set/a.png")
    with pytest.raises(LabelsError) as caught:
        join_images(table_of(rows, tmp_path), ["labels.csv row 9: told before"], image_dir=tmp_path)
    assert list(caught.value.problems) == [
        "labels.csv row 9: told before",
        f"labels.csv row 3: set/b.png: no such image below {tmp_path}: add it, or name set/b in "
        "EXCLUDED_FILE_IDS",
    ]


def test_a_volume_with_two_files_is_refused(tmp_path: Path) -> None:
    write_volumes(tmp_path, "a.nii", "a.nii.gz")
    rows = [LabelRow(2, "a", "P", (1.0,))]
    with pytest.raises(
        LabelsError, match=r"row 2, column FileID = a: 2 images \(a\.nii, a\.nii\.gz\)"
    ):
        join_images(table_of(rows, tmp_path), [], image_dir=tmp_path, are_volumes=True)
    found = join_images(
        table_of(rows, tmp_path),
        [],
        image_dir=tmp_path,
        are_volumes=True,
        image_extension=".nii.gz",
    )
    assert found.rows[0].path.name == "a.nii.gz"
