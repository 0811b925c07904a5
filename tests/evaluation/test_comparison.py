import numpy as np

from csi_predictor.evaluation.comparison import RiskRule, compare, grading_of
from csi_predictor.metrics.bootstrap import resample_patients

RISK = RiskRule(medium_above=1.3, high_above=2.2)


def block_of(truth: list[list[float]], given: list[list[float]]) -> dict:
    resampling = resample_patients([str(i) for i in range(len(truth))], rounds=0, seed=0)
    graders = (grading_of(np.array(grades, dtype=float)) for grades in (truth, given))
    return compare(*graders, resampling, risk=RISK)


def test_a_sum_needs_all_six_zones_of_both() -> None:
    block = block_of([[1] * 6, [1] * 6], [[2] * 6, [2] * 5 + [np.nan]])
    assert (block["n_zones"], block["n_global"], block["n_csi"]) == (11, 1, 2)
    assert block["global_mae"] == 6
    assert block["csi_mae"] == 1


def test_bias_is_positive_where_graded_too_high() -> None:
    block = block_of([[1] * 6], [[2] * 6])
    assert block["zone_bias"] == block["csi_bias"] == 1
    assert block["global_bias"] == 6


def test_risk_is_that_of_the_mean_grade() -> None:
    block = block_of([[0] * 6, [3] * 6], [[2] * 6, [3] * 6])
    assert block["risk"]["confusion"] == [[0, 1, 0], [0, 0, 0], [0, 0, 1]]
    assert block["risk"]["accuracy"] == 0.5


def test_each_zone_is_named_by_the_patients_side() -> None:
    block = block_of([[0, 0, 0, 0, 0, 0]], [[3, 0, 0, 0, 0, 0]])
    assert block["zones"]["right_sup"]["mae"] == 3
    assert block["zones"]["left_sup"]["mae"] == 0
