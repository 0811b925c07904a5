import pickle
import random
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from csi_predictor.data.augment import PROFILES, Augmentation
from csi_predictor.data.augment_volume import augment_volume
from csi_predictor.data.batch import Batch, collate
from csi_predictor.data.cache import PreparedCache
from csi_predictor.data.dataset import ImageDataset
from csi_predictor.data.manifest import Row
from csi_predictor.specs import InputSpec

SPEC = InputSpec(size=(20, 14))
ROWS = tuple(Row(f"{n}", f"{n}", Path(f"{n}"), (0, 1, 2, 3, float("nan"), n % 4)) for n in range(8))


@dataclass(frozen=True)
class Picture:
    pixels: NDArray[np.float32]


def draw(path: Path, spec: InputSpec) -> Picture:
    rng = np.random.default_rng(int(path.name))
    return Picture(rng.random(spec.size, dtype=np.float32))


def make_dataset(augmentation: Augmentation | None = None, seed: int = 0) -> ImageDataset:
    cache = PreparedCache("none", Path("unused"), SPEC, prepare=draw)
    return ImageDataset(ROWS, spec=SPEC, cache=cache, augmentation=augmentation, seed=seed)


def test_sample_is_normalised_channels_and_float_targets() -> None:
    sample = make_dataset()[5]
    grey = draw(Path("5"), SPEC).pixels
    expected = torch.stack(
        [
            torch.from_numpy((grey - mean) / std)
            for mean, std in zip(SPEC.mean, SPEC.std, strict=True)
        ]
    )
    torch.testing.assert_close(sample.pixels, expected.float())
    assert sample.targets.dtype == torch.float32
    assert sample.targets[:4].tolist() == [0, 1, 2, 3]
    assert sample.targets[4].isnan()
    assert sample.index == 5


def test_samples_are_the_same_in_any_order_so_resume_is_exact() -> None:
    keys = [(epoch, index) for epoch in range(3) for index in range(8)]
    forward = make_dataset(PROFILES["standard"])
    straight = {key: forward[key].pixels for key in keys}
    random.Random(0).shuffle(keys)
    again = make_dataset(PROFILES["standard"])
    np.random.default_rng().random()
    assert all(torch.equal(again[key].pixels, straight[key]) for key in keys)


def test_epoch_index_and_seed_each_change_the_augmentation() -> None:
    dataset = make_dataset(PROFILES["standard"])
    first = dataset[(3, 5)].pixels
    assert torch.equal(first, make_dataset(PROFILES["standard"])[(3, 5)].pixels)
    assert not torch.equal(first, dataset[(4, 5)].pixels)
    assert not torch.equal(first, make_dataset(PROFILES["standard"], seed=1)[(3, 5)].pixels)
    assert torch.equal(dataset[5].pixels, dataset[(0, 5)].pixels)


def test_without_augmentation_every_epoch_is_the_same() -> None:
    assert torch.equal(make_dataset()[(1, 2)].pixels, make_dataset()[(9, 2)].pixels)


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")  # Python >= 3.12
def test_workers_give_the_bits_of_the_main_process() -> None:
    order = [[(3, 5), (3, 0)], [(3, 7), (2, 5)]]
    batches = {
        workers: list(
            DataLoader(
                make_dataset(PROFILES["standard"]),
                batch_sampler=order,
                collate_fn=collate,
                num_workers=workers,
                multiprocessing_context="fork" if workers else None,
            )
        )
        for workers in (0, 2)
    }
    for here, there in zip(batches[0], batches[2], strict=True):
        assert torch.equal(here.pixels, there.pixels)
        assert here.indices.tolist() == there.indices.tolist()


def test_the_cached_image_is_left_alone() -> None:
    cache = PreparedCache("memory", Path("unused"), SPEC, prepare=draw)
    dataset = ImageDataset(ROWS, spec=SPEC, cache=cache, augmentation=PROFILES["standard"])
    for augmented in (dataset, ImageDataset(ROWS, spec=SPEC, cache=cache)):
        augmented[2].pixels.zero_()
    np.testing.assert_array_equal(cache.get(ROWS[2]), draw(Path("2"), SPEC).pixels)


def test_a_flip_reaches_the_targets() -> None:
    sample = make_dataset(Augmentation(mirror_p=1))[1]
    assert sample.targets[[0, 1, 2, 3, 4]].tolist() == [1, 0, 3, 2, 1]
    assert sample.targets[5].isnan()


def test_dataset_ends_with_an_index_error() -> None:
    assert len(make_dataset()) == 8
    with pytest.raises(IndexError):
        make_dataset()[8]


def test_batch_keeps_order_and_moves_whole() -> None:
    dataset = make_dataset()
    batch = collate([dataset[3], dataset[1]])
    assert isinstance(batch, Batch)
    assert (len(batch), batch.pixels.shape, batch.targets.shape) == (2, (2, 3, 20, 14), (2, 6))
    assert batch.indices.tolist() == [3, 1]
    assert batch.to("meta").pixels.device.type == "meta"
    assert torch.equal(pickle.loads(pickle.dumps(batch)).pixels, batch.pixels)


def test_two_readers_stand_one_below_the_other_and_are_mirrored_together() -> None:
    second = (3.0, 2.0, 1.0, 0.0, 1.0, 2.0)
    rows = (replace(ROWS[2], second_targets=second),)
    cache = PreparedCache("none", Path("unused"), SPEC, prepare=draw)
    mirrored = ImageDataset(rows, spec=SPEC, cache=cache, augmentation=Augmentation(mirror_p=1.0))[
        0
    ]
    expected = [[1, 0, 3, 2, 2, float("nan")], [2, 3, 0, 1, 2, 1]]
    assert np.array_equal(mirrored.targets.numpy(), expected, equal_nan=True)


def test_a_row_drawn_again_in_an_epoch_is_changed_in_another_way() -> None:
    dataset = make_dataset(PROFILES["standard"])
    first, again = dataset[(3, 5)], dataset[(3, 5, 1)]
    assert not torch.equal(first.pixels, again.pixels)
    assert not torch.equal(again.pixels, dataset[(3, 5, 2)].pixels)
    assert torch.equal(again.pixels, make_dataset(PROFILES["standard"])[(3, 5, 1)].pixels)
    assert again.index == 5
    assert torch.equal(make_dataset()[(3, 5, 1)].pixels, make_dataset()[5].pixels)


def test_labels_stay_where_they_are_in_a_mirrored_image() -> None:
    rows = tuple(replace(row, targets=(1.0, 0.0, float("nan"))) for row in ROWS)
    cache = PreparedCache("none", Path("unused"), SPEC, prepare=draw)
    mirror = Augmentation(mirror_p=1)
    dataset = ImageDataset(rows, spec=SPEC, cache=cache, augmentation=mirror, has_sides=False)
    sample, plain = dataset[1], make_dataset()[1]
    assert sample.targets[:2].tolist() == [1, 0]
    assert sample.targets[2].isnan()
    torch.testing.assert_close(sample.pixels, plain.pixels.flip(-1))


def test_a_volume_is_changed_as_a_volume() -> None:
    spec = InputSpec(size=(6, 8, 10), channels=1, mean=(0.5,), std=(0.5,))
    cache = PreparedCache("none", Path("unused"), spec, prepare=draw)
    rows = tuple(replace(row, targets=(1.0, 0.0)) for row in ROWS)
    for strengths in (Augmentation(mirror_p=1, flip_p=1), PROFILES["standard"]):
        dataset = ImageDataset(
            rows, spec=spec, cache=cache, augmentation=strengths, seed=4, has_sides=False
        )
        found = dataset[(2, 3)]
        rng = np.random.default_rng((4, 2, 3))
        expected = augment_volume(draw(Path("3"), spec).pixels, strengths, rng)
        torch.testing.assert_close(found.pixels, (torch.from_numpy(expected)[None] - 0.5) / 0.5)
        assert found.targets.tolist() == [1, 0]
    mirrored = ImageDataset(rows, spec=spec, cache=cache, augmentation=Augmentation(mirror_p=1))
    plain = ImageDataset(rows, spec=spec, cache=cache)
    torch.testing.assert_close(mirrored[3].pixels, plain[3].pixels.flip(-1))


def test_colour_is_changed_plane_by_plane_alike_where_geometry_is_concerned() -> None:
    spec = InputSpec(size=(8, 8), mean=(0.0,) * 3, std=(1.0,) * 3)

    def draw_colour(path: Path, spec: InputSpec) -> Picture:
        rng = np.random.default_rng(int(path.name))
        return Picture(rng.random((3, *spec.size), dtype=np.float32))

    cache = PreparedCache("none", Path("unused"), spec, prepare=draw_colour)
    both_ways = Augmentation(mirror_p=1, flip_p=1)
    dataset = ImageDataset(ROWS, spec=spec, cache=cache, augmentation=both_ways, has_sides=False)
    expected = torch.from_numpy(draw_colour(Path("4"), spec).pixels).flip(-1, -2)
    torch.testing.assert_close(dataset[4].pixels, expected)
