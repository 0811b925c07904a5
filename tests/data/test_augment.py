import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from csi_predictor.data.augment import PROFILES, Augmentation, augment
from csi_predictor.specs import ZONES

TARGETS = np.array([3, 0, 2, np.nan, 1, 2], dtype=np.float32)
STRONG = Augmentation(
    mirror_p=0.5,
    rotation_deg=20,
    translate=0.2,
    scale=0.3,
    brightness=0.5,
    contrast=0.5,
    gamma=1,
    noise=0.2,
    erase_p=0.5,
)


def make_image(height: int = 61, width: int = 47) -> NDArray[np.float32]:
    image = np.random.default_rng(0).random((height, width), dtype=np.float32)
    return np.asarray(ndimage.gaussian_filter(image, 2), dtype=np.float32)


def test_a_flip_moves_the_patients_right_zone_and_its_grade__weakness_14() -> None:
    pixels = np.zeros((60, 40), dtype=np.float32)
    pixels[5:15, 4:14] = 1  # patient's right upper zone: left of a frontal image
    targets = np.array([3, 0, 1, np.nan, 2, 0], dtype=np.float32)
    rng = np.random.default_rng(0)
    flipped, swapped = augment(pixels, targets, Augmentation(mirror_p=1), rng)
    assert flipped[5:15, 26:36].min() == 1
    assert flipped[:, :20].max() == 0
    grades = dict(zip(ZONES, swapped.tolist(), strict=True))
    assert grades["left_sup"] == 3
    assert grades["right_sup"] == 0
    assert np.isnan(grades["right_mid"])
    assert (grades["left_mid"], grades["right_inf"], grades["left_inf"]) == (1, 0, 2)


def test_grades_stay_without_a_flip() -> None:
    strengths = Augmentation(rotation_deg=30, translate=0.1, noise=0.1, erase_p=1)
    _, targets = augment(make_image(), TARGETS, strengths, np.random.default_rng(1))
    np.testing.assert_array_equal(targets, TARGETS)


def test_profile_none_changes_nothing() -> None:
    pixels, targets = augment(make_image(), TARGETS, PROFILES["none"], np.random.default_rng(1))
    np.testing.assert_array_equal(pixels, make_image())
    np.testing.assert_array_equal(targets, TARGETS)


@pytest.mark.parametrize("seed", range(20))
def test_result_is_in_range_and_arguments_stay(seed: int) -> None:
    pixels, targets = make_image(), TARGETS.copy()
    pixels.flags.writeable = targets.flags.writeable = False
    changed, moved = augment(pixels, targets, STRONG, np.random.default_rng(seed))
    assert changed.shape == (61, 47)
    assert changed.dtype == moved.dtype == np.float32
    assert changed.min() >= 0
    assert changed.max() <= 1
    assert changed.flags.writeable
    assert not np.shares_memory(changed, pixels)
    assert sorted(moved[~np.isnan(moved)]) == [0, 1, 2, 2, 3]
    np.testing.assert_array_equal(pixels, make_image())


def test_equal_generators_give_equal_bits_and_others_dont() -> None:
    pictures = [
        augment(make_image(), TARGETS, STRONG, np.random.default_rng(seed))[0] for seed in (5, 5, 6)
    ]
    np.testing.assert_array_equal(pictures[0], pictures[1])
    assert not np.array_equal(pictures[0], pictures[2])


def test_a_strength_leaves_the_other_draws_alone() -> None:
    turned = Augmentation(rotation_deg=10, translate=0.1, scale=0.1)
    darker = Augmentation(rotation_deg=10, translate=0.1, scale=0.1, gamma=0.5)
    alone = augment(make_image(), TARGETS, turned, np.random.default_rng(3))[0]
    both = augment(make_image(), TARGETS, darker, np.random.default_rng(3))[0]
    exponent = np.log(both[30, 20]) / np.log(alone[30, 20])
    assert 1 / 1.5 <= exponent <= 1.5
    np.testing.assert_allclose(both, alone**exponent, atol=1e-4)


class Drawn(np.random.Generator):
    """A generator whose uniform placement draws are given."""

    def __init__(self, *placement: float) -> None:
        super().__init__(np.random.PCG64(0))
        self._placement = placement

    def uniform(self, low: float, high: float, size: int) -> NDArray[np.float64]:  # type: ignore[override]
        return np.array(self._placement) if size == 4 else np.zeros(size)


def test_placement_equals_scipys_affine_transform() -> None:
    strengths = Augmentation(rotation_deg=10, translate=0.1, scale=0.2)
    pixels = make_image()
    placed, _ = augment(pixels, TARGETS, strengths, Drawn(0.7, 0.5, 0.4, -0.3))
    # rows first: output - shift - centre, turned back and divided by the size, + centre
    angle, size = np.deg2rad(7.0), 1.1
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) / size
    centre = (np.array(pixels.shape) - 1) / 2
    shift = np.array([-0.03 * 61, 0.04 * 47])
    expected = ndimage.affine_transform(pixels, turn, centre - turn @ (centre + shift), order=1)
    np.testing.assert_allclose(placed[8:-8, 8:-8], expected[8:-8, 8:-8], atol=1e-4)


def test_outside_of_a_shifted_image_is_black() -> None:
    pixels = np.ones((40, 40), dtype=np.float32)
    shifted, _ = augment(pixels, TARGETS, Augmentation(translate=0.25), Drawn(0, 0, 1, 0))
    assert shifted[:, :10].max() == 0
    assert shifted[:, 10:].min() == 1


def test_erasing_blanks_one_rectangle_of_two_to_ten_percent() -> None:
    pixels = np.ones((100, 120), dtype=np.float32)
    for seed in range(30):
        erased, _ = augment(pixels, TARGETS, Augmentation(erase_p=1), np.random.default_rng(seed))
        rows, columns = np.nonzero(erased == 0)
        height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
        assert height * width == rows.size
        assert 0.018 <= rows.size / pixels.size <= 0.102
        assert 0.45 <= height / width <= 2.2
