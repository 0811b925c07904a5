from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.pixels import apply_modality_lut, apply_voi_lut, apply_windowing

from csi_predictor.data.image import DisplayFacts, Image, Lut, SourceFacts, VoiFunction, Window
from csi_predictor.data.intensity import apply_window, percentiles, to_model_range
from csi_predictor.errors import ImageError
from csi_predictor.specs import InputSpec

FACTS = SourceFacts(path=Path("a.dcm"), format="dicom", sha256="", decoder="", rows=0, columns=0)
FULL = InputSpec(size=(8, 8), percentiles=(0, 100))
STORED = np.random.default_rng(5).integers(-900, 3200, (31, 23)).astype(np.int16)


def _image(pixels: NDArray[Any] = STORED, **fields: Any) -> Image:
    display = DisplayFacts(**{k: fields.pop(k) for k in list(fields) if k not in _IMAGE_FIELDS})
    return Image(
        pixels=pixels.astype(np.float32),
        has_integer_pixels=fields.pop("has_integer_pixels", pixels.dtype.kind in "iu"),
        display=display,
        facts=FACTS,
        **fields,
    )


_IMAGE_FIELDS = ("padding", "has_integer_pixels", "spacing_mm")


def _scaled(values: NDArray[Any]) -> NDArray[np.float64]:
    values = np.asarray(values, np.float64)
    return (values - values.min()) / (values.max() - values.min())


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
def test_a_window_equals_pydicoms(function: VoiFunction) -> None:
    dataset = Dataset()
    dataset.WindowCenter, dataset.WindowWidth, dataset.VOILUTFunction = 700, 1500, function
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsStored, dataset.PixelRepresentation = 16, 1
    expected = (apply_windowing(STORED, dataset) + 2.0**15) / (2.0**16 - 1)
    ours = apply_window(STORED.astype(np.float64), Window(center=700, width=1500), function)
    np.testing.assert_allclose(ours, expected, atol=1e-6)


def test_a_window_of_width_1_is_a_step() -> None:
    # PS3.3 C.11.2.1.2.1: for w = 1, x <= c - 0.5 is the lowest and x > c - 0.5 the highest.
    values = np.array([9.0, 9.5, 9.6, 10.0])
    stepped = apply_window(values, Window(center=10, width=1), "LINEAR")
    np.testing.assert_array_equal(stepped, [0, 0, 1, 1])


def test_modality_and_voi_tables_equal_pydicoms() -> None:
    pixels = np.random.default_rng(1).integers(0, 4096, (20, 30)).astype(np.uint16)
    modality = np.random.default_rng(2).permutation(4000).astype(np.uint16)
    voi = (np.arange(3000) ** 1.3).astype(np.uint16)
    dataset = Dataset()
    for keyword, first, data in (
        ("ModalityLUTSequence", 50, modality),
        ("VOILUTSequence", 200, voi),
    ):
        item = Dataset()
        item.add_new(0x00283002, "US", [data.size, first, 16])
        item.add_new(0x00283006, "US", data.tolist())
        setattr(dataset, keyword, [item])
    expected = apply_voi_lut(apply_modality_lut(pixels, dataset), dataset)
    image = _image(
        pixels,
        modality_lut=Lut(first_mapped=50, entries=modality.astype(float)),
        voi_luts=(Lut(first_mapped=200, entries=voi.astype(float)),),
    )
    result = to_model_range(image, FULL)
    np.testing.assert_allclose(result.pixels, _scaled(expected), atol=1e-6)
    assert result.facts.notes == ("voi: VOI LUT 1 of 1",)


@pytest.mark.parametrize("ranks", [(0.5, 99.5), (1.0, 100.0), (0.0, 73.0)])
def test_percentiles_of_a_histogram_equal_numpys(ranks: tuple[float, float]) -> None:
    values, counts = np.unique(STORED, return_counts=True)
    shuffled = np.random.default_rng(0).permutation(values.size)
    ours = percentiles(values[shuffled].astype(float), counts[shuffled], ranks)
    assert ours == pytest.approx(np.percentile(STORED, ranks), abs=1e-9)


@pytest.mark.parametrize("ranks", [(0.5, 99.5), (2.0, 100.0)])
def test_the_stretch_is_linear_between_the_percentiles(ranks: tuple[float, float]) -> None:
    low, high = np.percentile(STORED, ranks)
    expected = np.clip((STORED - low) / (high - low), 0, 1)
    result = to_model_range(_image(), InputSpec(size=(8, 8), percentiles=ranks)).pixels
    np.testing.assert_allclose(result, expected, atol=1e-6)
    assert result.dtype == np.float32


@pytest.mark.parametrize("ranks", [(0.5, 99.5), (2.0, 100.0)])
@pytest.mark.parametrize(
    "twin",
    [
        _image(4095 - STORED, is_inverted=True),
        _image(STORED * np.int16(8)),
        _image(STORED / 7.0 + 100.0),
        _image(STORED.astype(np.float32), has_integer_pixels=False),
        _image(STORED, rescale_slope=0.1, rescale_intercept=-900.0),
        _image(-STORED, rescale_slope=-2.0),
        _image(4095 - STORED, rescale_slope=3.0, is_inverted=True),
        _image(STORED, rescale_slope=-1.0, is_inverted=True),
    ],
    ids=["MONOCHROME1", "deeper", "float", "same", "slope", "negative", "both", "twice negative"],
)
def test_the_same_picture_gives_the_same_numbers(twin: Image, ranks: tuple[float, float]) -> None:
    spec = InputSpec(size=(8, 8), percentiles=ranks)
    expected = to_model_range(_image(), spec).pixels
    np.testing.assert_allclose(to_model_range(twin, spec).pixels, expected, rtol=0, atol=1e-6)


def test_padding_is_black_and_outside_the_statistics() -> None:
    pixels = STORED.copy()
    pixels[:4] = 30000
    padding = pixels == 30000
    for image in (
        _image(pixels, padding=padding),
        _image(pixels, padding=padding, has_integer_pixels=False),
    ):
        result = to_model_range(image, FULL).pixels
        np.testing.assert_array_equal(result[:4], 0)
        np.testing.assert_allclose(result[4:], _scaled(STORED[4:]), atol=1e-6)


def test_inverted_padding_is_black_too() -> None:
    padding = STORED > 2000
    result = to_model_range(_image(padding=padding, is_inverted=True), FULL).pixels
    np.testing.assert_array_equal(result[padding], 0)
    assert result.max() == 1


@pytest.mark.parametrize(
    ("windows", "function", "note"),
    [
        ([(700, 0), (700, 1500)], "LINEAR", "window 2 of 2, LINEAR"),
        ([(700, 0.5), (700, 1500)], "LINEAR_EXACT", "window 1 of 2, LINEAR_EXACT"),
        ([(700, -5)], "LINEAR", "full range, no usable window"),
        ([(float("nan"), 100)], "LINEAR", "full range, no usable window"),
        ([(90000, 10)], "LINEAR", "full range, no usable window"),
        ([], "LINEAR", "full range"),
    ],
)
def test_the_voi_rule_is_recorded(
    windows: list[tuple[float, float]], function: VoiFunction, note: str
) -> None:
    found = tuple(Window(center=c, width=w) for c, w in windows)
    result = to_model_range(_image(windows=found, voi_function=function), FULL)
    assert result.facts.notes == (f"voi: {note}",)
    if note.startswith("full"):
        np.testing.assert_allclose(result.pixels, _scaled(STORED), atol=1e-6)


def test_the_rule_ignore_leaves_windows_and_tables_alone() -> None:
    image = _image(
        windows=(Window(center=700, width=100),),
        voi_luts=(Lut(first_mapped=0, entries=np.arange(9.0)),),
    )
    result = to_model_range(image, InputSpec(size=(8, 8), percentiles=(0, 100), voi="ignore"))
    np.testing.assert_allclose(result.pixels, _scaled(STORED), atol=1e-6)
    assert result.facts.notes == ("voi: full range",)


@pytest.mark.parametrize("is_integer", [True, False])
def test_a_picture_without_contrast_is_refused(is_integer: bool) -> None:
    flat = _image(np.full((5, 7), 9, np.int16), has_integer_pixels=is_integer)
    with pytest.raises(ImageError, match="expected a picture with contrast") as caught:
        to_model_range(flat, FULL)
    assert caught.value.reason == "CONSTANT_IMAGE"


@pytest.mark.parametrize("is_integer", [True, False])
def test_a_picture_of_padding_is_refused(is_integer: bool) -> None:
    empty = _image(padding=np.ones(STORED.shape, bool), has_integer_pixels=is_integer)
    with pytest.raises(ImageError, match="every pixel is padding") as caught:
        to_model_range(empty, FULL)
    assert caught.value.reason == "CONSTANT_IMAGE"


def test_whole_numbers_of_a_wide_range_need_no_giant_table() -> None:
    wide = STORED.astype(np.int64) * 4096
    result = to_model_range(_image(wide), FULL).pixels
    np.testing.assert_allclose(result, _scaled(STORED), atol=1e-6)


def test_the_stored_values_are_left_alone() -> None:
    image = _image()
    before = image.pixels.copy()
    to_model_range(image, FULL)
    np.testing.assert_array_equal(image.pixels, before)


@pytest.mark.parametrize("is_inverted", [False, True])
def test_a_fixed_range_takes_no_notice_of_what_the_picture_holds(is_inverted: bool) -> None:
    pixels = np.array([[10, 20], [128, 240]], np.uint8)
    spec = InputSpec(size=(2, 2), value_range=(0.0, 255.0))
    found = to_model_range(_image(pixels, is_inverted=is_inverted), spec)
    expected = pixels / 255
    np.testing.assert_allclose(found.pixels, 1 - expected if is_inverted else expected, atol=1e-7)
    assert found.facts.notes[-1] == "voi: fixed range 0 to 255"
