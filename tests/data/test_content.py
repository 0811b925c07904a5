import os
import time
from pathlib import Path

import pytest

from csi_predictor.data.content import ContentIndex, hash_file
from csi_predictor.errors import ImageError

# sha256 of b"abc": FIPS 180-4, example B.1
ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def settled(path: Path, content: bytes) -> Path:
    """A file last changed a minute ago."""
    path.write_bytes(content)
    os.utime(path, ns=(0, time.time_ns() - 60_000_000_000))
    return path


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock runs a minute ahead, so that a change time of now is long ago."""
    now = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: now() + 60_000_000_000)


def test_hash_is_sha256_of_the_bytes(tmp_path: Path) -> None:
    assert hash_file(settled(tmp_path / "a", b"abc")) == ABC


def test_a_file_that_cant_be_read_has_its_reason(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"can't be read \(No such file.*\[UNREADABLE\]"):
        hash_file(tmp_path / "absent")


@pytest.mark.usefixtures("later")
def test_hashes_are_remembered_between_runs_until_the_file_changes(tmp_path: Path) -> None:
    path = settled(tmp_path / "a", b"abc")
    index = ContentIndex(tmp_path / "contents.json")
    assert index.find(path) is None
    index.remember(path, ABC)
    index.save()
    again = ContentIndex(tmp_path / "contents.json")
    assert again.find(path) == ABC
    settled(path, b"abd")  # same size, another change time
    assert again.find(path) is None
    path.unlink()
    assert again.find(path) is None


def test_a_file_touched_just_now_isnt_remembered(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"abc")
    index = ContentIndex(tmp_path / "contents.json")
    index.remember(path, ABC)
    assert index.find(path) is None


@pytest.mark.usefixtures("later")
def test_index_names_no_file(tmp_path: Path) -> None:
    index = ContentIndex(tmp_path / "contents.json")
    index.remember(settled(tmp_path / "Doe_John.dcm", b"abc"), ABC)
    index.save()
    assert "Doe" not in (tmp_path / "contents.json").read_text()


@pytest.mark.usefixtures("later")
def test_two_runs_keep_each_others_hashes(tmp_path: Path) -> None:
    files = [settled(tmp_path / name, b"abc") for name in "ab"]
    runs = [ContentIndex(tmp_path / "contents.json") for _ in files]
    for run, path in zip(runs, files, strict=True):
        run.remember(path, ABC)
        run.save()
    index = ContentIndex(tmp_path / "contents.json")
    assert [index.find(path) for path in files] == [ABC, ABC]


@pytest.mark.parametrize("text", ["{", "[]", '{"a": [1, 2]}', '{"a": "bcde"}'])
def test_a_damaged_index_is_begun_anew(tmp_path: Path, text: str) -> None:
    (tmp_path / "contents.json").write_text(text)
    assert ContentIndex(tmp_path / "contents.json").find(tmp_path) is None
