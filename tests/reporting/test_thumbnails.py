from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from csi_predictor.reporting.thumbnails import data_uri, jpeg_of


def test_a_thumbnail_is_small_and_keeps_its_shape() -> None:
    pixels = np.tile(np.linspace(0, 1, 900), (601, 1))
    with Image.open(BytesIO(jpeg_of(pixels))) as picture:
        assert picture.size == (320, 214)
        assert picture.mode == "L"
        assert picture.getpixel((3, 100)) < 10
        assert picture.getpixel((316, 100)) > 245


def test_values_out_of_range_are_cut_and_unknown_ones_are_black() -> None:
    with Image.open(BytesIO(jpeg_of(np.array([[np.nan] * 8] * 4 + [[7.0] * 8] * 4)))) as picture:
        assert picture.getpixel((4, 0)) < 20
        assert picture.getpixel((4, 7)) > 235


def test_a_picture_with_channels_is_refused() -> None:
    with pytest.raises(ValueError, match=r"thumbnail has shape \(1, 8, 8\): expected \(H, W\)"):
        jpeg_of(np.zeros((1, 8, 8)))


def test_a_picture_becomes_a_data_address() -> None:
    assert data_uri(b"abc", "png") == "data:image/png;base64,YWJj"
