"""Figures of graded zones as single numbers, pooled over all zones that are gradable."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from csi_predictor.metrics import counts
from csi_predictor.specs import NUM_GRADES


def zone_mae(targets: NDArray[Any], grades: NDArray[Any]) -> float:
    """Mean absolute error of the grade, 0-3.

    Args:
        targets: (N, Z), NaN = ungradable, left out.
        grades: (N, Z), the grade given, 0-3.
    """
    return float(counts.mean_absolute_error(zone_confusion(targets, grades).sum(axis=0)))


def zone_qwk(targets: NDArray[Any], grades: NDArray[Any]) -> float:
    """Quadratic weighted kappa, at most 1; NaN where the truth has one grade only.

    Args:
        targets: (N, Z), NaN = ungradable, left out.
        grades: (N, Z), the grade given, 0-3.
    """
    pooled = zone_confusion(targets, grades).sum(axis=0)
    return float(counts.quadratic_weighted_kappa(pooled))


def zone_confusion(targets: NDArray[Any], grades: NDArray[Any]) -> counts.Floats:
    """(N, Z) and (N, Z) -> (Z, 4, 4) counts; rows are the truth."""
    each = counts.count_confusion(targets, grades, num_classes=NUM_GRADES)
    return np.asarray(each.sum(axis=0))
