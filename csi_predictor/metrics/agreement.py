"""Agreement of two measurements of the same subjects, from sums that add up over subjects.

`pair_sums` gives (..., 7) sums: n, x, y, x², y², xy and |y - x|. They add over subjects and over
bootstrap draws, and every figure here follows exactly from them. Undefined figures are NaN.
"""

import numpy as np
from numpy.typing import ArrayLike

from csi_predictor.metrics.counts import Floats, ratio

LIMITS_Z = 1.96
"""Limits of agreement hold 95 % of the differences: Bland and Altman 1986, Lancet 327:307-310."""
_ROUNDING = 1e-9  # a smaller share of a sum of squares is rounding, not spread


def pair_sums(x: ArrayLike, y: ArrayLike) -> Floats:
    """Values of shape (...) -> (..., 7); all 0 where either is NaN."""
    first, second = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    is_known = ~(np.isnan(first) | np.isnan(second))
    a, b = np.where(is_known, first, 0.0), np.where(is_known, second, 0.0)
    return np.stack([is_known * 1.0, a, b, a * a, b * b, a * b, np.abs(b - a)], axis=-1)


def count(sums: Floats) -> Floats:
    """Subjects with both values."""
    return sums[..., 0]


def mean_absolute_difference(sums: Floats) -> Floats:
    """Mean of |y - x|."""
    return ratio(sums[..., 6], sums[..., 0])


def bias(sums: Floats) -> Floats:
    """Mean of y - x."""
    return ratio(sums[..., 2] - sums[..., 1], sums[..., 0])


def limits_of_agreement(sums: Floats) -> tuple[Floats, Floats]:
    """Low and high: bias ± 1.96 standard deviations (n - 1) of y - x; NaN below two subjects.

    Source:
        Bland and Altman 1986, Lancet 327:307-310.
    """
    n, x, y, xx, yy, xy, _ = np.moveaxis(sums, -1, 0)
    squares = _spread(xx + yy - 2 * xy, y - x, n)
    half_width = LIMITS_Z * np.sqrt(ratio(squares, np.where(n > 1, n - 1, 0)))
    return bias(sums) - half_width, bias(sums) + half_width


def pearson(sums: Floats) -> Floats:
    """Pearson's correlation; NaN where either value doesn't vary."""
    n, x, y, xx, yy, xy, _ = np.moveaxis(sums, -1, 0)
    spread = np.sqrt(_spread(xx, x, n) * _spread(yy, y, n))
    return np.clip(ratio(xy - np.nan_to_num(ratio(x * y, n)), spread), -1, 1)


def icc(sums: Floats) -> Floats:
    """ICC(2,1) of the two measurements: `icc_2_1` for k = 2, from the sums."""
    n, x, y, xx, yy, xy, _ = np.moveaxis(sums, -1, 0)
    grand = (x + y) / 2
    rows = 2 * _spread((xx + yy + 2 * xy) / 4, grand, n)
    columns = np.nan_to_num(ratio((x - y) ** 2, 2 * n))
    total = _spread(xx + yy, x + y, 2 * n)
    return _icc_of_squares(rows, columns, total - rows - columns, n=n, k=2)


def icc_2_1(ratings: ArrayLike) -> float:
    """ICC(2,1): two-way random effects, absolute agreement, single rating.

    Args:
        ratings: (n, k), a row a subject and a column a rater, none missing.

    Source:
        Shrout and Fleiss 1979, Psychological Bulletin 86(2):420-428, ICC(2, 1).
    """
    table = np.asarray(ratings, dtype=np.float64)
    n, k = table.shape
    grand = table.mean()
    rows = k * ((table.mean(axis=1) - grand) ** 2).sum()
    columns = n * ((table.mean(axis=0) - grand) ** 2).sum()
    total = ((table - grand) ** 2).sum()
    return float(_icc_of_squares(rows, columns, total - rows - columns, n=np.asarray(n), k=k))


def _icc_of_squares(
    rows: ArrayLike, columns: ArrayLike, residual: ArrayLike, *, n: ArrayLike, k: int
) -> Floats:
    """ICC(2,1) from the two-way analysis of variance; NaN below two subjects or without spread."""
    subjects = np.asarray(n, dtype=np.float64)
    freedom = np.where(subjects > 1, subjects - 1, 0)
    between = ratio(rows, freedom)
    raters = np.asarray(columns) / (k - 1)
    error = ratio(residual, freedom * (k - 1))
    rater_share = np.nan_to_num(ratio(k * (raters - error), subjects))
    return ratio(between - error, between + (k - 1) * error + rater_share)


def _spread(squares: Floats, total: Floats, n: Floats) -> Floats:
    """Sum of squares about the mean, exactly 0 where nothing but rounding is left."""
    spread = squares - np.nan_to_num(ratio(total * total, n))
    return np.where(spread > _ROUNDING * np.abs(squares), spread, 0.0)
