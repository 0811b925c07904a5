import numpy as np
import pytest
from sklearn.calibration import calibration_curve

from csi_predictor.metrics import calibration


def sums_of(confidence: np.ndarray, is_right: np.ndarray) -> np.ndarray:
    return calibration.bin_sums(confidence, is_right, np.ones(len(confidence), bool)).sum(axis=0)


def second_implementation(confidence: np.ndarray, is_right: np.ndarray, num_bins: int) -> float:
    """The definition of Guo et al. 2017 in a loop over right-closed bins."""
    total = 0.0
    for index in range(num_bins):
        low, high = index / num_bins, (index + 1) / num_bins
        inside = (confidence > low) & (confidence <= high)
        if inside.any():
            gap = abs(confidence[inside].mean() - is_right[inside].mean())
            total += inside.mean() * gap
    return total


@pytest.fixture
def answers() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(11)
    confidence = np.concatenate([rng.uniform(0.25, 1, 400), np.ones(60)])
    return confidence, rng.random(460) < confidence**2


def test_ece_equals_a_second_implementation(answers) -> None:
    ece = calibration.expected_calibration_error(sums_of(*answers))
    assert ece == pytest.approx(second_implementation(*answers, 15))


def test_bins_equal_scikit_learns_calibration_curve(answers) -> None:
    confidence, is_right = answers
    accuracy, mean_confidence = calibration_curve(is_right, confidence, n_bins=15)
    ours_confidence, ours_accuracy = calibration.bin_means(sums_of(*answers))
    np.testing.assert_allclose(ours_accuracy[~np.isnan(ours_accuracy)], accuracy)
    np.testing.assert_allclose(ours_confidence[~np.isnan(ours_confidence)], mean_confidence)


def test_confidence_one_is_kept__weakness_001_5() -> None:
    sums = sums_of(np.ones(4), np.array([True, False, False, False]))
    assert sums[-1].tolist() == [4, 4, 1]
    assert calibration.expected_calibration_error(sums) == 0.75


def test_confidence_zero_is_kept() -> None:
    assert sums_of(np.zeros(1), np.array([True]))[0, 0] == 1


def test_ece_weighs_bins_by_their_counts__weakness_001_5() -> None:
    confidence = np.array([0.5] * 9 + [0.95])
    is_right = np.array([True] * 5 + [False] * 5)
    expected = 0.9 * abs(5 / 9 - 0.5) + 0.1 * 0.95
    ece = calibration.expected_calibration_error(sums_of(confidence, is_right))
    assert ece == pytest.approx(expected)


def test_unknown_answers_are_left_out_and_nothing_is_undefined() -> None:
    sums = calibration.bin_sums(np.array([0.9]), np.array([True]), np.array([False])).sum(axis=0)
    assert np.isnan(calibration.expected_calibration_error(sums))
