"""Which images make up which step."""

from csi_predictor.training.order import EpochBatches, epoch_batches


def test_every_row_comes_once_an_epoch() -> None:
    batches = epoch_batches(10, batch_size=4, seed=1, epoch=3)
    assert sorted(row for batch in batches for _, row in batch) == list(range(10))
    assert all(epoch == 3 for batch in batches for epoch, _ in batch)
    assert [len(batch) for batch in batches] == [4, 4, 2]


def test_epochs_and_seeds_differ_and_repeat() -> None:
    first = epoch_batches(50, batch_size=8, seed=1, epoch=1)
    assert first == epoch_batches(50, batch_size=8, seed=1, epoch=1)
    rows = [row for batch in first for _, row in batch]
    for seed, epoch in ((1, 2), (2, 1)):
        other = epoch_batches(50, batch_size=8, seed=seed, epoch=epoch)
        assert rows != [row for batch in other for _, row in batch]


def test_a_last_single_image_joins_the_batch_before() -> None:
    assert [len(b) for b in epoch_batches(9, batch_size=4, seed=0, epoch=1)] == [4, 5]
    assert [len(b) for b in epoch_batches(1, batch_size=4, seed=0, epoch=1)] == [1]


def test_a_position_in_the_epoch_gives_the_rest_of_the_same_order() -> None:
    sampler = EpochBatches(20, batch_size=3, seed=5)
    sampler.set_position(2, 0)
    whole = list(sampler)
    sampler.set_position(2, 4)
    assert list(sampler) == whole[4:]
    assert len(sampler) == 7
