import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss, log_loss

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


def test_confidence_one_is_kept__weakness_001_05() -> None:
    sums = sums_of(np.ones(4), np.array([True, False, False, False]))
    assert sums[-1].tolist() == [4, 4, 1]
    assert calibration.expected_calibration_error(sums) == 0.75


def test_confidence_zero_is_kept() -> None:
    assert sums_of(np.zeros(1), np.array([True]))[0, 0] == 1


def test_ece_weighs_bins_by_their_counts__weakness_001_05() -> None:
    confidence = np.array([0.5] * 9 + [0.95])
    is_right = np.array([True] * 5 + [False] * 5)
    expected = 0.9 * abs(5 / 9 - 0.5) + 0.1 * 0.95
    ece = calibration.expected_calibration_error(sums_of(confidence, is_right))
    assert ece == pytest.approx(expected)


def test_unknown_answers_are_left_out_and_nothing_is_undefined() -> None:
    sums = calibration.bin_sums(np.array([0.9]), np.array([True]), np.array([False])).sum(axis=0)
    assert np.isnan(calibration.expected_calibration_error(sums))


def test_the_largest_gap_is_that_of_scikit_learns_calibration_curve(answers) -> None:
    confidence, is_right = answers
    accuracy, mean_confidence = calibration_curve(is_right, confidence, n_bins=15)
    largest = calibration.maximum_calibration_error(sums_of(*answers))
    assert largest == pytest.approx(np.abs(accuracy - mean_confidence).max())


def test_the_largest_gap_by_hand() -> None:
    # bin 12: four of confidence 0.75, one right; bin 15: one of 0.95, right
    confidence = np.array([0.75, 0.75, 0.75, 0.75, 0.95])
    is_right = np.array([True, False, False, False, True])
    sums = sums_of(confidence, is_right)
    assert calibration.maximum_calibration_error(sums) == pytest.approx(0.5)
    assert calibration.expected_calibration_error(sums) == pytest.approx((4 * 0.5 + 0.05) / 5)
    both = calibration.maximum_calibration_error(np.stack([sums, np.zeros((15, 3))]))
    np.testing.assert_allclose(both, [0.5, np.nan])


@pytest.mark.parametrize("ties", [False, True], ids=["distinct", "tied"])
def test_adaptive_bins_equal_scikit_learns_quantile_bins__weakness_001_05(answers, ties) -> None:
    confidence, is_right = answers
    if ties:  # a tenth of the answers at each confidence: edges coincide
        confidence = np.round(confidence, 1)
    sums = calibration.adaptive_bin_sums(confidence, is_right)
    accuracy, mean_confidence = calibration_curve(
        is_right, confidence, n_bins=15, strategy="quantile"
    )
    ours_confidence, ours_accuracy = calibration.bin_means(sums[sums[:, 0] > 0])
    np.testing.assert_allclose(ours_accuracy, accuracy)
    np.testing.assert_allclose(ours_confidence, mean_confidence)
    assert sums[:, 0].sum() == len(confidence)


def test_adaptive_bins_hold_about_equally_many_answers() -> None:
    sums = calibration.adaptive_bin_sums(np.arange(150) / 150, np.ones(150, bool))
    assert sums[:, 0].tolist() == [10.0] * 15


@pytest.mark.parametrize("value", [0.0, 0.4, 1.0])
def test_adaptive_bins_keep_answers_that_are_all_alike__weakness_001_05(value) -> None:
    sums = calibration.adaptive_bin_sums(np.full(7, value), np.array([True] * 3 + [False] * 4))
    assert sums.sum(axis=0).tolist() == pytest.approx([7, 7 * value, 3])
    assert calibration.expected_calibration_error(sums) == pytest.approx(abs(3 / 7 - value))


def test_adaptive_bins_of_nothing_and_of_one_answer() -> None:
    nothing = calibration.adaptive_bin_sums(np.zeros(0), np.zeros(0, bool))
    assert np.isnan(calibration.expected_calibration_error(nothing))
    one = calibration.adaptive_bin_sums(np.ones(1), np.array([False]))
    assert calibration.expected_calibration_error(one) == 1.0


@pytest.fixture
def classes() -> tuple[np.ndarray, np.ndarray]:
    """Three hundred answers of three classes, some certain."""
    rng = np.random.default_rng(3)
    probs = rng.dirichlet(np.ones(3), 300)
    probs[:20] = np.eye(3)[rng.integers(0, 3, 20)]
    return probs, rng.integers(0, 3, 300).astype(float)


def test_class_wise_errors_are_those_of_each_class_for_itself(classes) -> None:
    probs, targets = classes
    is_known = np.ones(300, bool)
    ours = calibration.classwise_calibration_error(probs, targets, is_known)
    for answer in range(3):
        # the loop's first bin is open at 0, where ours is closed
        confidence = np.maximum(probs[:, answer], 1e-15)
        expected = second_implementation(confidence, targets == answer, 15)
        assert ours[answer] == pytest.approx(expected)


def test_brier_equals_scikit_learn(classes) -> None:
    probs, targets = classes
    ours = calibration.mean_score(calibration.brier_sums(probs, targets).sum(axis=0))
    assert ours == pytest.approx(brier_score_loss(targets, probs, scale_by_half=False))
    is_last = (targets == 2).astype(float)
    pair = np.stack([1 - probs[:, 2], probs[:, 2]], axis=-1)
    binary = calibration.mean_score(calibration.binary_brier_sums(pair, is_last).sum(axis=0))
    assert binary == pytest.approx(brier_score_loss(is_last, probs[:, 2]))
    both = calibration.mean_score(calibration.brier_sums(pair, is_last).sum(axis=0))
    assert both == pytest.approx(2 * binary)


def test_brier_is_2_where_a_certain_answer_is_wrong() -> None:
    sums = calibration.brier_sums(np.array([[1.0, 0, 0], [0, 1, 0]]), np.array([1.0, 1]))
    assert sums.tolist() == [[2, 1], [0, 1]]


def test_nll_equals_scikit_learn_certain_answers_included__weakness_001_05(classes) -> None:
    probs, targets = classes
    ours = calibration.mean_score(calibration.nll_sums(probs, targets).sum(axis=0))
    assert ours == pytest.approx(log_loss(targets, probs))
    wrong = calibration.nll_sums(np.array([1.0, 0.0]), np.array(1.0))
    assert wrong[0] == pytest.approx(-np.log(2.0**-52))


def test_unknown_answers_count_in_no_score() -> None:
    probs, targets = np.full((2, 2), 0.5), np.array([np.nan, 1.0])
    for sums in (calibration.brier_sums, calibration.binary_brier_sums, calibration.nll_sums):
        each = sums(probs, targets)
        assert each[0].tolist() == [0, 0]
        assert each[1, 1] == 1
        assert np.isnan(calibration.mean_score(each[:1].sum(axis=0)))
