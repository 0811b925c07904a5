import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from csi_predictor.metrics.zones import zone_confusion, zone_mae, zone_qwk

TARGETS = np.array([[0, 1, np.nan, 3, 2, 2], [1, np.nan, 0, 2, 3, 0.0]])
GRADES = np.array([[0, 2, 3, 1, 2, 2], [1, 3, 0, 2, 2, 0]])


def test_mae_skips_ungradable_zones() -> None:
    assert zone_mae(TARGETS, GRADES) == pytest.approx((1 + 2 + 1) / 10)


def test_kappa_equals_scikit_learns_over_the_gradable_zones() -> None:
    known = np.isfinite(TARGETS)
    expected = cohen_kappa_score(TARGETS[known], GRADES[known], weights="quadratic")
    assert zone_qwk(TARGETS, GRADES) == pytest.approx(expected)


def test_each_zone_has_its_own_table() -> None:
    tables = zone_confusion(TARGETS, GRADES)
    assert tables.sum(axis=(1, 2)).tolist() == [2, 1, 1, 2, 2, 2]
    assert tables[3, 3, 1] == 1


def test_without_gradable_zone_both_are_undefined() -> None:
    nothing = np.full((2, 6), np.nan)
    assert np.isnan(zone_mae(nothing, GRADES))
    assert np.isnan(zone_qwk(nothing, GRADES))


def test_float32_targets_are_taken() -> None:
    assert zone_mae(TARGETS.astype(np.float32), GRADES) == pytest.approx(0.4)
