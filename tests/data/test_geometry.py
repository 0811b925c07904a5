from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import torch
from numpy.typing import NDArray
from torchvision.transforms.v2.functional import resize

from csi_predictor.data.geometry import fit
from csi_predictor.data.image import Image, SourceFacts
from csi_predictor.errors import ImageError
from csi_predictor.specs import InputSpec, Interpolation

PIXELS = np.random.default_rng(4).random((61, 47), np.float32)


def _image(pixels: NDArray[Any] = PIXELS, **fields: Any) -> Image:
    facts = SourceFacts(
        path=Path("a.png"), format="png", sha256="", decoder="", rows=61, columns=47
    )
    return Image(pixels=pixels, facts=facts, **fields)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "lanczos"])
@pytest.mark.parametrize("size", [(16, 24), (100, 90), (61, 20)])
def test_stretch_is_pillows_antialiased_resize(
    interpolation: Interpolation, size: tuple[int, int]
) -> None:
    kernel = PIL.Image.Resampling[interpolation.upper()]
    expected = PIL.Image.fromarray(PIXELS).resize((size[1], size[0]), kernel)
    result = fit(_image(), InputSpec(size=size, interpolation=interpolation))
    np.testing.assert_allclose(result.pixels, np.clip(np.asarray(expected), 0, 1), atol=1e-5)
    assert result.pixels.dtype == np.float32


def test_stretch_is_torchvisions_antialiased_resize() -> None:
    expected = resize(torch.from_numpy(PIXELS)[None], [20, 30], antialias=True)[0]
    result = fit(_image(), InputSpec(size=(20, 30)))
    np.testing.assert_allclose(result.pixels, expected, atol=1e-6)


def test_a_picture_of_the_right_size_is_left_as_it_is() -> None:
    np.testing.assert_array_equal(fit(_image(), InputSpec(size=(61, 47))).pixels, PIXELS)


def test_letterbox_shows_the_whole_picture_between_black_borders() -> None:
    result = fit(_image(np.ones((60, 30), np.float32)), InputSpec(size=(40, 40), fit="letterbox"))
    # 60 x 30 -> 40 x 20, so 10 black columns on either side.
    np.testing.assert_allclose(result.pixels[:, 10:30], 1, atol=1e-6)
    assert result.pixels[:, :10].max() == result.pixels[:, 30:].max() == 0


def test_crop_fills_the_size_from_the_centre() -> None:
    # Shortest edge to 20 and the centre: torchvision's Resize(20) and CenterCrop(20).
    tall = resize(torch.from_numpy(PIXELS[:60, :40])[None], [30, 20], antialias=True)[0]
    result = fit(_image(PIXELS[:60, :40]), InputSpec(size=(20, 20), fit="crop"))
    np.testing.assert_allclose(result.pixels, tall[5:25], atol=1e-6)


def test_the_aspect_ratio_is_kept_in_millimetres() -> None:
    # 60 rows of 0.1 mm and 30 columns of 0.2 mm are a square.
    image = _image(np.ones((60, 30), np.float32), spacing_mm=(0.1, 0.2))
    result = fit(image, InputSpec(size=(40, 40), fit="letterbox"))
    np.testing.assert_allclose(result.pixels, 1, atol=1e-6)
    assert result.spacing_mm == pytest.approx((0.15, 0.15))


@pytest.mark.parametrize("rule", ["stretch", "letterbox", "crop"])
@pytest.mark.parametrize("shape", [(1, 500), (500, 1), (7, 7), (333, 211)])
def test_any_shape_becomes_the_size(rule: Any, shape: tuple[int, int]) -> None:
    result = fit(_image(np.ones(shape, np.float32)), InputSpec(size=(33, 47), fit=rule)).pixels
    assert result.shape == (33, 47)
    assert result.min() >= 0
    assert result.max() <= 1


@pytest.mark.parametrize("interpolation", ["bicubic", "lanczos"])
def test_overshoot_is_cut_off(interpolation: Interpolation) -> None:
    edges = (np.indices((40, 40)).sum(0) // 7 % 2).astype(np.float32)
    result = fit(_image(edges), InputSpec(size=(90, 90), interpolation=interpolation)).pixels
    assert (result.min(), result.max()) == (0.0, 1.0)


def test_a_volume_isnt_a_picture() -> None:
    with pytest.raises(ImageError, match="3-D pixels for a 2-D input") as caught:
        fit(_image(np.ones((3, 4, 5), np.float32)), InputSpec(size=(8, 8)))
    assert caught.value.reason == "MULTI_FRAME"
