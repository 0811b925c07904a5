from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from csi_predictor.data import cache_entry
from csi_predictor.data.cache_entry import read_entry, spec_key, write_entry
from csi_predictor.errors import ConfigError
from csi_predictor.specs import InputSpec

SPEC = InputSpec(size=(31, 17))
PIXELS = np.random.default_rng(0).random((31, 17), dtype=np.float32)


def test_an_entry_gives_its_bits_back_and_numpy_reads_it_too(tmp_path: Path) -> None:
    write_entry(tmp_path / "deep" / "a.npy", PIXELS)
    np.testing.assert_array_equal(read_entry(tmp_path / "deep" / "a.npy"), PIXELS)
    np.testing.assert_array_equal(np.load(tmp_path / "deep" / "a.npy"), PIXELS)
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["a.npy"]


def test_absent_entry_is_none(tmp_path: Path) -> None:
    assert read_entry(tmp_path / "a.npy") is None


@pytest.mark.parametrize("position", [0, 3, 50, 130, 1000, -1])
def test_a_flipped_bit_anywhere_is_noticed(tmp_path: Path, position: int) -> None:
    write_entry(tmp_path / "a.npy", PIXELS)
    content = bytearray((tmp_path / "a.npy").read_bytes())
    content[position] ^= 1
    (tmp_path / "a.npy").write_bytes(content)
    assert read_entry(tmp_path / "a.npy") is None


@pytest.mark.parametrize("length", [0, 1, 4, 5, 128, 600])
def test_a_truncated_entry_is_noticed(tmp_path: Path, length: int) -> None:
    write_entry(tmp_path / "a.npy", PIXELS)
    content = (tmp_path / "a.npy").read_bytes()
    (tmp_path / "a.npy").write_bytes(content[:length])
    assert read_entry(tmp_path / "a.npy") is None


@pytest.mark.parametrize(
    "other",
    [
        replace(SPEC, size=(32, 17)),
        replace(SPEC, interpolation="bicubic"),
        replace(SPEC, fit="letterbox"),
        replace(SPEC, percentiles=(0.0, 100.0)),
        replace(SPEC, voi="ignore"),
        replace(SPEC, is_eight_bit=True),
        replace(SPEC, processor="{}"),
    ],
)
def test_another_preprocessing_is_another_key(other: InputSpec) -> None:
    assert spec_key(other) != spec_key(SPEC)


def test_channels_and_normalisation_share_entries() -> None:
    grey = replace(SPEC, channels=1, mean=(0.5,), std=(0.25,))
    assert spec_key(grey) == spec_key(SPEC)


def test_another_processor_is_another_key() -> None:
    first, second = (replace(SPEC, processor=text) for text in ('{"resample": 3}', "{}"))
    assert spec_key(first) != spec_key(second)


def test_entries_made_before_the_later_fields_stay_valid() -> None:
    # Of the program before InputSpec had `is_eight_bit` and `processor`.
    assert spec_key(SPEC) == "0527ba5cab38a42b"


def test_another_version_of_prepare_is_another_key(monkeypatch: pytest.MonkeyPatch) -> None:
    before = spec_key(SPEC)
    monkeypatch.setattr(cache_entry, "PREPARE_VERSION", cache_entry.PREPARE_VERSION + 1)
    assert spec_key(SPEC) != before


def test_a_folder_that_cant_be_written_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"CACHE_DIR: .* can't be written .*CACHE = memory or"):
        write_entry(tmp_path / "file" / "a.npy", PIXELS)
