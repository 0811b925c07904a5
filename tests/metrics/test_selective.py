"""Risk and coverage, against scikit-learn, scipy, all orders of ties and small tables by hand."""

from itertools import permutations

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import precision_recall_curve, roc_auc_score

from csi_predictor.metrics import selective
from csi_predictor.metrics.bootstrap import resample_patients

RNG = np.random.default_rng(11)
UNSURE = RNG.random(300)
WRONG = RNG.random(300) < 0.6 * UNSURE


def test_the_curve_of_five_answers_by_hand() -> None:
    unsure = np.array([0.5, 0.1, 0.9, 0.3, 0.7])
    loss = np.array([1.0, 0.0, 1.0, 1.0, 0.0])  # in order: 0 1 1 0 1
    coverage, risk = selective.risk_coverage(unsure, loss)
    np.testing.assert_allclose(coverage, [0.2, 0.4, 0.6, 0.8, 1.0])
    np.testing.assert_allclose(risk, [0, 1 / 2, 2 / 3, 2 / 4, 3 / 5])
    assert selective.risk_at(unsure, loss, coverage=0.8) == 0.5
    assert selective.risk_at(unsure, loss, coverage=1.0) == pytest.approx(0.6)
    assert selective.risk_at(unsure, loss, coverage=0.01) == 0  # at least one answer is kept
    assert selective.aurc(unsure, loss) == pytest.approx((1 / 2 + 2 / 3 + 2 / 4 + 3 / 5) / 5)


def test_each_risk_is_one_minus_scikit_learns_precision_of_being_right() -> None:
    precision, _, thresholds = precision_recall_curve(~WRONG, -UNSURE)
    by_coverage = 1 - precision[:-1][np.argsort(-thresholds)]
    _, risk = selective.risk_coverage(UNSURE, WRONG.astype(float))
    np.testing.assert_allclose(risk, by_coverage)
    assert selective.aurc(UNSURE, WRONG.astype(float)) == pytest.approx(by_coverage.mean())


def test_ties_count_as_the_mean_of_all_their_orders() -> None:
    unsure, loss = np.array([0.2, 0.5, 0.5, 0.5, 0.9]), np.array([0.0, 1.0, 0.0, 2.0, 1.0])
    risks = []
    for order in permutations([1, 2, 3]):
        ordered = loss[[0, *order, 4]]
        risks.append(np.cumsum(ordered) / np.arange(1, 6))
    _, found = selective.risk_coverage(unsure, loss)
    np.testing.assert_allclose(found, np.mean(risks, axis=0))


def test_a_measure_that_is_always_the_same_is_worth_chance() -> None:
    loss = WRONG.astype(float)
    same = np.zeros(300)
    assert selective.aurc(same, loss) == pytest.approx(loss.mean())
    assert selective.risk_at(same, loss, coverage=0.8) == pytest.approx(loss.mean())
    assert selective.error_auroc(same, WRONG) == 0.5
    assert np.isnan(selective.spearman(same, loss)).all()
    assert np.isnan(selective.point_biserial(same, WRONG)).all()


def test_the_ideal_order_has_the_published_area() -> None:
    """Geifman et al. 2019, arXiv:1805.08206: r + (1 - r) ln(1 - r) of many answers."""
    loss = (np.arange(20_000) < 3000).astype(float)
    ideal = selective.ideal_risk(loss)
    assert ideal.mean() == pytest.approx(0.15 + 0.85 * np.log(0.85), abs=1e-4)
    assert selective.aurc(loss, loss) == pytest.approx(ideal.mean())
    assert selective.excess_aurc(loss, loss) == 0
    assert selective.excess_aurc(-loss, loss) > 0.1


def test_auroc_of_errors_is_scikit_learns() -> None:
    rounded = UNSURE.round(1)
    assert selective.error_auroc(rounded, WRONG) == pytest.approx(roc_auc_score(WRONG, rounded))


def test_correlations_and_their_p_values_are_scipys() -> None:
    loss = WRONG * RNG.integers(1, 4, 300).astype(float)
    expected = stats.spearmanr(UNSURE, loss)
    assert selective.spearman(UNSURE, loss) == (expected.statistic, expected.pvalue)
    # the point-biserial correlation is Pearson's with one variable of 0 and 1
    expected = stats.pearsonr(UNSURE, WRONG.astype(float))
    found = selective.point_biserial(UNSURE, WRONG)
    assert found == pytest.approx((expected.statistic, expected.pvalue))


def test_the_point_biserial_correlation_by_hand() -> None:
    """Means 3 and 1, standard deviation of all 1.118..., half of the answers wrong."""
    unsure, wrong = np.array([2.5, 3.5, 0.5, 1.5]), np.array([True, True, False, False])
    found, _ = selective.point_biserial(unsure, wrong)
    assert found == pytest.approx((3 - 1) / np.std(unsure) * 0.5)


@pytest.mark.parametrize("is_wrong", [False, True])
def test_with_one_kind_only_ranking_has_no_meaning(is_wrong: bool) -> None:
    wrong = np.full(5, is_wrong)
    assert np.isnan(selective.error_auroc(UNSURE[:5], wrong))
    assert np.isnan(selective.point_biserial(UNSURE[:5], wrong)).all()
    assert np.isnan(selective.spearman(UNSURE[:5], wrong.astype(float))).all()
    assert selective.aurc(UNSURE[:5], wrong.astype(float)) == is_wrong


def test_two_answers_are_too_few_for_a_correlation() -> None:
    assert np.isnan(selective.spearman(np.array([0.1, 0.2]), np.array([0.0, 1.0]))).all()


def test_no_answer_has_no_figure() -> None:
    none = np.zeros(0)
    assert np.isnan(selective.aurc(none, none))
    assert np.isnan(selective.risk_at(none, none, coverage=0.8))
    assert np.isnan(selective.error_auroc(none, none.astype(bool)))
    assert len(selective.risk_coverage(none, none)[0]) == 0
    draws = np.ones((3, 4), dtype=np.float32)
    found = selective.risk_draws(none, none[:, None], none.astype(int), draws, coverage=0.8)
    assert found.shape == (4, 1)
    assert np.isnan(found).all()


@pytest.mark.parametrize("num_blocks", [1, 7, 256])
@pytest.mark.parametrize("decimals", [0, 1, 9])  # one or two values, many ties, none
def test_draws_equal_the_figure_of_the_answers_as_often_as_drawn(
    monkeypatch, num_blocks: int, decimals: int
) -> None:
    monkeypatch.setattr(selective, "_NUM_BLOCKS", num_blocks)
    unsure = UNSURE.round(decimals)
    losses = np.stack([WRONG, WRONG * RNG.integers(1, 4, 300)], axis=1).astype(float)
    resampling = resample_patients([str(i % 40) for i in range(300)], rounds=12, seed=5)
    draws = np.ascontiguousarray(resampling.weights.T)
    for coverage in (0.8, 1.0, 0.05):
        found = selective.risk_draws(
            unsure, losses, resampling.patient_index, draws, coverage=coverage
        )
        for draw, weights in enumerate(resampling.weights[:, resampling.patient_index]):
            repeated = np.repeat(np.arange(300), weights.astype(int))
            for column in range(2):
                expected = selective.risk_at(
                    unsure[repeated], losses[repeated, column], coverage=coverage
                )
                assert found[draw, column] == pytest.approx(expected, abs=1e-9)


def test_a_draw_without_an_answer_has_no_risk() -> None:
    draws = np.array([[1, 0, 2], [1, 2, 0]], dtype=np.float32)  # (P, R): only patient 0 has any
    found = selective.risk_draws(
        np.array([0.1, 0.4]), np.array([[0.0], [1.0]]), np.array([0, 0]), draws, coverage=1.0
    )
    np.testing.assert_allclose(found[:, 0], [0.5, np.nan, 0.5])
