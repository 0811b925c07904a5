import os
from pathlib import Path

import pytest

from csi_predictor.errors import ConfigError
from csi_predictor.scoring.worklist import list_work


def touch(path: Path, content: bytes = b"x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_every_regular_file_is_listed_by_name_with_forward_slashes(tmp_path: Path) -> None:
    for name in ("b.dcm", "a/z", "a/.hidden.dcm", "a-b/c.png", "ü ñ.txt"):
        touch(tmp_path / name)
    worklist = list_work(tmp_path)
    assert [item.name for item in worklist.items] == [
        "a-b/c.png",
        "a/.hidden.dcm",
        "a/z",
        "b.dcm",
        "ü ñ.txt",
    ]
    assert worklist.items[2].size == 1
    assert worklist.items[2].path.read_bytes() == b"x"
    assert worklist.refused == ()


def test_a_desktops_litter_is_refused_and_not_ignored(tmp_path: Path) -> None:
    for name in ("x/.DS_Store", "x/Thumbs.db", "x/DICOMDIR", "desktop.ini", "._scan.dcm"):
        touch(tmp_path / name)
    worklist = list_work(tmp_path)
    assert worklist.items == ()
    assert len(worklist) == 5
    assert {entry.reason for entry in worklist.refused} == {"NOT_AN_IMAGE"}
    details = {entry.name: entry.detail for entry in worklist.refused}
    assert details["x/DICOMDIR"] == "an index of DICOM files; the files themselves are listed"


def test_links_are_refused_and_a_loop_of_links_ends(tmp_path: Path) -> None:
    root, outside = tmp_path / "in", touch(tmp_path / "outside" / "secret.dcm")
    touch(root / "sub" / "a.dcm")
    (root / "sub" / "loop").symlink_to(root, target_is_directory=True)
    (root / "out").symlink_to(outside.parent, target_is_directory=True)
    (root / "file").symlink_to(outside)
    (root / "broken").symlink_to(root / "nothing")
    worklist = list_work(root)
    assert [item.name for item in worklist.items] == ["sub/a.dcm"]
    assert [entry.name for entry in worklist.refused] == ["broken", "file", "out", "sub/loop"]
    assert {entry.detail for entry in worklist.refused} == {"a link; links aren't followed"}


def test_the_root_itself_may_be_a_link(tmp_path: Path) -> None:
    touch(tmp_path / "real" / "a.dcm")
    (tmp_path / "link").symlink_to(tmp_path / "real", target_is_directory=True)
    assert [item.name for item in list_work(tmp_path / "link").items] == ["a.dcm"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_refused_and_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    entry = list_work(tmp_path).refused[0]
    assert (entry.reason, entry.detail) == (
        "NOT_AN_IMAGE",
        "a device, pipe or socket, not a file",
    )


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read every folder"
)
def test_a_folder_without_permission_is_listed_as_refused(tmp_path: Path) -> None:
    touch(tmp_path / "closed" / "a.dcm")
    (tmp_path / "closed").chmod(0)
    try:
        entry = list_work(tmp_path).refused[0]
    finally:
        (tmp_path / "closed").chmod(0o700)
    assert (entry.name, entry.reason) == ("closed", "NO_PERMISSION")


def test_a_folder_that_vanishes_or_fails_is_listed_as_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(tmp_path / "bad" / "a.dcm")
    scandir = os.scandir

    def fail_on_bad(folder: Path) -> object:
        if Path(folder).name == "bad":
            raise PermissionError(13, "Permission denied")
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", fail_on_bad)
    entry = list_work(tmp_path).refused[0]
    assert (entry.name, entry.reason, entry.detail) == ("bad", "NO_PERMISSION", "Permission denied")


def test_a_folder_of_results_inside_is_skipped_and_named(tmp_path: Path) -> None:
    touch(tmp_path / "a.dcm")
    touch(tmp_path / "out" / "scores.csv")
    worklist = list_work(tmp_path, own_dirs=(tmp_path / "out",))
    assert [item.name for item in worklist.items] == ["a.dcm"]
    assert worklist.skipped_dirs == ("out",)


def test_results_in_the_input_folder_itself_are_refused(tmp_path: Path) -> None:
    touch(tmp_path / "a.dcm")
    with pytest.raises(ConfigError, match="is INPUT_DIR too"):
        list_work(tmp_path, own_dirs=(tmp_path / "x" / "..",))


def test_a_missing_root_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such folder: expected a folder of images"):
        list_work(tmp_path / "absent")


def test_a_file_as_root_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not a folder: expected a folder of images"):
        list_work(touch(tmp_path / "a.dcm"))


def test_an_empty_root_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "empty" / "sub").mkdir(parents=True)
    with pytest.raises(ConfigError, match="no file in it"):
        list_work(tmp_path / "empty")


def test_a_root_that_cannot_be_listed_is_one_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(ConfigError, match=r"can't be listed \(Permission denied\)"):
        list_work(tmp_path)
