import math

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, confusion_matrix

from csi_predictor.metrics import deferral
from csi_predictor.metrics.bootstrap import resample_patients


def test_sums_of_a_hand_made_table() -> None:
    # two images kept (one answer wrong, one unknown), one deferred (reader right in 0.9 and 0.8)
    known = np.array([[True, True], [True, False], [True, True]])
    right = np.array([[True, False], [True, False], [False, True]])
    reader = np.array([[0.9, 0.8], [0.9, 0.0], [0.9, 0.8]])
    each = deferral.answer_sums(known, right, np.array([False, False, True]), reader)
    sums = each.sum(axis=(0, 1))
    assert sums.tolist() == pytest.approx([5, 3, 3, 2, 1.7])
    assert deferral.model_accuracy(sums) == pytest.approx(3 / 5)
    assert deferral.kept_accuracy(sums) == pytest.approx(2 / 3)
    assert deferral.system_accuracy(sums) == pytest.approx(3.7 / 5)
    assert deferral.model_errors(sums) == 2
    assert deferral.automatic_errors(sums) == 1
    assert deferral.reader_errors(sums) == pytest.approx(0.3)


def test_the_published_triage_of_pathmnist_is_found_again() -> None:
    # systems.md 1c: 7,180 images, 36.1 % deferred, kept 98.56 % right, reader 95 %: 97.35 %, which
    # came from one simulated reader and so is a little off the expected value
    num_deferred = round(0.361 * 7180)
    is_right = np.zeros((7180, 1), dtype=bool)
    is_right[num_deferred : num_deferred + round(0.9856 * (7180 - num_deferred))] = True
    defers = np.arange(7180) < num_deferred
    sums = deferral.answer_sums(
        np.ones_like(is_right), is_right, defers, np.full((7180, 1), 0.95)
    ).sum(axis=(0, 1))
    assert deferral.kept_accuracy(sums) == pytest.approx(0.9856, abs=1e-4)
    assert deferral.system_accuracy(sums) == pytest.approx(0.9735, abs=1e-3)


def test_without_automatic_answers_their_accuracy_is_undefined() -> None:
    everything = deferral.answer_sums(
        np.ones((2, 1), bool), np.ones((2, 1), bool), np.ones(2, bool), np.full((2, 1), 0.5)
    ).sum(axis=(0, 1))
    assert np.isnan(deferral.kept_accuracy(everything))
    assert deferral.system_accuracy(everything) == 0.5
    assert np.isnan(deferral.system_accuracy(np.zeros(5)))


@pytest.mark.parametrize("is_ordered", [True, False])
def test_expected_tables_are_the_mean_of_simulated_readers(is_ordered: bool) -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 4, (60, 2)).astype(float)
    truth[rng.random((60, 2)) < 0.1] = np.nan
    given = rng.integers(0, 4, (60, 2))
    defers = rng.random(60) < 0.6
    accuracy = np.array([0.9, 0.7, 0.8, 0.5])
    each = deferral.confusion_sums(
        truth,
        given,
        defers,
        deferral.reader_is_right(truth, accuracy),
        num_answers=4,
        is_ordered=is_ordered,
    )
    model, reader, system = each.sum(axis=0)
    known = np.isfinite(truth)
    labels = range(4)
    assert (model == confusion_matrix(truth[known], given[known], labels=labels)).all()
    rounds = 200
    by_reader, together, accuracies = np.zeros((4, 4)), np.zeros((4, 4)), []
    for _ in range(rounds):
        answers = simulated_reader(rng, truth, accuracy, is_ordered=is_ordered)
        both = np.where(defers[:, None], answers, given)
        deferred = known & defers[:, None]
        by_reader += confusion_matrix(truth[deferred], answers[deferred], labels=labels) / rounds
        together += confusion_matrix(truth[known], both[known], labels=labels) / rounds
        accuracies.append(accuracy_score(truth[known], both[known]))
    np.testing.assert_allclose(reader, by_reader, atol=0.7)
    np.testing.assert_allclose(system, together, atol=0.7)
    assert np.trace(system) / system.sum() == pytest.approx(np.mean(accuracies), abs=0.01)
    sums = deferral.answer_sums(
        known, given == truth, defers, deferral.reader_is_right(truth, accuracy)
    ).sum(axis=(0, 1))
    assert deferral.system_accuracy(sums) == pytest.approx(np.trace(system) / system.sum())


def simulated_reader(rng, truth, accuracy, *, is_ordered: bool) -> np.ndarray:
    answers = np.zeros(truth.shape, dtype=int)
    for (image, question), true in np.ndenumerate(truth):
        if np.isnan(true):
            continue
        if rng.random() < accuracy[int(true)]:
            answers[image, question] = int(true)
        elif is_ordered:
            answers[image, question] = rng.choice(
                [grade for grade in (true - 1, true + 1) if 0 <= grade <= 3]
            )
        else:
            answers[image, question] = rng.choice([other for other in range(4) if other != true])
    return answers


def test_a_wrong_reader_gives_a_neighbouring_grade_or_any_other_class() -> None:
    truth = np.array([[0.0], [1.0]])
    arguments = (truth, np.zeros((2, 1), int), np.ones(2, bool), np.full((2, 1), 0.8))
    ordered = deferral.confusion_sums(*arguments, num_answers=4, is_ordered=True)[:, 1].sum(axis=0)
    np.testing.assert_allclose(ordered[:2], [[0.8, 0.2, 0, 0], [0.1, 0.8, 0.1, 0]])
    free = deferral.confusion_sums(*arguments, num_answers=3, is_ordered=False)[:, 1].sum(axis=0)
    np.testing.assert_allclose(free, [[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0, 0, 0]])


def test_sums_and_tables_of_images_add_over_draws_of_patients() -> None:
    resampling = resample_patients(("a", "b", "b"), rounds=30, seed=0)
    truth = np.array([[0.0], [1.0], [np.nan]])
    reader = deferral.reader_is_right(truth, np.array([0.9, 0.8]))
    defers = np.array([True, False, True])
    given = np.array([[1], [1], [1]])
    each = deferral.answer_sums(np.isfinite(truth), given == truth, defers, reader)
    draws = resampling.sums(each)
    for weights, sums in zip(resampling.weights, draws, strict=True):
        expected = sum(weights[p] * row for p, row in zip((0, 1, 1), each, strict=True))
        np.testing.assert_allclose(sums, expected)
    tables = deferral.confusion_sums(truth, given, defers, reader, num_answers=2, is_ordered=False)
    assert resampling.sums(tables).shape == (31, 3, 2, 2)
    assert resampling.sums(tables)[0, 0].tolist() == [[0, 1], [0, 1]]


def test_costs_of_a_hand_made_case() -> None:
    # 4 images: 1.5 wrong answers at 100 and 2 reviews at 2 are (150 + 4) / 4
    assert deferral.cost_per_image(1.5, 2, 4, error_cost=100, review_cost=2) == pytest.approx(38.5)
    assert np.isnan(deferral.cost_per_image(0, 0, 0, error_cost=1, review_cost=1))


def test_every_cut_keeps_what_is_not_above_its_threshold() -> None:
    unsure = np.array([0.3, 0.1, 0.3, 0.7, 0.2])
    cuts = deferral.cuts_of(unsure)
    assert cuts.thresholds.tolist() == pytest.approx([-math.inf, 0.15, 0.25, 0.5, math.inf])
    kept = cuts.kept(np.arange(10.0).reshape(5, 2))
    for threshold, sums in zip(cuts.thresholds, kept, strict=True):
        expected = np.arange(10.0).reshape(5, 2)[unsure <= threshold].sum(axis=0)
        assert sums.tolist() == expected.tolist()


def test_neighbouring_floats_are_told_apart() -> None:
    low = 0.1
    high = math.nextafter(low, 1)
    unsure = np.array([low, high])
    threshold = deferral.cuts_of(unsure).thresholds[1]
    assert (unsure > threshold).tolist() == [False, True]


def test_terciles_are_those_of_pandas_where_all_values_differ() -> None:
    values = np.random.default_rng(1).random(101)
    expected = pd.qcut(values, 3, labels=False)
    assert deferral.terciles(values).tolist() == expected.tolist()


def test_equal_values_are_in_the_same_third() -> None:
    assert deferral.terciles(np.array([0.0] * 8 + [1, 2])).tolist() == [0] * 8 + [2, 2]
    assert deferral.terciles(np.full(5, 0.4)).tolist() == [0] * 5
    assert deferral.terciles(np.zeros(0)).tolist() == []


def test_a_reader_for_whom_hard_cases_are_harder_is_as_good_on_average__weakness_001_02() -> None:
    rng = np.random.default_rng(2)
    difficulty = rng.choice(3, 200, p=[0.6, 0.1, 0.3])
    truth = rng.integers(0, 2, (200, 3)).astype(float)
    truth[rng.random((200, 3)) < 0.2] = np.nan
    known = np.isfinite(truth)
    reader = deferral.reader_is_right(truth, np.array([0.95, 0.85]))
    shifts = deferral.difficulty_shifts(reader, known, difficulty, shift=0.03)
    assert shifts[0] - shifts[1] == pytest.approx(0.03)
    assert shifts[1] - shifts[2] == pytest.approx(0.03)
    harder = reader + shifts[difficulty][:, None]
    assert harder[known].mean() == pytest.approx(reader[known].mean())


def test_equal_thirds_are_shifted_by_just_what_is_stated__weakness_001_02() -> None:
    shifts = deferral.difficulty_shifts(
        np.full((6, 1), 0.9), np.ones((6, 1), bool), np.array([0, 0, 1, 1, 2, 2]), shift=0.03
    )
    assert shifts.tolist() == pytest.approx([0.03, 0, -0.03])


@pytest.mark.parametrize(("accuracy", "highest"), [(0.99, 0.01), (1.0, 0.0), (0.0, 0.0)])
def test_no_accuracy_leaves_zero_to_one(accuracy: float, highest: float) -> None:
    reader = np.full((6, 1), accuracy)
    shifts = deferral.difficulty_shifts(
        reader, np.ones((6, 1), bool), np.array([0, 0, 1, 1, 2, 2]), shift=0.03
    )
    assert shifts.tolist() == pytest.approx([highest, 0, -highest])


def test_without_thirds_or_known_answers_nothing_is_shifted() -> None:
    same, reader = np.zeros(3, dtype=np.int64), np.full((3, 1), 0.9)
    ones = np.ones((3, 1), bool)
    assert deferral.difficulty_shifts(reader, ones, same, shift=0.03).tolist() == [0, 0, 0]
    assert deferral.difficulty_shifts(reader, ~ones, same, shift=0.03).tolist() == [0, 0, 0]


def test_real_readings_stand_for_the_deferred_answers_that_were_not_read() -> None:
    # 10 known, 6 kept with 5 right, 4 deferred of which 2 were read and 1 was right
    sums = np.array([10.0, 7, 6, 5, 0])
    system = deferral.system_accuracy_of_readings(sums, np.array(2.0), np.array(1.0))
    assert system == pytest.approx((5 + 4 * 0.5) / 10)
    none_read = deferral.system_accuracy_of_readings(sums, np.array(0.0), np.array(0.0))
    assert np.isnan(none_read)
    all_kept = np.array([10.0, 7, 10, 7, 0])
    zero = np.array(0.0)
    assert deferral.system_accuracy_of_readings(all_kept, zero, zero) == pytest.approx(0.7)
