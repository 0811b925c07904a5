from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from csi_predictor.data.volume_files import (
    ct_rate_id,
    ct_rate_patient,
    find_volumes,
    read_volume_patient_id,
)

WriteSeries = Callable[..., Path]
HU = NDArray[np.int16]


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


@pytest.mark.parametrize(
    "name",
    [
        "train_1_a_1.nii.gz",
        "train_1_a_1.nii",
        "TRAIN/train_1_a_1.NII.GZ",
        "train_1_a_1__transformed.nii.gz",
        "train_1/train_1_a/train_1_a_1.nii.gz",
        "train_1_a_1.npz",
        "train_1_a_1.dcm",
    ],
)
def test_an_id_is_met_by_each_layout(tmp_path: Path, name: str) -> None:
    touch(tmp_path, name, "train_2_a_1.nii.gz", "labels.csv")
    found = find_volumes(tmp_path, ["train_1_a_1"])
    assert found.paths["train_1_a_1"] == (tmp_path / name,)
    assert found.num_images == 2


def test_a_folder_of_dicom_is_one_volume_and_its_slices_are_none(
    tmp_path: Path, write_series: WriteSeries, hounsfield: HU
) -> None:
    write_series(hounsfield, folder="CT/007/series 1")
    write_series(hounsfield, folder="CT/008")
    touch(tmp_path, "CT/009/readme.txt")
    found = find_volumes(tmp_path, ["007", "008", "009", "70_0003"])
    assert found.paths == {"007": (tmp_path / "CT/007",), "008": (tmp_path / "CT/008",)}
    assert found.num_images == 2


def test_several_volumes_of_one_id_are_all_given(
    tmp_path: Path, write_series: WriteSeries, hounsfield: HU
) -> None:
    write_series(hounsfield, folder="a/7")
    write_series(hounsfield, folder="b/7")
    touch(tmp_path, "7.nii.gz", "a/7/7.nii.gz", "7__transformed.nii.gz")
    names = ["7.nii.gz", "7__transformed.nii.gz", "a/7", "a/7/7.nii.gz", "b/7"]
    assert find_volumes(tmp_path, ["7"]).paths["7"] == tuple(tmp_path / name for name in names)
    only = find_volumes(tmp_path, ["7"], extension=".npz")
    assert only.paths == {}


def test_an_id_may_itself_end_in_transformed(tmp_path: Path) -> None:
    touch(tmp_path, "x__transformed.nii.gz")
    found = find_volumes(tmp_path, ["x__transformed"])
    assert found.paths == {"x__transformed": (tmp_path / "x__transformed.nii.gz",)}


def test_linked_folders_arent_entered(
    tmp_path: Path, write_series: WriteSeries, hounsfield: HU
) -> None:
    write_series(hounsfield, folder="elsewhere")
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "7").symlink_to(tmp_path / "elsewhere")
    found = find_volumes(tmp_path / "root", ["7"])
    assert found.paths == {}
    assert found.skipped_links == (tmp_path / "root" / "7",)


@pytest.mark.parametrize(
    ("name", "patient"),
    [
        ("train_1_a_1.nii.gz", "train_1"),
        ("valid_1203_b_2.nii.gz", "valid_1203"),
        ("train_17_a_3", "train_17"),
    ],
)
def test_ct_rate_names_tell_the_patient(name: str, patient: str) -> None:
    assert ct_rate_patient(name) == patient
    assert ct_rate_id(name) == name.removesuffix(".nii.gz")


@pytest.mark.parametrize("name", ["train_1.nii.gz", "scan.nii.gz", "", "train_1_a_1.mha"])
def test_another_name_has_no_ct_rate_patient(name: str) -> None:
    with pytest.raises(ValueError, match="expected a form as train_1_a_1"):
        ct_rate_patient(name)


def test_the_patient_of_a_folder_is_that_of_its_dicom(
    tmp_path: Path, write_series: WriteSeries, hounsfield: HU
) -> None:
    folder = write_series(hounsfield)
    (folder / "0_readme.txt").write_text("x" * 500)
    assert read_volume_patient_id(folder) == "CANARY-7"
    assert read_volume_patient_id(sorted(folder.glob("*.dcm"))[0]) == "CANARY-7"
    touch(tmp_path, "empty/readme.txt")
    assert read_volume_patient_id(tmp_path / "empty") is None
