import numpy as np
import pytest
from scipy.stats import pearsonr

from csi_predictor.metrics import agreement

# Shrout and Fleiss 1979, table 2: four judges rate six targets
SHROUT_FLEISS = [
    [9, 2, 5, 8],
    [6, 1, 3, 2],
    [8, 4, 6, 8],
    [7, 1, 2, 6],
    [10, 5, 6, 9],
    [6, 2, 4, 7],
]


@pytest.fixture
def pair() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    x = rng.integers(0, 19, 57).astype(float)
    return x, x + rng.normal(0.7, 2, 57)


def summed(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return agreement.pair_sums(x, y).sum(axis=0)


def test_icc_equals_shrout_and_fleiss_example() -> None:
    # table 4 of the paper: ICC(2,1) = .29
    assert agreement.icc_2_1(SHROUT_FLEISS) == pytest.approx(0.29, abs=0.005)


def test_icc_from_sums_equals_the_analysis_of_variance(pair) -> None:
    expected = agreement.icc_2_1(np.stack(pair, axis=1))
    assert agreement.icc(summed(*pair)) == pytest.approx(expected)


def test_icc_of_two_judges_equals_a_hand_calculation() -> None:
    # x = 1 2 3, y = 2 3 4: MSR = 2, MSC = 1.5, MSE = 0; (2 - 0) / (2 + 0 + 2 (1.5 - 0) / 3) = 2/3
    assert agreement.icc(summed(np.array([1, 2, 3]), np.array([2, 3, 4]))) == pytest.approx(2 / 3)


def test_pearson_equals_scipys(pair) -> None:
    assert agreement.pearson(summed(*pair)) == pytest.approx(pearsonr(*pair).statistic)


def test_bias_and_limits_equal_their_definition(pair) -> None:
    difference = pair[1] - pair[0]
    low, high = agreement.limits_of_agreement(summed(*pair))
    half_width = 1.96 * difference.std(ddof=1)
    assert agreement.bias(summed(*pair)) == pytest.approx(difference.mean())
    assert (low, high) == pytest.approx(
        (difference.mean() - half_width, difference.mean() + half_width)
    )
    assert agreement.mean_absolute_difference(summed(*pair)) == pytest.approx(
        np.abs(difference).mean()
    )


def test_subjects_with_one_value_are_left_out() -> None:
    sums = summed(np.array([1, np.nan, 3.0]), np.array([2, 2, np.nan]))
    assert agreement.count(sums) == 1
    assert agreement.bias(sums) == 1


@pytest.mark.parametrize("figure", [agreement.pearson, agreement.icc])
@pytest.mark.parametrize("values", [[], [1.5], [1 / 6, 1 / 6, 1 / 6]])
def test_without_spread_agreement_is_undefined(figure, values) -> None:
    same = np.array(values, dtype=float)
    assert np.isnan(figure(summed(same, same)))


def test_limits_are_undefined_below_two_subjects() -> None:
    low, high = agreement.limits_of_agreement(summed(np.array([1.0]), np.array([2.0])))
    assert np.isnan(low)
    assert np.isnan(high)


def test_perfect_agreement_is_one(pair) -> None:
    assert agreement.icc(summed(pair[0], pair[0])) == pytest.approx(1)
    assert agreement.pearson(summed(pair[0], pair[0])) == pytest.approx(1)
