from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import PIL.Image
import pytest
from numpy.typing import NDArray

from csi_predictor.data.readers import read_image
from csi_predictor.errors import ImageError

DEEP = (np.arange(7 * 13).reshape(7, 13) * 700).astype(np.uint16)
SHALLOW = (np.arange(7 * 13).reshape(7, 13) * 2).astype(np.uint8)


def _saved(path: Path, pixels: NDArray[Any], **options: Any) -> Path:
    PIL.Image.fromarray(pixels).save(path, **options)
    return path


def _refusal(path: Path, **rules: Any) -> ImageError:
    with pytest.raises(ImageError) as caught:
        read_image(path, **rules)
    return caught.value


@pytest.mark.parametrize("suffix", ["png", "tiff"])
@pytest.mark.parametrize("pixels", [DEEP, SHALLOW], ids=["16 bit", "8 bit"])
def test_pixels_keep_their_depth__weakness_16(
    tmp_path: Path, suffix: str, pixels: NDArray[Any]
) -> None:
    image = read_image(_saved(tmp_path / f"a.{suffix}", pixels))
    np.testing.assert_array_equal(image.pixels, pixels)
    assert image.has_integer_pixels
    assert image.facts.format == suffix
    assert image.facts.decoder.startswith("pillow ")


def test_float_tiff_keeps_its_values_and_nan_is_padding(tmp_path: Path) -> None:
    pixels = DEEP.astype(np.float32) / 7
    pixels[0, 0] = np.nan
    image = read_image(_saved(tmp_path / "a.tiff", pixels))
    np.testing.assert_array_equal(image.pixels[1:], pixels[1:])
    np.testing.assert_array_equal(image.padding, np.isnan(pixels))
    assert not image.has_integer_pixels


def test_a_1_bit_picture_is_0_and_1(tmp_path: Path) -> None:
    image = read_image(_saved(tmp_path / "a.png", DEEP > 30000))
    np.testing.assert_array_equal(image.pixels, DEEP > 30000)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "P"])
def test_grey_in_channels_or_a_palette_is_grey(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "a.png"
    PIL.Image.fromarray(SHALLOW).convert(mode).save(path)
    np.testing.assert_array_equal(read_image(path).pixels, SHALLOW)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_min_is_white_is_a_polarity(tmp_path: Path, dtype: type[np.generic]) -> None:
    pixels = SHALLOW if dtype == np.uint8 else DEEP
    path = tmp_path / "a.tiff"
    path.write_bytes(bytes(imagecodecs.tiff_encode(pixels, photometric=0)))
    image = read_image(path)
    shown = -image.pixels if image.display.is_inverted else image.pixels
    np.testing.assert_array_equal(shown - shown.min(), float(pixels.max()) - pixels)


def test_the_orientation_of_a_jpeg_is_honoured(tmp_path: Path) -> None:
    exif = PIL.Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    plain = read_image(_saved(tmp_path / "plain.jpg", SHALLOW, quality=95)).pixels
    turned = read_image(_saved(tmp_path / "turned.jpg", SHALLOW, quality=95, exif=exif)).pixels
    np.testing.assert_array_equal(turned, np.rot90(plain, -1))


def test_colour_is_refused(tmp_path: Path) -> None:
    colour = np.stack([SHALLOW, SHALLOW, SHALLOW // 2], axis=-1)
    error = _refusal(_saved(tmp_path / "a.png", colour))
    assert (error.reason, "coloured pixels" in error.detail) == ("COLOUR", True)
    PIL.Image.fromarray(colour).convert("CMYK").save(tmp_path / "a.jpg")
    assert "CMYK pixels" in _refusal(tmp_path / "a.jpg").detail


def test_transparent_pixels_are_refused(tmp_path: Path) -> None:
    alpha = np.stack([SHALLOW, SHALLOW], axis=-1)
    error = _refusal(_saved(tmp_path / "a.png", alpha))
    assert (error.reason, "transparent" in error.detail) == ("COLOUR", True)


@pytest.mark.parametrize("suffix", ["png", "tiff"])
def test_several_16_bit_channels_are_refused_and_not_cut_to_8(tmp_path: Path, suffix: str) -> None:
    encode = imagecodecs.png_encode if suffix == "png" else imagecodecs.tiff_encode
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(bytes(encode(np.stack([DEEP] * 3, axis=-1))))
    error = _refusal(path)
    assert (error.reason, "several 16-bit channels" in error.detail) == ("COLOUR", True)


def test_several_pages_are_refused(tmp_path: Path) -> None:
    page = PIL.Image.fromarray(SHALLOW)
    page.save(tmp_path / "a.tiff", save_all=True, append_images=[page])
    error = _refusal(tmp_path / "a.tiff")
    assert (error.reason, "2 pages" in error.detail) == ("MULTI_FRAME", True)


@pytest.mark.parametrize("suffix", ["png", "jpg", "tiff"])
@pytest.mark.parametrize("share", [0.5, 0.95])
def test_a_picture_that_ends_early_is_refused(tmp_path: Path, suffix: str, share: float) -> None:
    rng = np.random.default_rng(0)
    path = _saved(tmp_path / f"a.{suffix}", rng.integers(0, 255, (90, 80)).astype(np.uint8))
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    assert _refusal(path).reason in ("TRUNCATED", "BAD_HEADER", "DECODE_FAILED")
    if suffix != "tiff":
        assert _refusal(path).reason == "TRUNCATED"


def test_a_picture_above_the_cap_is_refused(tmp_path: Path) -> None:
    error = _refusal(_saved(tmp_path / "a.png", SHALLOW), max_megapixels=1e-5)
    assert (error.reason, "size 7 x 13" in error.detail) == ("TOO_LARGE", True)


def test_a_decompression_bomb_is_refused(tmp_path: Path) -> None:
    path = _saved(tmp_path / "a.png", SHALLOW)
    content = bytearray(path.read_bytes())
    content[16:24] = (60000).to_bytes(4, "big") * 2
    import zlib

    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    path.write_bytes(content)
    assert _refusal(path).reason == "TOO_LARGE"


def test_a_damaged_start_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"\x00" * 100)
    assert _refusal(path).reason in ("BAD_HEADER", "DECODE_FAILED")
