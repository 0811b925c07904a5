from pathlib import Path
from typing import Any

import numpy as np
import pytest

from csi_predictor.data.readers import read_image
from csi_predictor.errors import ImageError

PIXELS = np.arange(35, dtype=np.int32).reshape(5, 7)


def _refusal(path: Path, **rules: Any) -> ImageError:
    with pytest.raises(ImageError) as caught:
        read_image(path, **rules)
    return caught.value


@pytest.mark.parametrize(
    "arrays",
    [{"image": PIXELS, "other": PIXELS + 1}, {"arr_0": PIXELS, "b": PIXELS + 1}, {"x": PIXELS}],
)
def test_the_picture_is_found_by_its_key(tmp_path: Path, arrays: dict[str, Any]) -> None:
    np.savez_compressed(tmp_path / "a.npz", **arrays)
    image = read_image(tmp_path / "a.npz")
    np.testing.assert_array_equal(image.pixels, PIXELS)
    assert image.pixels.dtype == np.float32
    assert image.has_integer_pixels


def test_a_volume_keeps_its_axes_and_nan_is_padding(tmp_path: Path) -> None:
    volume = np.arange(2 * 5 * 7.0).reshape(2, 5, 7)
    volume[0, 0, 0] = np.nan
    np.savez(tmp_path / "a.npz", volume)
    image = read_image(tmp_path / "a.npz")
    assert image.pixels.shape == (2, 5, 7)
    assert image.padding is not None
    assert image.padding.sum() == 1


@pytest.mark.parametrize(
    ("arrays", "reason", "text"),
    [
        ({"a": PIXELS, "b": PIXELS}, "BAD_HEADER", "2 arrays"),
        ({"a": np.zeros((5, 7, 3))}, "COLOUR", "shape (5, 7, 3)"),
        ({"a": np.zeros(7)}, "BAD_HEADER", "shape (7,)"),
        ({"a": np.zeros((0, 7))}, "BAD_HEADER", "size 0 x 7"),
        ({"a": PIXELS * 1j}, "BAD_HEADER", "an array of complex128"),
        ({"a": np.array([[{}, {}]], object)}, "DECODE_FAILED", "can't be read (ValueError)"),
        ({"a": np.zeros((6000, 5000))}, "TOO_LARGE", "bytes: expected at most"),
    ],
)
def test_an_unfit_archive_is_refused(
    tmp_path: Path, arrays: dict[str, Any], reason: str, text: str
) -> None:
    np.savez_compressed(tmp_path / "a.npz", **arrays)
    error = _refusal(tmp_path / "a.npz", max_megapixels=1.0)
    assert error.reason == reason
    assert text in error.detail


def test_a_truncated_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, PIXELS)
    path.write_bytes(path.read_bytes()[:-60])
    assert _refusal(path).reason == "TRUNCATED"


def test_a_damaged_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez_compressed(path, np.random.default_rng(0).random((40, 30)))
    content = bytearray(path.read_bytes())
    content[300:400] = b"\xff" * 100
    path.write_bytes(content)
    assert _refusal(path).reason in ("DECODE_FAILED", "TRUNCATED")
