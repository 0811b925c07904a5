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
