import os
from pathlib import Path

import pytest

from csi_predictor.data.image_files import find_image_files

KNOWN = (".dcm", ".nii", ".nii.gz", ".png")


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


@pytest.mark.parametrize(
    ("name", "file_id"),
    [
        ("a.nii.gz", "a"),
        ("a.b.NII.GZ", "a.b"),
        ("007.DCM", "007"),
        ("IM0001", "IM0001"),
        ("1.2.840.10008.7", "1.2.840.10008.7"),
        ("deep/er/x.png", "x"),
    ],
)
def test_id_is_the_name_without_its_extension(tmp_path: Path, name: str, file_id: str) -> None:
    touch(tmp_path, name)
    found = find_image_files(tmp_path, KNOWN)
    assert found.paths == {file_id: (tmp_path / name,)}
    assert found.num_images == 1


def test_tables_and_hidden_files_arent_counted_as_images(tmp_path: Path) -> None:
    touch(tmp_path, "labels.csv", "readme.txt", ".DS_Store", "._a.dcm", "a.dcm")
    assert find_image_files(tmp_path, KNOWN).num_images == 1


@pytest.mark.parametrize("extension", [".nii.gz", "nii.gz", ".NII.GZ"])
def test_given_extension_takes_only_such_files(tmp_path: Path, extension: str) -> None:
    touch(tmp_path, "a.nii.gz", "a.dcm", "b")
    found = find_image_files(tmp_path, KNOWN, extension=extension)
    assert found.paths == {"a": (tmp_path / "a.nii.gz",)}


def test_linked_folders_arent_entered(tmp_path: Path) -> None:
    touch(tmp_path, "outside/b.dcm", "images/a.dcm")
    (tmp_path / "images/link").symlink_to(tmp_path / "outside")
    (tmp_path / "images/circle").symlink_to(tmp_path / "images")
    found = find_image_files(tmp_path / "images", KNOWN)
    assert list(found.paths) == ["a"]
    assert [path.name for path in found.skipped_links] == ["circle", "link"]


def test_a_folder_that_cant_be_searched_is_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(tmp_path, "open/a.dcm", "shut/b.dcm")
    scandir = os.scandir

    def refuse(path: str) -> object:
        if path.endswith("shut"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    found = find_image_files(tmp_path, KNOWN)
    assert list(found.paths) == ["a"]
    assert found.problems == (f"{tmp_path / 'shut'}: can't be searched (Permission denied)",)
