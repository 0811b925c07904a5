from dataclasses import fields, replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from csi_predictor.data.augment import PROFILES, Augmentation, Profile, augment
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


def make_colour() -> NDArray[np.float32]:
    return np.stack([make_image(), make_image() ** 2, 1 - make_image()])


LABELS = np.array([1, 0, np.nan, 0], dtype=np.float32)


def augment_labels(
    pixels: NDArray[np.float32], strengths: Augmentation, seed: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    return augment(pixels, LABELS, strengths, np.random.default_rng(seed), mirrored_order=None)


def test_the_later_strengths_draw_beside_the_first_stream() -> None:
    # one draw of mirroring, 4 of placement, 3 of tone, 1 of noise, 1 of erasing, 4 of its rectangle
    rng, reference = np.random.default_rng(3), np.random.default_rng(3)
    strengths = Augmentation(flip_p=0.5, policy="randaugment")
    augment(make_image(), LABELS, strengths, rng, mirrored_order=None)
    reference.random(14)
    assert rng.random() == reference.random()


def test_an_up_down_flip_leaves_the_other_changes_alone() -> None:
    toned = Augmentation(gamma=0.5, contrast=0.5, noise=0.01)
    plain = augment_labels(make_image(), toned, 5)[0]
    flipped = augment_labels(make_image()[::-1], replace(toned, flip_p=1), 5)[0]
    np.testing.assert_allclose(flipped, plain, atol=1e-6)


def test_flips_turn_rows_and_columns_and_leave_labels() -> None:
    both, labels = augment_labels(make_colour(), Augmentation(mirror_p=1, flip_p=1), 0)
    np.testing.assert_array_equal(both, make_colour()[:, ::-1, ::-1])
    np.testing.assert_array_equal(labels, LABELS)
    assert not np.shares_memory(labels, LABELS)


def test_colour_is_moved_and_erased_as_its_planes_are() -> None:
    strengths = replace(STRONG, noise=0.0, brightness=0.0, contrast=0.0)
    for seed in range(8):
        changed = augment_labels(make_colour(), strengths, seed)[0]
        planes = [augment_labels(plane, strengths, seed)[0] for plane in make_colour()]
        np.testing.assert_array_equal(changed, np.stack(planes))


@pytest.mark.parametrize("seed", range(6))
def test_strong_colour_stays_in_range(seed: int) -> None:
    pixels = make_colour()
    pixels.flags.writeable = False
    changed, _ = augment_labels(pixels, replace(STRONG, flip_p=0.5, policy="autoaugment"), seed)
    assert changed.shape == pixels.shape
    assert changed.dtype == np.float32
    assert changed.min() >= 0
    assert changed.max() <= 1
    assert not np.shares_memory(changed, pixels)


def test_profile_skin_keeps_colour_and_turns_the_picture_any_way() -> None:
    colour = np.array([0.7, 0.45, 0.3], dtype=np.float32)
    pixels = np.empty((3, 40, 40), dtype=np.float32)
    pixels[:] = colour[:, None, None]
    for seed in range(20):
        changed = augment_labels(pixels, PROFILES["skin"], seed)[0]
        middle = changed[:, 12:28, 12:28].mean(axis=(1, 2))
        np.testing.assert_allclose(middle, colour, atol=0.004)  # noise, of 256 pixels the mean
    spot = np.zeros((41, 41), dtype=np.float32)
    spot[8:12, 18:23] = 1
    places = [
        np.array(np.nonzero(augment_labels(spot, PROFILES["skin"], seed)[0] > 0.5)).mean(axis=1)
        for seed in range(40)
    ]
    quarters = {(row > 20, column > 20) for row, column in places}
    assert len(quarters) == 4


@pytest.mark.parametrize("name", ["conservative", "standard"])
def test_a_chest_is_never_turned_upside_down_weakness_001_11(name: Profile) -> None:
    apex = np.full((60, 40), 0.3, dtype=np.float32)
    apex[6:14, 14:26] = 0.9
    for seed in range(40):
        changed, _ = augment(apex, TARGETS, PROFILES[name], np.random.default_rng(seed))
        bright = np.nonzero(changed > changed.mean() + 2 * changed.std())[0]
        assert bright.mean() < 25


def test_only_the_profile_of_skin_flips_up_down_and_conservative_has_no_flip_weakness_001_11() -> (
    None
):
    assert [name for name, profile in PROFILES.items() if profile.flip_p > 0] == ["skin"]
    assert PROFILES["conservative"].mirror_p == 0
    assert next(field for field in fields(Augmentation) if field.name == "flip_p").default == 0


def test_a_mirrored_chest_takes_its_grades_along_weakness_001_11() -> None:
    right = np.full((60, 40), 0.2, dtype=np.float32)
    right[:, :20] = 0.6  # the patient's right lies on the left
    grades = np.array([3, 0, 3, 0, 3, 0], dtype=np.float32)
    is_mirrored = []
    for seed in range(30):
        pixels, moved = augment(right, grades, PROFILES["standard"], np.random.default_rng(seed))
        bright_is_right = pixels[20:40, 8:16].mean() > pixels[20:40, 24:32].mean()
        assert moved.tolist() == ([3, 0] * 3 if bright_is_right else [0, 3] * 3)
        is_mirrored.append(not bright_is_right)
    assert 5 < sum(is_mirrored) < 25


def test_zones_arent_flipped_up_down() -> None:
    with pytest.raises(ValueError, match=r"flip_p = 0.5 for targets that know right and left"):
        augment(make_image(), TARGETS, PROFILES["skin"], np.random.default_rng(0))


def test_labels_with_the_zones_order_are_refused_and_not_cut() -> None:
    with pytest.raises(ValueError, match="4 targets for a mirrored order of 6: expected as many"):
        augment(make_image(), LABELS, PROFILES["none"], np.random.default_rng(0))


def test_a_volume_is_no_picture() -> None:
    with pytest.raises(ValueError, match=r"shape \(8, 9, 9\): expected \(H, W\) or \(3, H, W\)"):
        augment_labels(np.zeros((8, 9, 9), dtype=np.float32), PROFILES["none"], 0)
