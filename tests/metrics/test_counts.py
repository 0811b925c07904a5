import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score, confusion_matrix, f1_score

from csi_predictor.metrics import counts


@pytest.fixture
def answers() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    truth = rng.integers(0, 4, 301)
    return truth, np.clip(truth + rng.integers(-1, 2, 301), 0, 3)


def table(truth: np.ndarray, given: np.ndarray) -> np.ndarray:
    return counts.count_confusion(truth, given, num_classes=4).sum(axis=0)


def test_counts_equal_scikit_learns_confusion_matrix(answers) -> None:
    np.testing.assert_array_equal(table(*answers), confusion_matrix(*answers, labels=range(4)))


def test_figures_equal_scikit_learns(answers) -> None:
    truth, given = answers
    pooled = table(truth, given)
    kappa = cohen_kappa_score(truth, given, weights="quadratic")
    assert counts.quadratic_weighted_kappa(pooled) == pytest.approx(kappa)
    macro, weighted = (f1_score(truth, given, average=name) for name in ("macro", "weighted"))
    assert counts.f1_macro(pooled) == pytest.approx(macro)
    assert counts.f1_weighted(pooled) == pytest.approx(weighted)
    assert counts.accuracy(pooled) == pytest.approx(np.mean(truth == given))


def test_distances_equal_a_hand_calculation() -> None:
    pooled = table(np.array([0, 1, 2, 3]), np.array([0, 3, 1, 3]))
    assert counts.mean_absolute_error(pooled) == 3 / 4
    assert counts.mean_difference(pooled) == 1 / 4
    assert counts.accuracy(pooled) == 2 / 4
    assert counts.within_one(pooled) == 3 / 4


def test_macro_f1_leaves_out_grades_that_never_occur__weakness_8() -> None:
    perfect = table(np.array([0, 0, 2, 2]), np.array([0, 0, 2, 2]))
    assert counts.f1_macro(perfect) == 1.0
    assert counts.f1_weighted(perfect) == 1.0


def test_macro_f1_counts_a_grade_that_is_only_given() -> None:
    truth, given = np.array([0, 0, 1, 1]), np.array([0, 0, 1, 3])
    expected = f1_score(truth, given, average="macro")
    assert counts.f1_macro(table(truth, given)) == pytest.approx(expected)


def test_unknown_grades_are_left_out() -> None:
    each = counts.count_confusion([np.nan, 1, 2], [1, np.nan, 2], num_classes=4)
    assert each.sum() == 1
    assert each[2, 2, 2] == 1


def test_nothing_counted_is_undefined_not_zero() -> None:
    empty = np.zeros((4, 4))
    for figure in (
        counts.mean_absolute_error,
        counts.mean_difference,
        counts.accuracy,
        counts.within_one,
        counts.quadratic_weighted_kappa,
        counts.f1_macro,
        counts.f1_weighted,
    ):
        assert np.isnan(figure(empty)), figure.__name__


def test_kappa_is_undefined_where_the_truth_has_one_grade() -> None:
    assert np.isnan(counts.quadratic_weighted_kappa(table(np.array([1, 1]), np.array([1, 2]))))


def test_kappa_of_a_constant_answer_is_zero() -> None:
    pooled = table(np.array([0, 1, 2, 3]), np.array([1, 1, 1, 1]))
    assert counts.quadratic_weighted_kappa(pooled) == pytest.approx(0)


def test_leading_axes_are_computed_one_by_one(answers) -> None:
    pooled = table(*answers)
    both = np.stack([pooled, pooled.T])
    expected = [counts.f1_weighted(pooled), counts.f1_weighted(pooled.T)]
    np.testing.assert_allclose(counts.f1_weighted(both), expected)


@pytest.mark.parametrize("wrong", [4, -1, 1.5, np.inf])
def test_a_grade_out_of_range_is_refused__weakness_6(wrong: float) -> None:
    with pytest.raises(ValueError, match=r"truth holds .+: expected 0 to 3, or NaN for unknown"):
        counts.count_confusion([1, wrong], [1, 1], num_classes=4)
    with pytest.raises(ValueError, match=r"given holds"):
        counts.count_confusion([1, 1], [1, wrong], num_classes=4)
