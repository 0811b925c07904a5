"""One grader against another: a model, a constant or a second reader against a reader."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from csi_predictor.evaluation.figures import Block, plain_counts, with_intervals
from csi_predictor.inference.predictions import Floats, mean_over_gradable
from csi_predictor.metrics import agreement, counts
from csi_predictor.metrics.bootstrap import Resampling
from csi_predictor.metrics.risk import RISKS, risk_class
from csi_predictor.specs import NUM_GRADES, ZONES


@dataclass(frozen=True, kw_only=True)
class Grading:
    """What one grader said.

    Attributes:
        grades: (N, Z) whole grades 0-3; NaN = not graded, left out of every figure.
        csi: (N,) mean grade; NaN where the grader gives none.
    """

    grades: Floats
    csi: Floats


@dataclass(frozen=True)
class RiskRule:
    """A CSI above these is of medium and of high risk."""

    medium_above: float
    high_above: float


def grading_of(grades: NDArray[Any]) -> Grading:
    """A grader whose CSI is the mean of the zones that it graded."""
    values = np.asarray(grades, dtype=np.float64)
    return Grading(grades=values, csi=mean_over_gradable(values))


def compare(truth: Grading, given: Grading, resampling: Resampling, *, risk: RiskRule) -> Block:
    """Every figure of `given` against `truth` with its interval: zones, sum, CSI, risk class."""
    each = counts.count_confusion(truth.grades, given.grades, num_classes=NUM_GRADES)
    by_zone = resampling.sums(each)  # (1 + R, Z, 4, 4)
    pooled = by_zone.sum(axis=1)
    sums = resampling.sums(agreement.pair_sums(_global_sum(truth), _global_sum(given)))
    indices = resampling.sums(agreement.pair_sums(truth.csi, given.csi))
    zone_pairs = agreement.pair_sums(truth.grades, given.grades).sum(axis=1)
    return (
        _sizes(pooled, sums, indices)
        | with_intervals(zone_figures(pooled))
        | with_intervals({"icc": agreement.icc(resampling.sums(zone_pairs))})
        | with_intervals(_pair_figures("global", sums))
        | with_intervals(_pair_figures("csi", indices))
        | {"confusion": plain_counts(pooled[0])}
        | {"risk": _risk_block(truth.csi, given.csi, resampling, risk)}
        | {"zones": {zone: _zone_block(by_zone[:, index]) for index, zone in enumerate(ZONES)}}
    )


def zone_figures(pooled: Floats, prefix: str = "zone_") -> dict[str, Floats]:
    """(1 + R, 4, 4) counts -> the draws of each figure."""
    return {
        f"{prefix}mae": counts.mean_absolute_error(pooled),
        f"{prefix}qwk": counts.quadratic_weighted_kappa(pooled),
        f"{prefix}accuracy": counts.accuracy(pooled),
        f"{prefix}within_one": counts.within_one(pooled),
        f"{prefix}f1_macro": counts.f1_macro(pooled),
        f"{prefix}f1_weighted": counts.f1_weighted(pooled),
        f"{prefix}bias": counts.mean_difference(pooled),
    }


def _sizes(pooled: Floats, sums: Floats, indices: Floats) -> Block:
    return {
        "n_zones": int(pooled[0].sum()),
        "n_global": int(agreement.count(sums)[0]),
        "n_csi": int(agreement.count(indices)[0]),
    }


def _global_sum(grading: Grading) -> Floats:
    """(N,) sum of the grades, 0-18; NaN unless every zone is graded."""
    return np.asarray(grading.grades.sum(axis=1))


def _pair_figures(name: str, sums: Floats) -> dict[str, Floats]:
    low, high = agreement.limits_of_agreement(sums)
    return {
        f"{name}_mae": agreement.mean_absolute_difference(sums),
        f"{name}_pearson": agreement.pearson(sums),
        f"{name}_icc": agreement.icc(sums),
        f"{name}_bias": agreement.bias(sums),
        f"{name}_limit_low": low,
        f"{name}_limit_high": high,
    }


def _zone_block(confusion: Floats) -> Block:
    block: Block = {"n": int(confusion[0].sum())}
    return (
        block
        | with_intervals(zone_figures(confusion, prefix=""))
        | {"confusion": plain_counts(confusion[0])}
    )


def _risk_block(
    true_csi: Floats, given_csi: Floats, resampling: Resampling, rule: RiskRule
) -> Block:
    true, given = (
        risk_class(csi, medium_above=rule.medium_above, high_above=rule.high_above)
        for csi in (true_csi, given_csi)
    )
    each = counts.count_confusion(true, given, num_classes=len(RISKS))
    confusion = resampling.sums(each)
    figures = {
        "accuracy": counts.accuracy(confusion),
        "qwk": counts.quadratic_weighted_kappa(confusion),
    }
    return with_intervals(figures) | {
        "n": int(confusion[0].sum()),
        "classes": list(RISKS),
        "medium_above": rule.medium_above,
        "high_above": rule.high_above,
        "confusion": plain_counts(confusion[0]),
    }
