import numpy as np
import pytest
from sklearn.metrics import (
    average_precision_score,
    balanced_accuracy_score,
    f1_score,
    precision_score,
    recall_score,
    roc_auc_score,
)

from csi_predictor.metrics import labels, ranking
from csi_predictor.metrics.bootstrap import resample_patients

NAN = float("nan")


@pytest.mark.parametrize("share", [0.02, 0.5, 0.97])
@pytest.mark.parametrize("decimals", [1, 6])  # many ties, and none
def test_areas_equal_scikit_learns_in_each_draw(share: float, decimals: int) -> None:
    rng = np.random.default_rng(4)
    is_positive = rng.random(300) < share
    score = np.round(is_positive * 0.2 + rng.random(300), decimals)
    patient_index = rng.integers(0, 60, 300)
    draws = rng.integers(0, 4, (60, 6)).astype(np.float32)
    areas = labels.ranked_areas(is_positive, score, patient_index, draws)
    references = (roc_auc_score, average_precision_score)
    for found, reference in zip(areas, references, strict=True):
        weights = draws[patient_index]
        expected = [reference(is_positive, score, sample_weight=w) for w in weights.T]
        np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_areas_equal_those_of_the_ranking_with_intervals__weakness_004_06(monkeypatch) -> None:
    monkeypatch.setattr(labels, "_CELLS_AT_ONCE", 500)  # several chunks of draws
    rng = np.random.default_rng(6)
    is_positive, score = rng.random(80) < 0.3, rng.random(80).round(1)
    resampling = resample_patients([f"p{i // 2}" for i in range(80)], rounds=40, seed=1)
    found = labels.ranked_areas(
        is_positive,
        score,
        resampling.patient_index,
        np.ascontiguousarray(resampling.weights.T),
    )
    for areas, reference in zip(found, (ranking.auroc, ranking.average_precision), strict=True):
        expected = resampling.by_image_weights(lambda w, f=reference: f(is_positive, score, w))
        np.testing.assert_allclose(areas, expected, rtol=1e-12)


@pytest.mark.parametrize("is_positive", [[True, True], [False, False], []])
def test_one_kind_only_has_no_area(is_positive) -> None:
    flags = np.array(is_positive, dtype=bool)
    index = np.arange(len(flags))
    draws = np.ones((len(flags), 3), dtype=np.float32)
    for area in labels.ranked_areas(flags, np.linspace(0, 1, len(flags)), index, draws):
        assert np.isnan(area).all()
        assert area.shape == (3,)


def test_figures_of_calls_equal_scikit_learns() -> None:
    rng = np.random.default_rng(2)
    truth, called = (rng.random(90) < 0.3), (rng.random(90) < 0.5)
    counts = labels.call_counts(truth.astype(float), called).sum(axis=0)
    assert labels.sensitivity(counts) == pytest.approx(recall_score(truth, called))
    assert labels.specificity(counts) == pytest.approx(recall_score(~truth, ~called))
    assert labels.precision(counts) == pytest.approx(precision_score(truth, called))
    assert labels.f1(counts) == pytest.approx(f1_score(truth, called))
    assert labels.accuracy(counts) == pytest.approx((truth == called).mean())


def test_an_unknown_answer_is_counted_nowhere__weakness_004_07() -> None:
    counts = labels.call_counts(np.array([1, NAN, 0, NAN]), np.array([True, True, False, False]))
    assert counts.tolist() == [[1, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 1], [0, 0, 0, 0]]


def test_what_never_occurs_has_no_figure() -> None:
    only_absent = np.array([0.0, 0.0, 1.0, 3.0])
    assert np.isnan(labels.sensitivity(only_absent))
    assert np.isnan(labels.f1(only_absent))
    assert labels.specificity(only_absent) == 0.75
    nothing_called = np.array([0.0, 2.0, 0.0, 3.0])
    assert np.isnan(labels.precision(nothing_called))
    assert labels.f1(nothing_called) == 0
    assert np.isnan(labels.specificity(np.array([1.0, 1.0, 0.0, 0.0])))
    assert np.isnan(labels.accuracy(np.zeros(4)))


def test_balanced_accuracy_equals_scikit_learns() -> None:
    rng = np.random.default_rng(1)
    truth, given = rng.integers(0, 3, 70), rng.integers(0, 3, 70)
    confusion = np.zeros((4, 4))  # the fourth class never occurs
    np.add.at(confusion, (truth, given), 1)
    expected = balanced_accuracy_score(truth, given)
    assert labels.balanced_accuracy(confusion) == pytest.approx(expected)


def test_the_mean_leaves_out_what_is_undefined() -> None:
    means = labels.mean_of_defined(np.array([[0.5, NAN, 1.0], [NAN, NAN, NAN]]))
    np.testing.assert_array_equal(means, [0.75, NAN])
