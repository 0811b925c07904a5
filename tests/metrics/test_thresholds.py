import numpy as np
import pytest
from sklearn.metrics import f1_score

from csi_predictor.metrics.thresholds import best_f1_thresholds

NAN = float("nan")


def best_of_all(truth: np.ndarray, probs: np.ndarray) -> float:
    """The highest F1 that any threshold gives, by scikit-learn."""
    return max(f1_score(truth, probs >= each) for each in probs)


def test_no_threshold_gives_a_higher_f1_by_scikit_learn__weakness_004_06() -> None:
    rng = np.random.default_rng(5)
    truth = (rng.random((150, 4)) < [0.03, 0.2, 0.5, 0.9]).astype(float)
    probs = np.clip(np.round(0.1 + 0.15 * truth + 0.3 * rng.random((150, 4)), 2), 0, 1)
    thresholds = best_f1_thresholds(truth, probs)
    for k, threshold in enumerate(thresholds):
        found = f1_score(truth[:, k], probs[:, k] >= threshold)
        assert found == pytest.approx(best_of_all(truth[:, k], probs[:, k]), abs=1e-12)
    at_half = f1_score(truth[:, 1], probs[:, 1] >= 0.5)
    assert f1_score(truth[:, 1], probs[:, 1] >= thresholds[1]) > at_half + 0.3


def test_a_threshold_lies_midway_between_two_probabilities() -> None:
    truth = np.array([[0.0], [0.0], [1.0], [1.0]])
    probs = np.array([[0.1], [0.2], [0.6], [0.9]])
    assert best_f1_thresholds(truth, probs) == (pytest.approx(0.4),)


def test_where_all_should_be_called_it_lies_midway_to_nothing() -> None:
    assert best_f1_thresholds(np.ones((2, 1)), np.array([[0.3], [0.8]])) == (pytest.approx(0.15),)


def test_of_equally_good_thresholds_the_highest_is_taken() -> None:
    # called from 0.9 on: 2 * 1 / (1 + 2) = 2/3; from 0.2 on: 2 * 2 / (4 + 2) = 2/3
    truth = np.array([[1.0], [0.0], [0.0], [1.0]])
    probs = np.array([[0.9], [0.7], [0.5], [0.2]])
    assert best_f1_thresholds(truth, probs) == (pytest.approx(0.8),)


def test_unknown_answers_choose_nothing__weakness_004_07() -> None:
    truth = np.array([[0.0], [1.0], [NAN], [NAN]])
    probs = np.array([[0.2], [0.6], [0.99], [0.3]])
    assert best_f1_thresholds(truth, probs) == (pytest.approx(0.4),)


@pytest.mark.parametrize("truth", [[[0.0], [0.0]], [[NAN], [NAN]], np.zeros((0, 1))])
def test_a_label_without_a_known_positive_keeps_one_half(truth) -> None:
    table = np.array(truth)
    assert best_f1_thresholds(table, np.full(table.shape, 0.1)) == (0.5,)


def test_of_neighbouring_floats_the_lower_is_not_called() -> None:
    low = 0.5
    high = np.nextafter(low, 1)
    (threshold,) = best_f1_thresholds(np.array([[0.0], [1.0]]), np.array([[low], [high]]))
    assert low < threshold <= high


def test_tables_of_different_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"truth has shape \(2, 1\) and probs \(2, 3\)"):
        best_f1_thresholds(np.zeros((2, 1)), np.zeros((2, 3)))


@pytest.mark.parametrize("wrong", [NAN, 1.5, -0.1])
def test_what_is_no_probability_is_refused(wrong: float) -> None:
    with pytest.raises(ValueError, match="probs holds a value that is no probability"):
        best_f1_thresholds(np.zeros((1, 1)), np.array([[wrong]]))
