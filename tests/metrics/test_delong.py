import time

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from csi_predictor.metrics.delong import RocAreas, area_difference, logit_interval, roc_areas

NAN = float("nan")


def make_scores(num_images: int, decimals: int, seed: int = 0):
    """Positives and two correlated scores, with many ties at one decimal."""
    rng = np.random.default_rng(seed)
    is_positive = rng.random(num_images) < 0.35
    shared = rng.normal(size=num_images)
    scores = np.stack(
        [is_positive * size + shared + rng.normal(size=num_images) for size in (1, 2)]
    )
    return is_positive, scores.round(decimals)


def delong_by_definition(is_positive, scores):
    """Areas and covariance by equations 4 to 6 of DeLong et al. 1988, pair by pair."""
    first, second = [], []
    for score in scores:
        x, y = score[is_positive], score[~is_positive]
        psi = (x[:, None] > y[None, :]) + 0.5 * (x[:, None] == y[None, :])
        first.append(psi.mean(axis=1))
        second.append(psi.mean(axis=0))
    covariance = np.cov(first) / len(first[0]) + np.cov(second) / len(second[0])
    return [components.mean() for components in first], covariance


def obuchowski_by_definition(is_positive, scores, patients):
    """Areas and covariance by the sums over clusters of Obuchowski 1997, pair by pair."""
    areas, table = [], []
    for score in scores:
        x, y = score[is_positive], score[~is_positive]
        psi = (x[:, None] > y[None, :]) + 0.5 * (x[:, None] == y[None, :])
        areas.append(psi.mean())
        components = np.empty(len(score))
        components[is_positive], components[~is_positive] = psi.mean(axis=1), psi.mean(axis=0)
        table.append(components)
    m, n = is_positive.sum(), (~is_positive).sum()
    names = sorted(set(patients))
    t10, t01 = np.zeros((2, len(names))), np.zeros((2, len(names)))
    for r in range(2):
        for i, name in enumerate(names):
            mine = patients == name
            t10[r, i] = sum(v - areas[r] for v in table[r][mine & is_positive])
            t01[r, i] = sum(v - areas[r] for v in table[r][mine & ~is_positive])
    with_positive = len(set(patients[is_positive]))
    with_negative = len(set(patients[~is_positive]))
    covariance = np.empty((2, 2))
    for r in range(2):
        for s in range(2):
            s10 = with_positive / ((with_positive - 1) * m) * (t10[r] @ t10[s])
            s01 = with_negative / ((with_negative - 1) * n) * (t01[r] @ t01[s])
            s11 = len(names) / (len(names) - 1) * (t10[r] @ t01[s])
            s11_turned = len(names) / (len(names) - 1) * (t10[s] @ t01[r])
            covariance[r, s] = s10 / m + s01 / n + (s11 + s11_turned) / (m * n)
    return areas, covariance


@pytest.mark.parametrize("decimals", [0, 1, 8])
def test_areas_are_scikit_learns(decimals: int) -> None:
    is_positive, scores = make_scores(83, decimals)
    expected = [roc_auc_score(is_positive, score) for score in scores]
    np.testing.assert_allclose(roc_areas(is_positive, scores).values, expected, rtol=1e-12)


@pytest.mark.parametrize("decimals", [0, 1, 8])
def test_variance_is_that_of_the_published_formulas_pair_by_pair(decimals: int) -> None:
    is_positive, scores = make_scores(83, decimals, seed=3)
    areas, covariance = delong_by_definition(is_positive, scores)
    found = roc_areas(is_positive, scores)
    np.testing.assert_allclose(found.values, areas, rtol=1e-12)
    np.testing.assert_allclose(found.covariance, covariance, rtol=1e-10)


def test_two_positives_and_two_negatives_by_hand() -> None:
    """Positives 4 and 2, negatives 1 and 3: shares beaten 1 and 1/2, beaten by 1 and 1/2.

    The variance of (1, 1/2) is 1/8, so 1/16 of the positives and 1/16 of the negatives.
    """
    found = roc_areas(np.array([True, True, False, False]), np.array([[4.0, 2.0, 1.0, 3.0]]))
    assert found.values[0] == 0.75
    assert found.covariance[0, 0] == pytest.approx(1 / 8)


def test_a_table_of_ratings_has_hanley_and_mcneils_area() -> None:
    """Hanley and McNeil 1982, Radiology 143:29-36, table 1: 109 CT images, area 0.893.

    Their standard error of the Wilcoxon statistic is 0.032.
    """
    normal, abnormal = (33, 6, 6, 11, 2), (3, 2, 2, 11, 33)
    score = np.repeat([1.0, 2, 3, 4, 5] * 2, normal + abnormal)
    is_positive = np.repeat([False, True], [sum(normal), sum(abnormal)])
    found = roc_areas(is_positive, score[None])
    assert found.values[0] == pytest.approx(0.893, abs=0.0005)
    assert np.sqrt(found.covariance[0, 0]) == pytest.approx(0.032, abs=0.0015)


def test_the_variance_by_patients_is_that_of_the_published_sums() -> None:
    is_positive, scores = make_scores(90, 1, seed=4)
    patients = np.random.default_rng(1).integers(0, 31, 90)
    areas, covariance = obuchowski_by_definition(is_positive, scores, patients)
    found = roc_areas(is_positive, scores, patient_index=patients)
    np.testing.assert_allclose(found.values, areas, rtol=1e-12)
    np.testing.assert_allclose(found.covariance, covariance, rtol=1e-10)


def test_with_one_image_a_patient_the_variance_by_patients_is_delongs() -> None:
    is_positive, scores = make_scores(70, 1, seed=5)
    patients = np.random.default_rng(2).permutation(70)
    delong = roc_areas(is_positive, scores)
    by_patient = roc_areas(is_positive, scores, patient_index=patients)
    np.testing.assert_allclose(by_patient.covariance, delong.covariance, rtol=1e-10)


def test_copies_of_each_image_add_no_certainty() -> None:
    is_positive, scores = make_scores(60, 2, seed=6)
    once = roc_areas(is_positive, scores)
    copied = [np.tile(is_positive, 3), np.tile(scores, 3)]
    by_patient = roc_areas(*copied, patient_index=np.tile(np.arange(60), 3))
    np.testing.assert_allclose(by_patient.covariance, once.covariance, rtol=1e-10)
    as_if_independent = roc_areas(*copied).covariance
    np.testing.assert_allclose(as_if_independent, once.covariance / 3, rtol=0.05)


def test_intervals_by_patients_cover_where_images_of_a_patient_are_alike() -> None:
    """400 sets of 40 patients with 4 images: of 95 % intervals 93 % or more hold the true area."""
    rng = np.random.default_rng(7)
    true = stats.norm.cdf(1.5 / 2)  # two normals of variance 2, 1.5 apart
    covered = []
    for _ in range(400):
        patients = np.repeat(np.arange(40), 4)
        is_positive = np.repeat(rng.random(40) < 0.5, 4)
        noise = np.repeat(rng.normal(size=40), 4) + rng.normal(size=160)
        found = roc_areas(is_positive, (is_positive * 1.5 + noise)[None], patient_index=patients)
        low, high = logit_interval(found.values[0], found.covariance[0, 0])
        covered.append(low <= true <= high)
    assert 0.92 <= np.mean(covered) <= 0.98


def test_the_interval_is_symmetrical_in_the_logit_and_stays_below_one() -> None:
    low, high = logit_interval(0.9, 0.05**2)  # 0.05 / 0.09 = 0.5556; logit 2.1972 ± 1.0889
    assert (low, high) == pytest.approx((0.7518, 0.9640), abs=2e-4)
    assert logit_interval(0.99, 0.03**2)[1] < 1


@pytest.mark.parametrize(
    ("area", "variance"), [(1.0, 0.0), (0.0, 0.0), (0.5, 0.0), (0.8, NAN), (NAN, NAN)]
)
def test_an_area_without_variance_has_no_interval(area: float, variance: float) -> None:
    assert np.isnan(logit_interval(area, variance)).all()


def test_perfect_ranking_has_an_area_and_no_variance() -> None:
    found = roc_areas(np.array([True, True, False, False]), np.array([[4.0, 3.0, 2.0, 1.0]]))
    assert (found.values[0], found.covariance[0, 0]) == (1.0, 0.0)


@pytest.mark.parametrize("is_positive", [[True, True], [False, False], []])
def test_one_kind_only_has_no_area(is_positive) -> None:
    flags = np.array(is_positive, dtype=bool)
    found = roc_areas(flags, np.zeros((2, len(flags))))
    assert np.isnan(found.values).all()
    assert np.isnan(found.covariance).all()
    assert np.isnan(area_difference(found).p)


@pytest.mark.parametrize("patients", [[0, 1, 2, 3], [0, 0, 0, 0], [0, 0, 1, 2]])
def test_positives_of_one_patient_have_no_variance(patients) -> None:
    is_positive = np.array([True, patients[0] == patients[1], False, False])
    found = roc_areas(is_positive, np.array([[3.0, 2, 2, 1]]), patient_index=patients)
    assert np.isfinite(found.values).all()
    assert np.isnan(found.covariance).all()


def test_the_difference_of_two_areas_is_tested_by_its_own_variance() -> None:
    is_positive, scores = make_scores(120, 1, seed=8)
    areas, covariance = delong_by_definition(is_positive, scores)
    variance = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
    z = (areas[0] - areas[1]) / np.sqrt(variance)
    found = area_difference(roc_areas(is_positive, scores))
    assert found.value == pytest.approx(areas[0] - areas[1])
    assert found.p == pytest.approx(2 * stats.norm.sf(abs(z)))
    assert (found.ci_low + found.ci_high) / 2 == pytest.approx(found.value)
    assert found.ci_high - found.value == pytest.approx(1.959964 * np.sqrt(variance), rel=1e-6)


def test_scores_that_order_alike_cant_be_told_apart() -> None:
    is_positive, scores = make_scores(50, 1)
    found = area_difference(roc_areas(is_positive, np.stack([scores[0], 3 * scores[0] - 1])))
    assert (found.value, found.ci_low, found.ci_high, found.p) == (0.0, 0.0, 0.0, 1.0)


def test_a_difference_that_doesnt_vary_isnt_tested() -> None:
    areas = RocAreas(np.array([1.0, 0.5]), np.zeros((2, 2)))
    found = area_difference(areas)
    assert found.value == 0.5
    assert np.isnan([found.ci_low, found.ci_high, found.p]).all()


def test_of_equal_scores_one_in_twenty_differences_is_below_5_percent() -> None:
    rng = np.random.default_rng(9)
    found = []
    for _ in range(600):
        is_positive = rng.random(80) < 0.4
        scores = is_positive * 1.0 + rng.normal(size=(2, 80)) + rng.normal(size=80)
        found.append(area_difference(roc_areas(is_positive, scores)).p)
    assert np.mean(np.array(found) < 0.05) == pytest.approx(0.05, abs=0.025)


def test_twenty_thousand_images_take_a_fraction_of_a_second() -> None:
    is_positive, scores = make_scores(20_000, 8)
    start = time.perf_counter()
    roc_areas(is_positive, scores, patient_index=np.arange(20_000) // 2)
    assert time.perf_counter() - start < 2  # pair by pair: 90 million comparisons a score
