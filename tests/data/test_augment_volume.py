import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from csi_predictor.data.augment import Augmentation
from csi_predictor.data.augment_volume import augment_volume

Floats = NDArray[np.float32]

PLACEMENT = Augmentation(rotation_deg=25, translate=0.1, scale=0.15)
STRONG = Augmentation(
    mirror_p=0.5,
    rotation_deg=25,
    translate=0.1,
    scale=0.15,
    brightness=0.3,
    contrast=0.4,
    gamma=0.8,
    noise=0.1,
    erase_p=0.5,
)


def body() -> Floats:
    """(24, 30, 36): bright head end, a heart left of the middle in front, spine behind."""
    volume = np.zeros((24, 30, 36), np.float32)
    volume[:, 6:26, 6:30] = 0.2
    volume[18:22, 8:24, 8:28] = 0.5
    volume[4:10, 8:13, 20:28] = 1.0
    return np.asarray(ndimage.gaussian_filter(volume, 0.7), np.float32)


def augmented(volume: Floats, augmentation: Augmentation, seed: int) -> Floats:
    return augment_volume(volume, augmentation, np.random.default_rng(seed))


@pytest.mark.parametrize("seed", range(20))
def test_no_patient_is_put_upside_down__weakness_004_03(seed: int) -> None:
    changed = augmented(body(), Augmentation(mirror_p=0.5, flip_p=1.0, **vars_of(PLACEMENT)), seed)
    heart = np.argwhere(changed > 0.8).mean(axis=0)
    top = np.argwhere((changed > 0.4) & (changed < 0.55))[:, 0]
    assert np.median(top) > heart[0] + 5  # the head end stays above the heart
    assert heart[1] < 15  # and the heart in front of the middle


def vars_of(augmentation: Augmentation) -> dict[str, float]:
    return {name: getattr(augmentation, name) for name in ("rotation_deg", "translate", "scale")}


def test_a_mirrored_volume_has_left_and_right_changed_and_nothing_else() -> None:
    np.testing.assert_array_equal(
        augmented(body(), Augmentation(mirror_p=1), 0), body()[:, :, ::-1]
    )


@pytest.mark.parametrize("seed", range(4))
def test_the_placement_is_what_scipy_makes_of_the_same_numbers(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rng.random()
    turn, size, *shift = rng.uniform(-1, 1, size=5)
    angle, size = np.deg2rad(25 * turn), 1 + 0.15 * size
    cos, sin = np.cos(angle) / size, np.sin(angle) / size
    # output (z, y, x) -> input (z, y, x), in voxels about the middle
    matrix = np.array([[1 / size, 0, 0], [0, cos, -sin], [0, sin, cos]])
    volume = body()
    middle = (np.array(volume.shape) - 1) / 2
    moved = middle + 0.1 * np.array(shift) * volume.shape
    expected = ndimage.affine_transform(
        volume, matrix, middle - matrix @ moved, order=1, mode="grid-constant"
    )
    changed = augmented(volume, PLACEMENT, seed)
    assert np.abs(changed - volume).max() > 0.2
    np.testing.assert_allclose(changed, expected, atol=1e-4)


def test_equal_generators_give_equal_bits_and_others_dont() -> None:
    first, again, other = (augmented(body(), STRONG, seed) for seed in (5, 5, 6))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("seed", range(10))
def test_result_is_in_range_and_arguments_stay(seed: int) -> None:
    volume = body()
    volume.flags.writeable = False
    changed = augmented(volume, STRONG, seed)
    assert (changed.shape, changed.dtype) == (volume.shape, np.float32)
    assert changed.min() >= 0
    assert changed.max() <= 1
    assert changed.flags.writeable
    np.testing.assert_array_equal(volume, body())


def test_nothing_is_changed_without_strengths() -> None:
    volume = body()
    changed = augmented(volume, Augmentation(), 1)
    np.testing.assert_array_equal(changed, volume)
    assert not np.shares_memory(changed, volume)


def test_a_strength_leaves_the_other_draws_alone() -> None:
    darker = augmented(body(), Augmentation(rotation_deg=25, brightness=0.1), 3)
    plain = augmented(body(), Augmentation(rotation_deg=25), 3)
    inside = (plain > 0.15) & (plain < 0.85) & (darker > 0)
    difference = (darker - plain)[inside]
    np.testing.assert_allclose(difference, difference.mean(), atol=1e-6)
    assert abs(difference.mean()) > 0.001


@pytest.mark.parametrize("seed", range(6))
def test_an_erased_box_has_two_to_ten_percent_of_the_volume(seed: int) -> None:
    ones = np.ones((40, 50, 60), np.float32)
    erased = augmented(ones, Augmentation(erase_p=1), seed) == 0
    assert 0.017 < erased.mean() < 0.11
    corners = np.argwhere(erased)
    edges = corners.max(axis=0) - corners.min(axis=0) + 1
    assert erased.sum() == edges.prod()
    np.testing.assert_allclose(edges / ones.shape, (edges / ones.shape).mean(), atol=0.03)


def test_noise_has_the_drawn_strength() -> None:
    half = np.full((20, 30, 30), 0.5, np.float32)
    for seed in range(3):
        rng = np.random.default_rng(seed)
        rng.random()
        rng.uniform(size=8)
        expected = rng.random() * 0.1
        changed = augmented(half, Augmentation(noise=0.1), seed)
        assert changed.std() == pytest.approx(expected, rel=0.05)


def test_published_policies_of_pictures_are_refused() -> None:
    with pytest.raises(ValueError, match="randaugment is of pictures"):
        augmented(body(), Augmentation(policy="randaugment"), 0)
