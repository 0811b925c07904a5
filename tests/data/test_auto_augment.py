"""The published policies: against torchvision's, and the same in any order and process."""

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torchvision.transforms import v2

from csi_predictor.data.augment import PROFILES, Augmentation, augment
from csi_predictor.data.auto_augment import Policy, apply_policy

POLICIES: tuple[Policy, ...] = ("randaugment", "autoaugment")
TARGETS = np.array([1, 0], dtype=np.float32)


def grey(height: int = 37, width: int = 29) -> NDArray[np.float32]:
    rows, columns = np.indices((height, width), dtype=np.float32)
    return np.asarray((rows / height + (columns / width) ** 2) / 2, dtype=np.float32)


def colour() -> NDArray[np.float32]:
    return np.stack([grey(), 1 - grey(), grey() ** 2])


def run(pixels: NDArray[np.float32], policy: Policy, seed: int) -> NDArray[np.float32]:
    return apply_policy(pixels, policy, num_ops=2, magnitude=9, seed=seed)


def run_by_key(key: tuple[Policy, int]) -> bytes:
    return run(grey(), *key).tobytes()


@pytest.fixture
def global_state() -> Iterator[torch.Tensor]:
    state = torch.get_rng_state()
    yield state
    torch.set_rng_state(state)


@pytest.mark.parametrize("seed", range(12))
def test_policies_are_torchvisions_on_the_bytes_of_the_picture(
    seed: int, global_state: torch.Tensor
) -> None:
    levels = torch.from_numpy(np.rint(colour() * 255).astype(np.uint8))
    bilinear = v2.InterpolationMode.BILINEAR
    theirs: dict[Policy, Any] = {
        "randaugment": v2.RandAugment(num_ops=2, magnitude=9, interpolation=bilinear),
        "autoaugment": v2.AutoAugment(interpolation=bilinear),
    }
    for policy, transform in theirs.items():
        torch.manual_seed(seed)
        expected = transform(levels).numpy() / 255
        np.testing.assert_allclose(run(colour(), policy, seed), expected, atol=1e-6)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("picture", [grey(), colour()], ids=["grey", "colour"])
def test_every_operation_keeps_shape_range_and_argument(
    policy: Policy, picture: NDArray[np.float32]
) -> None:
    before = picture.copy()
    results = [run(picture, policy, seed) for seed in range(80)]
    for result in results:
        assert result.shape == picture.shape
        assert result.dtype == np.float32
        assert result.min() >= 0
        assert result.max() <= 1
    assert len({result.tobytes() for result in results}) > 20
    np.testing.assert_array_equal(picture, before)


@pytest.mark.parametrize("name", [*v2.RandAugment._AUGMENTATION_SPACE, "Invert"])
def test_each_operation_works_on_one_channel_as_on_three_equal_ones(name: str) -> None:
    one = torch.from_numpy(np.rint(grey() * 255).astype(np.uint8))[None]
    magnitude = {"Posterize": 5.0, "Solarize": 0.6}.get(name, 0.3)
    apply: Any = v2.RandAugment()._apply_image_or_video_transform
    single, triple = (
        apply(planes, name, magnitude, v2.InterpolationMode.BILINEAR, {torch.Tensor: None})
        for planes in (one, one.expand(3, -1, -1).contiguous())
    )
    assert single.shape == one.shape
    # the grey value of three equal levels is rounded down, by torchvision, to at most one less
    assert int((triple.int() - single.int()).abs().max()) <= 1


@pytest.mark.parametrize("policy", POLICIES)
def test_a_seed_gives_the_same_bits_whatever_ran_before_and_leaves_torchs_state(
    policy: Policy, global_state: torch.Tensor
) -> None:
    forward = {seed: run(grey(), policy, seed).tobytes() for seed in range(10)}
    torch.rand(3)
    state = torch.get_rng_state()
    assert {seed: run(grey(), policy, seed).tobytes() for seed in reversed(range(10))} == forward
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")  # Python >= 3.12
def test_workers_give_the_bits_of_the_main_process() -> None:
    keys = [(policy, seed) for policy in POLICIES for seed in range(6)]
    with ProcessPoolExecutor(2, mp_context=get_context("fork")) as pool:
        assert list(pool.map(run_by_key, keys)) == [run_by_key(key) for key in keys]


def test_the_generators_of_gpus_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(seed: int) -> None:
        raise AssertionError("dropout on a GPU would repeat itself after each image")

    monkeypatch.setattr(torch.cuda, "manual_seed_all", fail)
    run(grey(), "randaugment", 3)


def test_no_operation_of_the_policies_flips_weakness_001_11() -> None:
    names = {*v2.RandAugment._AUGMENTATION_SPACE, *v2.AutoAugment._AUGMENTATION_SPACE}
    assert not [name for name in names if "flip" in name.lower()]
    for transform, bins in ((v2.RandAugment, 31), (v2.AutoAugment, 10)):
        angles = transform._AUGMENTATION_SPACE["Rotate"][0](bins, 100, 100)
        assert float(angles.max()) <= 30


@pytest.mark.parametrize("name", POLICIES)
def test_a_profile_runs_its_policy_with_the_papers_numbers(name: Policy) -> None:
    profile = PROFILES[name]
    assert (profile.policy, profile.num_ops, profile.magnitude) == (name, 2, 9)
    pictures = {
        augment(colour(), TARGETS, profile, np.random.default_rng(seed), mirrored_order=None)[
            0
        ].tobytes()
        for seed in range(12)
    }
    assert len(pictures) > 6


def test_magnitude_and_num_ops_reach_the_policy() -> None:
    plain = np.rint(grey() * 255).astype(np.float32) / np.float32(255)
    none = Augmentation(policy="randaugment", num_ops=0)
    strong, weak = (Augmentation(policy="randaugment", magnitude=m) for m in (30, 1))

    def change(augmentation: Augmentation, seed: int) -> float:
        rng = np.random.default_rng(seed)
        return float(
            np.abs(
                augment(grey(), TARGETS, augmentation, rng, mirrored_order=None)[0] - plain
            ).mean()
        )

    assert change(none, 0) == 0
    changes = [(change(strong, seed), change(weak, seed)) for seed in range(20)]
    assert np.mean([s for s, _ in changes]) > 1.5 * np.mean([w for _, w in changes])


@pytest.mark.parametrize(("num_ops", "magnitude"), [(-1, 9), (2, 31), (2, -1)])
def test_numbers_outside_the_policys_range_are_refused(num_ops: int, magnitude: int) -> None:
    with pytest.raises(ValueError, match=f"magnitude = {magnitude}: expected .* 0 to 30"):
        apply_policy(grey(), "randaugment", num_ops=num_ops, magnitude=magnitude, seed=0)
