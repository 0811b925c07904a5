import errno
import os
import pickle
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from csi_predictor.data import process_pool
from csi_predictor.data.cache import CacheKind, PreparedCache
from csi_predictor.data.manifest import Row
from csi_predictor.data.prepare import prepare
from csi_predictor.errors import ImageError, LabelsError, ResourceError
from csi_predictor.specs import InputSpec

SPEC = InputSpec(size=(24, 16))


@dataclass
class Pixels:
    pixels: NDArray[np.float32]


class CountingPrepare:
    """Pixels that the file's bytes decide; refuses a file that begins with `bad`."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def __call__(self, path: Path, spec: InputSpec) -> Pixels:
        self.calls.append(path.name)
        content = path.read_bytes()
        if content.startswith(b"bad"):
            raise ImageError(path, "TRUNCATED", "expected more")
        rng = np.random.default_rng(list(content))
        return Pixels(rng.random(spec.size, dtype=np.float32))


def make_rows(folder: Path, contents: dict[str, str]) -> list[Row]:
    for name, content in contents.items():
        (folder / name).write_text(content)
    return [Row(name, name, folder / name, (0.0,) * 6) for name in contents]


@pytest.fixture
def rows(tmp_path: Path) -> list[Row]:
    return make_rows(tmp_path, {"a": "one", "b": "two", "c": "three"})


def entries(folder: Path) -> list[Path]:
    return sorted((folder / "cache").glob("*/*.npy"))


@pytest.mark.parametrize("kind", ["none", "memory", "disk"])
def test_every_kind_gives_the_prepared_bits(
    tmp_path: Path, rows: list[Row], kind: CacheKind
) -> None:
    cache = PreparedCache(kind, tmp_path / "cache", SPEC, prepare=CountingPrepare())
    expected = [CountingPrepare()(row.path, SPEC).pixels for row in rows]
    for _ in range(2):
        np.testing.assert_array_equal([cache.get(row) for row in rows], expected)


@pytest.mark.parametrize(("kind", "num_calls"), [("none", 9), ("memory", 3), ("disk", 3)])
def test_second_epoch_doesnt_decode(
    tmp_path: Path, rows: list[Row], kind: CacheKind, num_calls: int
) -> None:
    counting = CountingPrepare()
    cache = PreparedCache(kind, tmp_path / "cache", SPEC, prepare=counting)
    cache.fill(rows)  # of `none`: a look at each image, so that a bad one stops no epoch
    for row in rows + rows:
        cache.get(row)
    assert len(counting.calls) == num_calls


def test_second_run_decodes_nothing(tmp_path: Path, rows: list[Row]) -> None:
    PreparedCache("disk", tmp_path / "cache", SPEC, prepare=CountingPrepare()).fill(rows)
    counting = CountingPrepare()
    cache = PreparedCache("disk", tmp_path / "cache", SPEC, prepare=counting)
    cache.fill(rows)
    np.testing.assert_array_equal(cache.get(rows[0]), CountingPrepare()(rows[0].path, SPEC).pixels)
    assert counting.calls == []


def test_a_renamed_file_keeps_its_entry_and_a_changed_one_gets_another(
    tmp_path: Path, rows: list[Row]
) -> None:
    PreparedCache("disk", tmp_path / "cache", SPEC, prepare=CountingPrepare()).fill(rows)
    (tmp_path / "a").rename(tmp_path / "z")
    (tmp_path / "b").write_text("owt")
    changed = [replace(rows[0], path=tmp_path / "z"), rows[1], rows[2]]
    counting = CountingPrepare()
    cache = PreparedCache("disk", tmp_path / "cache", SPEC, prepare=counting)
    cache.fill(changed)
    assert counting.calls == ["b"]
    np.testing.assert_array_equal(cache.get(rows[1]), CountingPrepare()(rows[1].path, SPEC).pixels)


def test_another_spec_is_another_entry(tmp_path: Path, rows: list[Row]) -> None:
    for spec in (SPEC, replace(SPEC, size=(8, 8)), replace(SPEC, voi="ignore")):
        PreparedCache("disk", tmp_path / "cache", spec, prepare=CountingPrepare()).fill(rows)
    assert len(entries(tmp_path)) == 9


def test_a_damaged_entry_is_made_again(tmp_path: Path, rows: list[Row]) -> None:
    cache = PreparedCache("disk", tmp_path / "cache", SPEC, prepare=CountingPrepare())
    cache.fill(rows)
    sound = {path: path.read_bytes() for path in entries(tmp_path)}
    for path, content in sound.items():
        path.write_bytes(content[:200])
    expected = [CountingPrepare()(row.path, SPEC).pixels for row in rows]
    np.testing.assert_array_equal([cache.get(row) for row in rows], expected)
    assert {path: path.read_bytes() for path in entries(tmp_path)} == sound


def test_what_a_killed_run_left_is_never_read_and_later_removed(
    tmp_path: Path, rows: list[Row]
) -> None:
    cache = PreparedCache("disk", tmp_path / "cache", SPEC, prepare=CountingPrepare())
    cache.folder.mkdir(parents=True)
    old, new = (cache.folder / f".{name}.npy.1.tmp" for name in ("old", "new"))
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (time.time() - 7200,) * 2)
    cache.fill(rows)
    assert not old.exists()
    assert new.exists()
    assert len(entries(tmp_path)) == 3


@pytest.mark.parametrize("kind", ["memory", "disk"])
def test_all_bad_images_are_told_at_once_with_what_to_do(tmp_path: Path, kind: CacheKind) -> None:
    rows = make_rows(tmp_path, {"a": "bad1", "b": "good", "c": "bad2"})
    cache = PreparedCache(kind, tmp_path / "cache", SPEC, prepare=CountingPrepare())
    with pytest.raises(LabelsError) as caught:
        cache.fill(rows)
    assert caught.value.problems == (
        "2 of 3 images can't be used: repair them, or leave them out with [DATA] "
        "EXCLUDED_FILE_IDS = a, c",
        f"{tmp_path / 'a'}: expected more [TRUNCATED]",
        f"{tmp_path / 'c'}: expected more [TRUNCATED]",
    )


def test_full_disk_is_a_passing_condition(
    tmp_path: Path, rows: list[Row], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, content: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    cache = PreparedCache("disk", tmp_path / "cache", SPEC, prepare=CountingPrepare())
    monkeypatch.setattr(Path, "write_bytes", refuse)
    with pytest.raises(ResourceError, match=r"the disk is full .*free some space"):
        cache.fill(rows)
    assert entries(tmp_path) == []


def test_a_filled_cache_can_be_sent_to_a_worker(tmp_path: Path, rows: list[Row]) -> None:
    cache = PreparedCache("memory", tmp_path / "cache", SPEC, prepare=CountingPrepare())
    cache.fill(rows)
    copy = pickle.loads(pickle.dumps(cache))
    np.testing.assert_array_equal(copy.get(rows[1]), cache.get(rows[1]))


@pytest.fixture
def write_pngs(tmp_path: Path) -> Callable[[int], list[Row]]:
    def write(count: int) -> list[Row]:
        rng = np.random.default_rng(0)
        for number in range(count):
            pixels = rng.integers(0, 256, (40, 33), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / f"{number}.png")
        return [
            Row(f"{number}", f"{number}", tmp_path / f"{number}.png", (0.0,) * 6)
            for number in range(count)
        ]

    return write


@pytest.mark.parametrize("kind", ["memory", "disk"])
def test_processes_prepare_the_same_bits_and_find_the_same_faults(
    tmp_path: Path,
    write_pngs: Callable[[int], list[Row]],
    kind: CacheKind,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(process_pool, "_WORTH_S", 0.0)
    rows = write_pngs(20)
    cache = PreparedCache(kind, tmp_path / "cache", SPEC)
    cache.fill(rows, workers=2)
    for row in rows[::7]:
        np.testing.assert_array_equal(cache.get(row), prepare(row.path, SPEC).pixels)
    rows[3].path.write_bytes(b"no image")
    rows[17].path.write_bytes(rows[17].path.read_bytes()[:60])
    with pytest.raises(LabelsError, match=r"2 of 20 .*EXCLUDED_FILE_IDS = 3, 17"):
        PreparedCache(kind, tmp_path / "cache2", SPEC).fill(rows, workers=2)
