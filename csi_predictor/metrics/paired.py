"""Whether two models differ on the same images, or many differences at once are chance."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import bdtr, chdtrc

from csi_predictor.metrics.counts import Floats

_SMALLEST_SHARE = 0.5  # of the draws in which a figure must be defined, as for its interval


@dataclass(frozen=True, kw_only=True)
class McNemar:
    """Two models' right and wrong answers about the same images.

    Attributes:
        only_first: Images in which the first model alone is right.
        only_second: Images in which the second one alone is.
        p: Two-sided, exact; 1 where they never differ.
        chi_square: With continuity correction; NaN where they never differ.
        p_chi_square: Of `chi_square`.
    """

    only_first: int
    only_second: int
    p: float
    chi_square: float
    p_chi_square: float


def mcnemar(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> McNemar:
    """Whether one of two models is right more often than the other, of M independent images.

    Images of one patient, and zones of one image, aren't independent: over those p is too small.

    Args:
        first: (M,) where the first model is right.
        second: (M,) where the second one is.

    Source:
        McNemar 1947, Psychometrika 12(2):153-157; the correction of Edwards 1948, Psychometrika
        13(3):185-187; exact: the binomial test of the images in which they differ.
    """
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    num_different = only_first + only_second
    if not num_different:
        nan = float("nan")
        return McNemar(only_first=0, only_second=0, p=1.0, chi_square=nan, p_chi_square=nan)
    below = bdtr(min(only_first, only_second), num_different, 0.5)
    chi_square = max(abs(only_first - only_second) - 1, 0) ** 2 / num_different
    return McNemar(
        only_first=only_first,
        only_second=only_second,
        p=float(min(1.0, 2 * below)),
        chi_square=chi_square,
        p_chi_square=float(chdtrc(1, chi_square)),
    )


def bootstrap_p(differences: Floats) -> float:
    """Two-sided p of a difference of 0, from the draws (1 + R,) that make its interval.

    Twice the share of draws on the far side of 0, the set itself counted as a draw: it is below
    0.05 about where the 95 % percentile interval leaves 0 out, and never below 2 / (1 + R). NaN
    where the interval is.

    Source:
        Efron and Tibshirani 1993, An Introduction to the Bootstrap, chapter 15; the set counted as
        a draw: Davison and Hinkley 1997, Bootstrap Methods and their Application, section 4.2.
    """
    rounds = differences[1:]
    defined = rounds[~np.isnan(rounds)]
    if np.isnan(differences[0]) or not _is_enough(defined, rounds):
        return float("nan")
    far = min((defined <= 0).sum(), (defined >= 0).sum())
    return float(min(1.0, 2 * (1 + far) / (1 + len(defined))))


def shuffled_p(figures: Floats) -> float:
    """Two-sided p of a figure among those of shuffled groups (1 + R,), of which the first is real.

    The share of all that lie at least as far from their mean as the first. Exact for any figure and
    any group, however small, since the real group is one of equally likely ones. NaN where the
    figure is undefined, or undefined in most of the shuffles.

    Source:
        Fisher's permutation test; the real one counted: Phipson and Smyth 2010, Statistical
        Applications in Genetics and Molecular Biology 9(1):39.
    """
    defined = figures[~np.isnan(figures)]
    if np.isnan(figures[0]) or not _is_enough(defined[1:], figures[1:]):
        return float("nan")
    distance = np.abs(defined - defined.mean())
    rounding = 1e-12 * np.abs(defined).max()
    return float((distance >= distance[0] - rounding).mean())


def holm(p_values: ArrayLike) -> Floats:
    """Each p corrected for how many there are; NaN is none and stays NaN.

    Of all that lie below 0.05 the chance that even one is a false alarm is at most 0.05.

    Source:
        Holm 1979, Scandinavian Journal of Statistics 6(2):65-70.
    """
    values = np.asarray(p_values, dtype=np.float64)
    adjusted = np.full(values.shape, np.nan)
    known = np.flatnonzero(~np.isnan(values))
    order = known[np.argsort(values[known], kind="stable")]
    times = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(values[order] * times), 1.0)
    return adjusted


def _is_enough(defined: Floats, draws: Floats) -> bool:
    return bool(len(defined)) and len(defined) >= _SMALLEST_SHARE * len(draws)
