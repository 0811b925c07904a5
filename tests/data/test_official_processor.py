"""RadDINO's pixels: our own path and the official processor, against transformers' own result."""

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import torch
import transformers
from numpy.typing import NDArray
from transformers import AutoImageProcessor, BitImageProcessor

from csi_predictor.architectures import find_architecture
from csi_predictor.data import official_processor
from csi_predictor.data.geometry import fit
from csi_predictor.data.image import Image, SourceFacts
from csi_predictor.data.official_processor import check_official_processor, run_official_processor
from csi_predictor.data.prepare import prepare, prepare_picture, to_tensor
from csi_predictor.errors import ConfigError, ImageError
from csi_predictor.specs import InputSpec

VALUES = {
    "crop_size": {"height": 518, "width": 518},
    "do_center_crop": True,
    "do_convert_rgb": True,
    "do_normalize": True,
    "do_rescale": True,
    "do_resize": True,
    "image_mean": [0.5307, 0.5307, 0.5307],
    "image_processor_type": "BitImageProcessor",
    "image_std": [0.2583, 0.2583, 0.2583],
    "resample": 3,
    "rescale_factor": 0.00392156862745098,
    "size": {"shortest_edge": 518},
}
OURS = find_architecture("raddino").input_spec or InputSpec(size=(0, 0))
OFFICIAL = replace(OURS, processor=json.dumps(VALUES))
BOTH = pytest.mark.parametrize("spec", [OURS, OFFICIAL], ids=["ours", "official"])
SIZES = pytest.mark.parametrize(
    "size",
    [
        (613, 517),
        (517, 613),
        (301, 900),
        (1024, 777),
        (519, 518),
        (518, 519),
        (518, 518),
        (100, 37),
        (1, 3),
        (2047, 1531),
    ],
    ids=str,
)


@pytest.fixture(scope="module")
def official(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What `AutoImageProcessor` makes of the official file."""
    folder = tmp_path_factory.mktemp("rad-dino")
    (folder / "preprocessor_config.json").write_text(json.dumps(VALUES))
    return AutoImageProcessor.from_pretrained(folder, local_files_only=True)


def _chest(size: tuple[int, int], *, seed: int = 0) -> NDArray[np.uint8]:
    """Smooth parts, noise and hard edges, whose overshoot is cut off."""
    rng = np.random.default_rng(seed)
    rows, columns = np.indices(size)
    smooth = 100 + 60 * np.sin(rows / 37 + seed) + 50 * np.cos(columns / 23)
    noisy = smooth + rng.normal(0, 12, size)
    noisy[size[0] // 3 : size[0] // 2, size[1] // 4 : size[1] // 2] = 255
    noisy[size[0] // 2 :, : size[1] // 5] = 0
    return np.clip(noisy, 0, 255).astype(np.uint8)


@BOTH
@SIZES
def test_grey_pictures_and_arrays_give_the_official_values(
    official: Any, spec: InputSpec, size: tuple[int, int]
) -> None:
    pixels = _chest(size)
    picture = PIL.Image.fromarray(pixels)
    expected = official(picture, return_tensors="pt")["pixel_values"][0]
    for given in (pixels, picture, pixels / 255):
        result = prepare_picture(given, spec).expand(3, -1, -1)
        torch.testing.assert_close(result, expected, rtol=0, atol=1e-5)


@BOTH
@SIZES
def test_colour_pictures_and_arrays_give_the_official_values(
    official: Any, spec: InputSpec, size: tuple[int, int]
) -> None:
    pixels = np.stack([_chest(size, seed=seed) for seed in range(3)], axis=2)
    picture = PIL.Image.fromarray(pixels)
    expected = official(picture, return_tensors="pt")["pixel_values"][0]
    for given in (pixels, picture):
        torch.testing.assert_close(prepare_picture(given, spec), expected, rtol=0, atol=1e-5)
    if size[0] > 4:  # transformers takes a smaller array's rows for channels
        array = official(pixels, return_tensors="pt")["pixel_values"][0]
        torch.testing.assert_close(array, expected, rtol=0, atol=0)


def test_eight_bits_are_what_makes_the_values_equal(official: Any) -> None:
    pixels = _chest((1024, 777))
    expected = official(PIL.Image.fromarray(pixels), return_tensors="pt")["pixel_values"][0]
    smooth = prepare_picture(pixels, replace(OURS, is_eight_bit=False))
    assert (smooth - expected).abs().max() > 0.4 / 255 / 0.2583


@BOTH
def test_a_file_goes_the_same_way(official: Any, spec: InputSpec, tmp_path: Path) -> None:
    pixels = _chest((613, 517))
    PIL.Image.fromarray(pixels).save(tmp_path / "a.png")
    expected = official(PIL.Image.fromarray(pixels), return_tensors="pt")["pixel_values"][0]
    assert (pixels.min(), pixels.max()) == (0, 255)
    full = replace(spec, percentiles=(0.0, 100.0))
    prepared = prepare(tmp_path / "a.png", full)
    torch.testing.assert_close(to_tensor(prepared.pixels, full), expected, rtol=0, atol=1e-5)
    assert prepared.pixels.dtype == np.float32
    assert prepared.pixels.flags.c_contiguous
    assert prepared.facts.format == "png"


@BOTH
def test_deep_dicom_pixels_meet_the_official_processor_as_bytes(
    official: Any, spec: InputSpec, write_dicom: Callable[..., Path], chest: NDArray[np.uint16]
) -> None:
    full = replace(spec, percentiles=(0.0, 100.0))
    pixels = prepare(write_dicom(chest), full).pixels
    as_bytes = PIL.Image.fromarray(np.rint(chest / np.float32(4095) * 255).astype(np.uint8))
    expected = official(as_bytes, return_tensors="pt")["pixel_values"][0]
    torch.testing.assert_close(to_tensor(pixels, full), expected, rtol=0, atol=1e-5)


@BOTH
def test_one_channel_is_one_of_the_three(official: Any, spec: InputSpec) -> None:
    pixels = _chest((613, 517))
    expected = official(PIL.Image.fromarray(pixels), return_tensors="pt")["pixel_values"][0, :1]
    grey = replace(spec, channels=1, mean=(0.5307,), std=(0.2583,))
    torch.testing.assert_close(prepare_picture(pixels, grey), expected, rtol=0, atol=1e-5)


def test_the_class_is_the_one_that_transformers_chooses_itself(official: Any) -> None:
    assert type(official) is BitImageProcessor
    assert official.backend == "torchvision"


def _image(pixels: NDArray[Any]) -> Image:
    facts = SourceFacts(path=Path("a"), format="png", sha256="", decoder="", rows=1, columns=1)
    return Image(pixels=pixels.astype(np.float32), facts=facts)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "lanczos"])
@pytest.mark.parametrize("size", [(40, 30), (150, 170), (97, 83)])
def test_eight_bit_resizing_is_pillows_to_one_level(interpolation: Any, size: Any) -> None:
    pixels = _chest((97, 83))
    kernel = PIL.Image.Resampling[interpolation.upper()]
    expected = np.asarray(PIL.Image.fromarray(pixels).resize((size[1], size[0]), kernel))
    spec = InputSpec(size=size, interpolation=interpolation, is_eight_bit=True)
    levels = fit(_image(pixels / 255), spec).pixels * 255
    np.testing.assert_allclose(levels, np.rint(levels), atol=1e-4)
    assert np.abs(levels - expected).max() <= 1.001
    assert np.abs(levels - expected).mean() < 0.02


def test_a_half_becomes_the_even_level() -> None:
    halves = np.array([[0.5, 1.5], [2.5, 254.5]]) / 255
    spec = InputSpec(size=(2, 2), is_eight_bit=True)
    expected = np.rint(halves.astype(np.float32) * 255)
    np.testing.assert_allclose(fit(_image(halves), spec).pixels * 255, expected, atol=1e-4)


@pytest.mark.parametrize(
    ("picture", "expected"),
    [
        (np.zeros((5, 6, 2), np.uint8), r"shape \(5, 6, 2\) for 3 channels: .* or \(H, W, 3\)"),
        (np.zeros((4, 5, 6, 3), np.uint8), r"expected \(H, W\) or \(H, W, 3\)"),
        (np.zeros((5, 6), np.uint16), "uint16 pixels: expected uint8, or float from 0 to 1"),
        (np.full((5, 6), 1.5), "float64 pixels: expected uint8, or float from 0 to 1"),
        (np.full((5, 6), np.nan), "float from 0 to 1"),
        (PIL.Image.new("RGBA", (5, 6)), r"shape \(6, 5, 4\)"),
    ],
)
def test_a_picture_in_memory_of_another_kind_is_refused(picture: Any, expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        prepare_picture(picture, OURS)


def test_colours_are_refused_by_a_network_of_one_channel() -> None:
    grey = replace(OURS, channels=1, mean=(0.5,), std=(0.5,))
    with pytest.raises(ValueError, match=r"for 1 channels: expected \(H, W\)$"):
        prepare_picture(np.zeros((5, 6, 3), np.uint8), grey)


def test_a_volume_is_refused() -> None:
    with pytest.raises(ImageError, match="3-D pixels for the official processor") as caught:
        run_official_processor(_image(np.zeros((3, 4, 5))), OFFICIAL)
    assert caught.value.reason == "MULTI_FRAME"


@pytest.fixture
def rebuilt() -> Any:
    """Each test builds its own processor, and leaves none behind."""
    official_processor._build_processor.cache_clear()
    yield
    official_processor._build_processor.cache_clear()


@pytest.mark.usefixtures("rebuilt")
def test_the_check_passes_on_the_installed_transformers() -> None:
    check_official_processor(OFFICIAL)
    check_official_processor(OURS)


@pytest.mark.usefixtures("rebuilt")
def test_a_value_that_transformers_doesnt_take_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = BitImageProcessor.from_dict
    changed = staticmethod(lambda values: whole({**values, "resample": 2}))
    monkeypatch.setattr(BitImageProcessor, "from_dict", changed)
    with pytest.raises(
        ConfigError,
        match=rf"transformers {transformers.__version__} changes resample = 2 \(expected 3\): inst",
    ):
        check_official_processor(OFFICIAL)


@pytest.mark.usefixtures("rebuilt")
def test_the_pillow_form_of_the_class_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    pil_form = transformers.BitImageProcessorPil.from_dict
    monkeypatch.setattr(BitImageProcessor, "from_dict", pil_form)
    with pytest.raises(ConfigError, match=r"changes backend = pil \(expected torchvision\)"):
        check_official_processor(OFFICIAL)


@pytest.mark.usefixtures("rebuilt")
def test_a_transformers_without_the_class_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(values: Any) -> None:
        raise TypeError("unexpected keyword argument 'crop_size'")

    monkeypatch.setattr(BitImageProcessor, "from_dict", refuse)
    with pytest.raises(ConfigError, match=r"can't be built \(TypeError: unexpected keyword.*const"):
        prepare_picture(_chest((20, 30)), OFFICIAL)


@pytest.mark.usefixtures("rebuilt")
def test_a_refused_picture_is_a_config_error_without_its_pixels(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise ValueError("[[1 2 3]]")

    monkeypatch.setattr(BitImageProcessor, "__call__", refuse)
    with pytest.raises(ConfigError, match=r"refused a picture of 20 x 30 \(ValueError\): install"):
        prepare_picture(_chest((20, 30)), OFFICIAL)


@pytest.mark.usefixtures("rebuilt")
def test_a_result_of_another_size_than_the_specs_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"gave \(3, 518, 518\): expected \(3, 224, 224\)"):
        check_official_processor(replace(OFFICIAL, size=(224, 224)))


@pytest.mark.usefixtures("rebuilt")
def test_a_class_that_isnt_known_is_never_looked_up() -> None:
    other = json.dumps({**VALUES, "image_processor_type": "ViTImageProcessor"})
    with pytest.raises(ConfigError, match="= ViTImageProcessor: expected BitImageProcessor"):
        check_official_processor(replace(OFFICIAL, processor=other))


def test_preparing_for_other_networks_doesnt_import_transformers() -> None:
    import subprocess

    code = "import sys, csi_predictor.data.prepare; sys.exit('transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
