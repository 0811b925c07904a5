import numpy as np
import pytest

from csi_predictor.metrics.bootstrap import interval, resample_patients

PATIENTS = ("b", "a", "b", "c")


def test_draw_zero_is_the_set_itself() -> None:
    resampling = resample_patients(PATIENTS, rounds=20, seed=1)
    values = np.array([[1.0, 2], [3, 4], [5, 6], [7, 8]])
    assert resampling.sums(values).shape == (21, 2)
    assert resampling.sums(values)[0].tolist() == [16, 20]


def test_patients_are_drawn_whole() -> None:
    resampling = resample_patients(PATIENTS, rounds=50, seed=1)
    assert resampling.num_patients == 3
    assert (resampling.weights.sum(axis=1) == 3).all()
    each = resampling.sums(np.eye(4))
    np.testing.assert_array_equal(each[:, 0], each[:, 2])  # both images of b


def test_sums_and_image_weights_agree() -> None:
    resampling = resample_patients(PATIENTS, rounds=250, seed=2)
    values = np.array([1.0, 10, 100, 1000])
    by_weights = resampling.by_image_weights(lambda weights: weights @ values)
    np.testing.assert_allclose(resampling.sums(values), by_weights)


def test_equal_seeds_give_equal_draws() -> None:
    first, second, other = (resample_patients(PATIENTS, rounds=9, seed=seed) for seed in (4, 4, 5))
    np.testing.assert_array_equal(first.weights, second.weights)
    assert (first.weights != other.weights).any()


def test_a_single_patient_has_no_interval() -> None:
    resampling = resample_patients(("a", "a"), rounds=100, seed=0)
    assert np.isnan(interval(resampling.sums(np.ones(2)))).all()


def test_no_rounds_give_no_interval() -> None:
    resampling = resample_patients(PATIENTS, rounds=0, seed=0)
    assert np.isnan(interval(resampling.sums(np.ones(4)))).all()


def test_interval_is_the_percentiles_of_the_rounds() -> None:
    draws = np.concatenate([[0.5], np.linspace(0, 1, 1001)])
    assert interval(draws) == pytest.approx((0.025, 0.975))


def test_an_undefined_figure_has_no_interval() -> None:
    assert np.isnan(interval(np.array([np.nan, 0.1, 0.2]))).all()


def test_a_figure_undefined_in_most_rounds_has_no_interval() -> None:
    assert np.isnan(interval(np.array([0.5, np.nan, np.nan, 0.4]))).all()
    assert interval(np.array([0.5, np.nan, 0.4, 0.4])) == pytest.approx((0.4, 0.4))


def test_interval_of_a_mean_covers_like_the_normal_theory() -> None:
    values = np.random.default_rng(0).normal(0, 1, 400)
    resampling = resample_patients([str(i) for i in range(400)], rounds=2000, seed=0)
    low, high = interval(resampling.sums(values) / 400)
    assert high - low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.06)
