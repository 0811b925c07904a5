from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from csi_predictor.data.dataset import ImageDataset
from csi_predictor.data.medmnist import MedMnistSet, read_medmnist
from csi_predictor.data.medmnist_images import MedMnistImages
from csi_predictor.data.prepare import prepare
from csi_predictor.errors import ConfigError, LabelsError
from csi_predictor.specs import InputSpec


def write_set(folder: Path, flag: str, *one: int) -> tuple[MedMnistSet, NDArray[np.uint8]]:
    """A small file of random smooth pictures; the training ones are returned too."""
    rng = np.random.default_rng(1)
    arrays: dict[str, Any] = {}
    for part in ("train", "val", "test"):
        arrays[f"{part}_images"] = rng.integers(0, 256, (2, *one), dtype=np.uint8)
        arrays[f"{part}_labels"] = np.array([[0], [1]], np.uint8)
    np.savez(folder / f"{flag}.npz", **arrays)
    return read_medmnist(folder, flag), arrays["train_images"]


def spec_of(*size: int, channels: int = 1, **options: Any) -> InputSpec:
    return InputSpec(
        size=size,
        channels=channels,
        mean=(0.5,) * channels,
        std=(0.5,) * channels,
        **{"value_range": (0.0, 255.0), **options},
    )


@pytest.mark.parametrize(
    ("flag", "one"), [("breastmnist", (28, 28)), ("nodulemnist3d", (28, 28, 28))]
)
def test_0_to_255_become_0_to_1_at_their_own_size(
    tmp_path: Path, flag: str, one: tuple[int, ...]
) -> None:
    found, stored = write_set(tmp_path, flag, *one)
    # percentiles of patients' files aren't applied: the publisher's loader divides by 255
    pixels = MedMnistImages(found, spec_of(*one, percentiles=(5, 95))).get(found.rows[1])
    assert (pixels.dtype, pixels.shape) == (np.float32, one)
    np.testing.assert_allclose(pixels, stored[1] / 255.0, atol=1e-7)


def test_colours_come_first_and_in_their_order(tmp_path: Path) -> None:
    found, stored = write_set(tmp_path, "bloodmnist", 28, 28, 3)
    pixels = MedMnistImages(found, spec_of(28, 28, channels=3)).get(found.rows[0])
    assert pixels.shape == (3, 28, 28)
    np.testing.assert_allclose(pixels, stored[0].transpose(2, 0, 1) / 255.0, atol=1e-7)


@pytest.mark.parametrize("size", [(64, 40), (14, 20)])
def test_pictures_are_resized_as_pillow_does_it(tmp_path: Path, size: tuple[int, int]) -> None:
    found, stored = write_set(tmp_path, "bloodmnist", 28, 28, 3)
    pixels = MedMnistImages(found, spec_of(*size, channels=3)).get(found.rows[1])
    for plane in range(3):
        picture = Image.fromarray(stored[1, ..., plane].astype(np.float32) / 255)
        expected = picture.resize(size[::-1], Image.Resampling.BILINEAR)
        np.testing.assert_allclose(pixels[plane], np.asarray(expected), atol=1e-6)


def test_grey_pictures_are_resized_too(tmp_path: Path) -> None:
    found, stored = write_set(tmp_path, "breastmnist", 28, 28)
    pixels = MedMnistImages(found, spec_of(56, 56, channels=3)).get(found.rows[0])
    expected = Image.fromarray(stored[0].astype(np.float32) / 255).resize(
        (56, 56), Image.Resampling.BILINEAR
    )
    np.testing.assert_allclose(pixels, np.asarray(expected), atol=1e-6)


def test_volumes_are_enlarged_as_pytorch_does_it(tmp_path: Path) -> None:
    found, stored = write_set(tmp_path, "nodulemnist3d", 28, 28, 28)
    pixels = MedMnistImages(found, spec_of(33, 56, 41)).get(found.rows[0])
    voxels = torch.from_numpy(stored[0].astype(np.float32) / 255)[None, None]
    expected = torch.nn.functional.interpolate(voxels, (33, 56, 41), mode="trilinear")[0, 0]
    np.testing.assert_allclose(pixels, expected.numpy(), atol=1e-5)


def test_volumes_are_made_smaller_with_antialiasing(tmp_path: Path) -> None:
    found, stored = write_set(tmp_path, "nodulemnist3d", 28, 28, 28)
    pixels = MedMnistImages(found, spec_of(14, 14, 14)).get(found.rows[0])
    # by hand: halving is a triangle of four voxels along each axis, 1 3 3 1 of 8
    weights = np.array([1, 3, 3, 1]) / 8
    cube = stored[0][9:13, 11:15, 5:9] / 255.0
    expected = np.einsum("i,j,k,ijk", weights, weights, weights, cube)
    assert pixels[5, 6, 3] == pytest.approx(expected, abs=1e-6)


def test_colour_into_another_number_of_channels_is_refused(tmp_path: Path) -> None:
    found, _ = write_set(tmp_path, "bloodmnist", 28, 28, 3)
    with pytest.raises(
        ConfigError, match=r"bloodmnist: is in colour, and the network takes 1 channels: set .* = 3"
    ):
        MedMnistImages(found, spec_of(28, 28))


def test_pictures_for_a_network_of_volumes_are_refused_and_the_other_way(tmp_path: Path) -> None:
    pictures, _ = write_set(tmp_path, "breastmnist", 28, 28)
    with pytest.raises(ConfigError, match="breastmnist: holds pictures, and the network takes vol"):
        MedMnistImages(pictures, spec_of(28, 28, 28))
    volumes, _ = write_set(tmp_path, "nodulemnist3d", 28, 28, 28)
    with pytest.raises(ConfigError, match="set \\[MODEL\\] MODEL_ARCH to a network of volumes"):
        MedMnistImages(volumes, spec_of(28, 28))


def test_fill_meets_damage_before_the_first_epoch(tmp_path: Path) -> None:
    found, _ = write_set(tmp_path, "breastmnist", 28, 28)
    images = MedMnistImages(found, spec_of(28, 28))
    images.fill(found.rows[:2])
    content = found.path.read_bytes()
    found.path.write_bytes(content[:200])
    images.fill(found.rows[:2])  # in memory since
    with pytest.raises(LabelsError, match=r"breastmnist.npz: can't be read as an .npz file"):
        images.fill(found.rows)


@pytest.mark.parametrize(
    ("flag", "one", "channels"),
    [
        ("breastmnist", (28, 28), 1),
        ("breastmnist", (28, 28), 3),
        ("bloodmnist", (28, 28, 3), 3),
        ("nodulemnist3d", (28, 28, 28), 1),
    ],
)
def test_they_stand_where_the_cache_stands(
    tmp_path: Path, flag: str, one: tuple[int, ...], channels: int
) -> None:
    found, stored = write_set(tmp_path, flag, *one)
    spec = spec_of(*one[: found.facts.dimensions], channels=channels)
    images = MedMnistImages(found, spec)
    images.fill(found.rows, workers=2)
    sample = ImageDataset(found.rows, spec=spec, cache=images)[0]
    assert sample.pixels.shape == (channels, *spec.size)
    np.testing.assert_allclose(
        sample.pixels[0].numpy(),
        (stored[0] if found.facts.channels == 1 else stored[0][..., 0]) / 127.5 - 1,
        atol=1e-6,
    )


def test_a_network_that_learnt_from_stretched_images_is_not_given_a_published_set(
    tmp_path: Path,
) -> None:
    found, _ = write_set(tmp_path, "breastmnist", 28, 28)
    with pytest.raises(ConfigError, match="its values are 0 to 255, and the network learnt from"):
        MedMnistImages(found, spec_of(28, 28, value_range=None))


def test_a_published_picture_saved_as_png_is_prepared_to_the_same_pixels(tmp_path: Path) -> None:
    found, stored = write_set(tmp_path, "breastmnist", 28, 28)
    spec = spec_of(28, 28)
    images = MedMnistImages(found, spec)
    for number, row in enumerate(found.rows[:2]):
        PIL.Image.fromarray(stored[number]).save(tmp_path / "one.png")
        np.testing.assert_allclose(
            prepare(tmp_path / "one.png", spec).pixels, images.get(row), atol=1e-6
        )
