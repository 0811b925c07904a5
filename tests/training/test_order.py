"""Which images make up which step."""

import numpy as np
import pytest

from csi_predictor.training.order import EpochBatches, balance_weights, epoch_batches

NAN = np.nan


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


def test_an_unweighted_order_is_a_permutation_of_seed_and_epoch_and_nothing_else() -> None:
    rows = [row for batch in epoch_batches(33, batch_size=4, seed=2, epoch=5) for _, row in batch]
    assert rows == np.random.default_rng((2, 5)).permutation(33).tolist()


def test_weights_draw_rare_rows_as_often_as_frequent_ones() -> None:
    classes = np.array([0.0] * 90 + [1.0] * 10)[:, None]
    weights = balance_weights(classes, "multiclass")
    sampler = EpochBatches(100, batch_size=10, seed=0, weights=weights)
    drawn = []
    for epoch in range(1, 41):
        sampler.set_position(epoch, 0)
        drawn += [key[1] for batch in sampler for key in batch]
    assert len(drawn) == 4000
    share = np.mean([row >= 90 for row in drawn])
    assert abs(share - 0.5) < 4 * (0.25 / 4000) ** 0.5  # four standard errors of a fair coin


def test_a_weighted_order_repeats_and_goes_on_from_a_position() -> None:
    weights = [1.0, 3.0, 0.0, 2.0] * 5
    samplers = [EpochBatches(20, batch_size=3, seed=5, weights=weights) for _ in range(2)]
    samplers[0].set_position(2, 0)
    whole = list(samplers[0])
    samplers[1].set_position(2, 4)
    assert list(samplers[1]) == whole[4:]
    samplers[1].set_position(3, 0)
    assert list(samplers[1]) != whole
    assert not any(key[1] % 4 == 2 for batch in whole for key in batch)


def test_a_row_drawn_again_is_told_apart_so_that_it_is_changed_in_another_way() -> None:
    batches = epoch_batches(6, batch_size=6, seed=0, epoch=4, probabilities=np.eye(6)[2])
    assert batches == [[(4, 2), (4, 2, 1), (4, 2, 2), (4, 2, 3), (4, 2, 4), (4, 2, 5)]]


def test_a_last_single_image_joins_the_batch_before_with_weights_too() -> None:
    sampler = EpochBatches(9, batch_size=4, seed=0, weights=[1.0] * 9)
    assert [len(batch) for batch in sampler] == [4, 5]


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1.0, 2.0], "2 weights for 3 rows: expected one a row"),
        ([1.0, -1.0, 2.0], "weights from -1 to 2: expected finite numbers, none below 0"),
        ([0.0, 0.0, 0.0], "at least one above"),
        ([1.0, NAN, 1.0], "expected finite numbers"),
    ],
)
def test_weights_that_cant_be_drawn_from_are_refused(weights: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        EpochBatches(3, batch_size=1, seed=0, weights=weights)


def test_class_weights_are_one_over_the_frequency_and_unknown_classes_are_never_drawn() -> None:
    targets = np.array([[0], [0], [0], [4], [NAN]])
    assert balance_weights(targets, "multiclass") == pytest.approx((5 / 3, 5 / 3, 5 / 3, 5, 0))


def test_label_weights_are_those_of_the_rarest_positive_label() -> None:
    # positives: 4, 1 and 0 of 8 rows; three rows have none
    targets = np.zeros((8, 3))
    targets[:4, 0] = 1
    targets[3:5, 1] = [1, NAN]
    targets[7] = NAN
    expected = (2, 2, 2, 8, 2, 2, 2, 2)
    assert balance_weights(targets, "multilabel") == pytest.approx(expected)
    targets[4, 1] = 1  # now two of 8 have the second label, and three rows have none
    expected = (2, 2, 2, 4, 4, 8 / 3, 8 / 3, 8 / 3)
    assert balance_weights(targets, "multilabel") == pytest.approx(expected)


def test_zones_have_no_balance() -> None:
    with pytest.raises(ValueError, match="task = csi: expected multiclass or multilabel"):
        balance_weights(np.zeros((3, 6)), "csi")
