import hashlib
import os
from pathlib import Path

import pytest

from csi_predictor.data.volume_content import hash_volume, volume_signature
from csi_predictor.errors import ImageError


def write(folder: Path, **contents: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in contents.items():
        (folder / name).write_text(text)
    return folder


def test_a_files_hash_is_its_sha256(tmp_path: Path) -> None:
    folder = write(tmp_path, x="one")
    assert hash_volume(folder / "x") == hashlib.sha256(b"one").hexdigest()


def test_a_folders_hash_tells_contents_and_neither_names_nor_order(tmp_path: Path) -> None:
    first = hash_volume(write(tmp_path / "a", x="one", y="two"))
    deeper = write(tmp_path / "b", x="two")
    write(deeper / "more", q="one", twice="one")
    assert hash_volume(deeper) == first
    hashes = sorted(hashlib.sha256(text).hexdigest() for text in (b"one", b"two"))
    assert first == hashlib.sha256("\n".join(hashes).encode()).hexdigest()
    assert hash_volume(write(tmp_path / "c", x="one", y="two", z="three")) != first
    assert hash_volume(write(tmp_path / "d", x="one", y="twp")) != first


def test_an_empty_or_absent_folder_has_no_hash(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="an empty folder: expected the slices of a CT series"):
        hash_volume(write(tmp_path / "a"))
    with pytest.raises(ImageError, match="UNREADABLE"):
        hash_volume(tmp_path / "absent")


def test_a_folders_signature_changes_with_any_file_in_it(tmp_path: Path) -> None:
    folder = write(tmp_path / "a", x="one", y="two")
    write(folder / "more", z="three")
    seen = [volume_signature(folder)]
    assert volume_signature(folder) == seen[0]

    (folder / "x").write_text("six")  # the same size
    os.utime(folder / "x", ns=(1, 1))  # and an old time: the change time tells
    seen.append(volume_signature(folder))
    (folder / "more" / "z").unlink()
    seen.append(volume_signature(folder))
    (folder / "y").write_text("longer")
    seen.append(volume_signature(folder))
    assert len(set(seen)) == 4
    assert volume_signature(tmp_path / "absent") is None
