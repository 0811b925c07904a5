from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from csi_predictor.data.cache import PreparedCache
from csi_predictor.data.duplicates import DuplicateGroup, find_equal_files, find_equal_pixels
from csi_predictor.data.manifest import Row
from csi_predictor.data.split import Split
from csi_predictor.specs import InputSpec

LONG = bytes(70000)


@dataclass(frozen=True)
class Picture:
    pixels: NDArray[np.float32]


@pytest.fixture
def rows(tmp_path: Path) -> list[Row]:
    contents = {
        "a": LONG + b"1",  # equal to b but for what lies after 64 KiB
        "b": LONG + b"2",
        "c": LONG + b"2",
        "d": b"x",
        "e": b"x",
        "f": b"y",
        "g": b"z",
        "h": b"z",
    }
    patient = {"e": "d", "h": "h2"}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    return [Row(name, patient.get(name, name), tmp_path / name, (0.0,) * 6) for name in contents]


SPLIT = Split(("a", "b", "d", "e", "g", "h"), ("c",), ("f",))


def test_equal_files_in_other_parts_or_of_other_patients_are_found(rows: list[Row]) -> None:
    groups = find_equal_files(rows[::-1], (SPLIT,))
    assert groups == (
        DuplicateGroup(("b", "c"), ("train", "val"), 2),
        DuplicateGroup(("g", "h"), ("train", "train"), 2),
    )  # not d and e: one patient, one part
    assert [group.is_leak for group in groups] == [True, False]


def test_equal_pictures_are_found_whatever_their_bytes(tmp_path: Path, rows: list[Row]) -> None:
    def draw(path: Path, spec: InputSpec) -> Picture:
        return Picture(np.full(spec.size, path.name in "af", dtype=np.float32))

    cache = PreparedCache("none", tmp_path, InputSpec(size=(4, 4)), prepare=draw)
    groups = find_equal_pixels([rows[0], rows[3], rows[5]], (SPLIT,), cache)
    assert groups == (DuplicateGroup(("a", "f"), ("train", "test"), 2),)


def test_images_of_one_file_are_told_apart_by_their_pixels(tmp_path: Path) -> None:
    path = tmp_path / "set.npz"
    path.write_bytes(b"one file")
    rows = [Row(name, name, path, (0.0,)) for name in "abcde"]

    class Set:
        def get(self, row: Row) -> NDArray[np.uint8]:
            return np.full((2, 2), {"a": 1, "b": 1, "c": 2, "d": 3, "e": 2}[row.file_id], np.uint8)

    split = Split(("a", "b", "c"), ("d", "e"))
    assert find_equal_files(rows, (split,)) == ()
    assert find_equal_pixels(rows, (split,), Set()) == (
        DuplicateGroup(("c", "e"), ("train", "val"), 2),  # the leak first
        DuplicateGroup(("a", "b"), ("train", "train"), 2),
    )


def test_of_several_folds_the_parting_one_counts(rows: list[Row]) -> None:
    together = Split(tuple("abcdefgh"))
    groups = find_equal_files(rows, (together, SPLIT))
    assert groups[0].parts == ("train", "val")
    assert groups[1].parts == ("train", "train")


def test_an_unreadable_file_is_left_to_those_who_read_it(rows: list[Row]) -> None:
    rows[0].path.unlink()
    rows[0].path.symlink_to("nowhere")
    assert len(find_equal_files(rows, (SPLIT,))) == 2
