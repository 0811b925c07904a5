"""Files that are whole or absent."""

import errno
import hashlib
from pathlib import Path

import pytest

from csi_predictor.errors import ResourceError
from csi_predictor.files import replaced, sha256_of, write_bytes, write_text


def fail_in_the_middle(path: Path, error: Exception) -> None:
    with replaced(path) as temporary:
        temporary.write_text("half", encoding="utf-8")
        raise error


def test_a_file_takes_its_place_only_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a.txt"
    write_text(path, "first\n")
    with pytest.raises(KeyError):
        fail_in_the_middle(path, KeyError())
    assert path.read_text(encoding="utf-8") == "first\n"
    assert list(path.parent.iterdir()) == [path]


def test_a_full_disk_is_a_passing_condition(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    write_bytes(path, b"old")
    text = "the disk is full .*: free some space and run it again"
    with pytest.raises(ResourceError, match=text):
        fail_in_the_middle(path, OSError(errno.ENOSPC, "No space left on device"))
    assert path.read_bytes() == b"old"


def test_another_failure_stays_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(PermissionError):
        fail_in_the_middle(tmp_path / "a", PermissionError(errno.EACCES, "Permission denied"))


def test_a_file_is_as_readable_as_any_other(tmp_path: Path) -> None:
    with replaced(tmp_path / "a") as temporary:
        temporary.touch(mode=0o600)
    (tmp_path / "b").touch()
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode


def test_the_hash_is_sha256(tmp_path: Path) -> None:
    write_bytes(tmp_path / "a", b"abc")
    assert sha256_of(tmp_path / "a") == hashlib.sha256(b"abc").hexdigest()
