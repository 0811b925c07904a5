"""The embedded CT set as files: determinism, resumption, the labels table, the sides."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from csi_predictor.data.readers import read_image
from csi_predictor.synthesis.ct import write_ct_volumes
from csi_predictor.synthesis.findings_folder import LabelledSet

SHAPE = (24, 32, 32)


def written(folder: Path, count: int = 5, *, seed: int = 3, workers: int = 0) -> LabelledSet:
    return write_ct_volumes(folder, count=count, shape=SHAPE, seed=seed, workers=workers)


@pytest.fixture(scope="module")
def small_set(tmp_path_factory: pytest.TempPathFactory) -> LabelledSet:
    return written(tmp_path_factory.mktemp("ct"))


def contents(target: LabelledSet) -> dict[str, bytes]:
    files = [*target.images_dir.iterdir(), target.labels_csv]
    return {path.name: path.read_bytes() for path in files}


def test_a_ct_set_is_the_same_to_the_byte_with_any_number_of_workers(
    small_set: LabelledSet, tmp_path: Path
) -> None:
    assert contents(written(tmp_path, workers=2)) == contents(small_set)


def test_a_smaller_ct_set_is_the_beginning_of_a_larger_one(
    small_set: LabelledSet, tmp_path: Path
) -> None:
    whole = contents(small_set)
    fewer = contents(written(tmp_path, 2))
    assert sorted(fewer) == ["ct_00000.nii.gz", "ct_00001.nii.gz", "labels.csv"]
    assert all(whole[name] == data for name, data in fewer.items() if name != "labels.csv")
    assert whole["labels.csv"].startswith(fewer["labels.csv"])


def test_another_seed_draws_other_volumes(small_set: LabelledSet, tmp_path: Path) -> None:
    name = "ct_00000.nii.gz"
    assert contents(written(tmp_path, 1, seed=4))[name] != contents(small_set)[name]


def test_the_table_of_a_ct_set_has_a_patient_a_volume_and_0_or_1(small_set: LabelledSet) -> None:
    text = small_set.labels_csv.read_text(encoding="utf-8")
    assert text.splitlines()[0] == (
        "FileID,PatientID,effusion,consolidation,cardiomegaly,emphysema,nodule"
    )
    rows = list(csv.DictReader(text.splitlines()))
    assert [f"{row['FileID']}.nii.gz" for row in rows] == sorted(
        path.name for path in small_set.images_dir.iterdir()
    )
    assert len({row["PatientID"] for row in rows}) == small_set.count == 5
    assert {row[label] for row in rows for label in small_set.labels} == {"0", "1"}


def test_a_complete_ct_set_is_reused_untouched(small_set: LabelledSet) -> None:
    before = {path: path.stat().st_mtime_ns for path in small_set.images_dir.iterdir()}
    written(small_set.folder)
    assert {path: path.stat().st_mtime_ns for path in small_set.images_dir.iterdir()} == before


def test_an_interrupted_ct_set_is_finished_and_whole_files_are_kept(
    small_set: LabelledSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = []

    def interrupted(*args: object, **kwargs: object) -> np.ndarray:
        if len(drawn) == 2:
            raise KeyboardInterrupt
        drawn.append(args)
        return render(*args, **kwargs)

    import csi_predictor.synthesis.ct as module

    render = module.render_ct
    monkeypatch.setattr(module, "render_ct", interrupted)
    with pytest.raises(KeyboardInterrupt):
        written(tmp_path)
    assert not (tmp_path / "phantom.json").exists()
    images = tmp_path / "images"
    assert sorted(path.name for path in images.iterdir()) == [
        "ct_00000.nii.gz",
        "ct_00001.nii.gz",
    ]
    (images / ".ct_00002.nii.gz.1.tmp").write_bytes(b"half")
    (images / "ct_00001.nii.gz").write_bytes(b"of another recipe")
    kept_ns = (images / "ct_00000.nii.gz").stat().st_mtime_ns
    monkeypatch.setattr(module, "render_ct", render)
    assert contents(written(tmp_path)) == contents(small_set)
    assert (images / "ct_00000.nii.gz").stat().st_mtime_ns == kept_ns


def test_other_parameters_replace_the_ct_set_that_is_there(tmp_path: Path) -> None:
    written(tmp_path, 2)
    notes = tmp_path / "images" / "notes.txt"
    notes.write_text("mine")
    target = write_ct_volumes(
        tmp_path, count=1, shape=(26, 32, 30), seed=3, workers=0, noise=0.5, overlap=0.0
    )
    assert sorted(path.name for path in target.images_dir.iterdir()) == [
        "ct_00000.nii.gz",
        "notes.txt",
    ]
    assert read_image(target.images_dir / "ct_00000.nii.gz").pixels.shape == (26, 32, 30)
    record = json.loads((tmp_path / "phantom.json").read_text())
    assert record["kind"] == "ct"
    assert (record["count"], record["shape"], record["noise"]) == (1, [26, 32, 30], 0.5)


def test_a_spoilt_record_of_a_ct_set_is_no_record(tmp_path: Path) -> None:
    written(tmp_path, 1)
    (tmp_path / "phantom.json").write_text("{")
    written(tmp_path, 1)
    assert json.loads((tmp_path / "phantom.json").read_text())["seed"] == 3


def test_too_coarse_a_volume_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"shape = \(64, 96, 16\): expected at least 24 voxels"):
        write_ct_volumes(tmp_path, count=1, shape=(64, 96, 16), seed=0, workers=0)


def test_every_file_shows_the_heart_left_and_the_head_up(small_set: LabelledSet) -> None:
    for path in sorted(small_set.images_dir.iterdir()):
        image = read_image(path)
        assert image.spacing_mm == pytest.approx((14.0, 10.5, 10.5))
        hu = image.pixels[::-1]  # from the head down
        air = hu < -500
        columns = np.arange(hu.shape[2]) - (hu.shape[2] - 1) / 2
        heart = ~air[12:17, 11:16, 8:-8]
        assert (heart * columns[8:-8]).sum() > 0
        # The trachea's neighbours at the top are shoulders; the lung is widest near the base.
        lung_width = [np.ptp(np.flatnonzero(level[12:20, 3:-3].any(axis=0))) for level in air[6:17]]
        assert lung_width[-1] > lung_width[0]
        # The spine is at the back.
        bone = hu[8:16] > 150
        assert (bone[:, 16:].sum()) > bone[:, :16].sum()


def test_simpleitk_reads_the_files_as_the_projects_reader_does(small_set: LabelledSet) -> None:
    for path in sorted(small_set.images_dir.iterdir()):
        volume = SimpleITK.DICOMOrient(SimpleITK.ReadImage(path), "LPS")
        np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(volume), read_image(path).pixels)
