import numpy as np
import pytest
from scipy import stats

from csi_predictor.metrics.bootstrap import interval, resample_patients
from csi_predictor.metrics.paired import bootstrap_p, holm, mcnemar, shuffled_p

NAN = float("nan")


def answers(both: int, only_first: int, only_second: int, neither: int):
    """Right and wrong answers of two models with such a table."""
    counts = [both, only_first, only_second, neither]
    return (
        np.repeat([True, True, False, False], counts),
        np.repeat([True, False, True, False], counts),
    )


def test_colds_of_schoolchildren_as_in_the_textbook() -> None:
    """Bland 2000, An Introduction to Medical Statistics, section 13.9: 212, 144, 256 and 707.

    (|144 - 256| - 1) ** 2 / 400 = 30.8.
    """
    found = mcnemar(*answers(212, 144, 256, 707))
    assert (found.only_first, found.only_second) == (144, 256)
    assert found.chi_square == pytest.approx(30.80, abs=0.005)
    assert found.p_chi_square == pytest.approx(stats.chi2.sf(111**2 / 400, 1))
    assert found.p < 0.0001


def test_airway_responsiveness_as_published() -> None:
    """Fagerland et al. 2013, BMC Medical Research Methodology 13:91: 1 and 7, exact p 0.0703."""
    found = mcnemar(*answers(1, 1, 7, 12))
    assert found.p == pytest.approx(0.0703, abs=5e-5)
    assert found.chi_square == pytest.approx(25 / 8)  # (|1 - 7| - 1) ** 2 / 8


@pytest.mark.parametrize(
    ("only_first", "only_second"), [(0, 1), (0, 6), (5, 5), (3, 4), (40, 21), (900, 700)]
)
def test_the_exact_p_is_scipys_binomial_test(only_first: int, only_second: int) -> None:
    found = mcnemar(*answers(10, only_first, only_second, 10))
    expected = stats.binomtest(only_first, only_first + only_second, 0.5).pvalue
    assert found.p == pytest.approx(expected, rel=1e-9)


def test_models_that_never_differ_cant_be_told_apart() -> None:
    for table in ((4, 0, 0, 2), (0, 0, 0, 0)):
        found = mcnemar(*answers(*table))
        assert (found.only_first, found.only_second, found.p) == (0, 0, 1.0)
        assert np.isnan([found.chi_square, found.p_chi_square]).all()


def test_as_many_for_either_model_leave_nothing_to_correct() -> None:
    found = mcnemar(*answers(1, 3, 3, 1))
    assert (found.chi_square, found.p_chi_square, found.p) == (0.0, 1.0, 1.0)


def test_p_of_the_draws_is_small_where_the_interval_leaves_zero_out() -> None:
    rng = np.random.default_rng(0)
    resampling = resample_patients([str(i) for i in range(60)], rounds=999, seed=1)
    for shift in np.linspace(-0.6, 0.6, 25):
        draws = resampling.sums(rng.normal(shift, 1, 60)) / 60
        low, high = interval(draws)
        if min(abs(low), abs(high)) > 0.01:
            assert (bootstrap_p(draws) < 0.05) == (low > 0 or high < 0)


def test_p_of_the_draws_by_hand() -> None:
    draws = np.array([0.3, 0.1, 0.2, -0.1, 0.4, 0.3, 0.2, 0.5, 0.6, 0.1])  # one of nine beyond 0
    assert bootstrap_p(draws) == pytest.approx(2 * (1 + 1) / (1 + 9))
    assert bootstrap_p(-draws) == bootstrap_p(draws)


def test_p_of_the_draws_agrees_with_the_paired_t_test() -> None:
    rng = np.random.default_rng(3)
    differences = rng.normal(0.2, 1, 150)
    resampling = resample_patients([str(i) for i in range(150)], rounds=4000, seed=0)
    found = bootstrap_p(resampling.sums(differences) / 150)
    assert found == pytest.approx(stats.ttest_1samp(differences, 0).pvalue, abs=0.01)


def test_no_difference_in_any_draw_is_no_difference() -> None:
    assert bootstrap_p(np.zeros(50)) == 1.0


@pytest.mark.parametrize("p_of", [bootstrap_p, shuffled_p])
def test_an_undefined_figure_has_no_p(p_of) -> None:
    assert np.isnan(p_of(np.array([NAN, 0.1, 0.2])))
    assert np.isnan(p_of(np.array([0.5, NAN, NAN, 0.4])))
    assert np.isnan(p_of(np.array([0.5])))


def test_p_of_shuffled_groups_agrees_with_scipys_permutation_test() -> None:
    rng = np.random.default_rng(2)
    values, size = np.concatenate([rng.normal(0.7, 1, 15), rng.normal(0, 1, 40)]), 15

    def mean_of_first(first, second, axis):
        return first.mean(axis=axis) - second.mean(axis=axis)

    reference = stats.permutation_test(
        (values[:size], values[size:]),
        mean_of_first,
        vectorized=True,
        n_resamples=4999,
        rng=np.random.default_rng(1),
    )
    shuffled = [rng.permutation(values)[:size].mean() for _ in range(4999)]
    found = shuffled_p(np.array([values[:size].mean(), *shuffled]))
    assert found == pytest.approx(reference.pvalue, abs=0.012)


def test_p_of_shuffled_groups_by_hand() -> None:
    figures = np.array([5.0, 1, 2, 3, 4, 3, 3, 3, 3, 3])  # mean 3: only 5 and 1 lie 2 away
    assert shuffled_p(figures) == pytest.approx(2 / 10)
    assert shuffled_p(np.ones(9)) == 1.0


def test_holms_correction_is_that_of_r() -> None:
    """R: p.adjust(c(0.01, 0.02, 0.03, 0.04, 0.05), "holm") gives 0.05 0.08 0.09 0.09 0.09."""
    np.testing.assert_allclose(holm([0.01, 0.02, 0.03, 0.04, 0.05]), [0.05, 0.08, 0.09, 0.09, 0.09])
    np.testing.assert_allclose(holm([0.04, 0.01, 0.03, 0.02]), [0.06, 0.04, 0.06, 0.06])


def test_holms_correction_leaves_out_what_was_not_tested() -> None:
    np.testing.assert_allclose(holm([NAN, 0.02, NAN, 0.6]), [NAN, 0.04, NAN, 0.6])
    assert holm([]).shape == (0,)
    assert holm([0.9, 0.8]).tolist() == [1.0, 1.0]
