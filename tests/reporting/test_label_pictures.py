from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from csi_predictor.reporting.label_pictures import label_jpeg


def test_a_grey_picture_is_grey() -> None:
    with Image.open(BytesIO(label_jpeg(np.full((31, 47), 0.5), is_volume=False))) as picture:
        assert (picture.mode, picture.size) == ("L", (47, 31))
        assert picture.getpixel((20, 20)) == pytest.approx(128, abs=2)


def test_a_colour_picture_keeps_its_colours_and_is_small() -> None:
    pixels = np.zeros((3, 601, 900))
    pixels[0] = 1.0
    pixels[2, :, 450:] = 7.0  # cut to 1
    pixels[1] = np.nan  # black
    with Image.open(BytesIO(label_jpeg(pixels, is_volume=False))) as picture:
        assert (picture.mode, picture.size) == ("RGB", (320, 214))
        assert picture.getpixel((40, 100)) == pytest.approx((255, 0, 0), abs=8)
        assert picture.getpixel((280, 100)) == pytest.approx((255, 0, 255), abs=8)


@pytest.mark.parametrize("depth", [3, 5])
def test_of_a_volume_the_middle_slice_is_shown(depth: int) -> None:
    volume = np.zeros((depth, 20, 30))
    volume[depth // 2] = 1.0
    with Image.open(BytesIO(label_jpeg(volume, is_volume=True))) as picture:
        assert (picture.mode, picture.size) == ("L", (30, 20))
        assert picture.getpixel((10, 10)) > 250


def test_another_shape_is_refused() -> None:
    told = r"thumbnail has shape \(5, 8, 8\): expected \(H, W\) or \(3, H, W\)"
    with pytest.raises(ValueError, match=told):
        label_jpeg(np.zeros((5, 8, 8)), is_volume=False)
    with pytest.raises(ValueError, match=r"\(8, 8\): expected \(D, H, W\)"):
        label_jpeg(np.zeros((8, 8)), is_volume=True)
