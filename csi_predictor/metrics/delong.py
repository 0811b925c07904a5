"""Areas under the ROC curve with their variance, without any resampling.

`roc_areas` takes one or several scores of the same images. With one image a patient its variance is
that of DeLong et al. 1988, which assumes independent images. Images of one patient aren't: with
several of them `patient_index` has to be given, and the variance is that of Obuchowski 1997, which
sums the structural components by patient first and is DeLong's where each patient has one image.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, logit, ndtr, ndtri
from scipy.stats import rankdata

from csi_predictor.metrics.bootstrap import LEVEL
from csi_predictor.metrics.counts import Floats, ratio

_ROUNDING = 1e-15  # a smaller variance is rounding


@dataclass(frozen=True, eq=False)
class RocAreas:
    """Areas of S scores of the same images.

    Attributes:
        values: (S,) area under the ROC curve, ties counting half; NaN without both kinds.
        covariance: (S, S); NaN where fewer than two patients have a positive, or a negative.
    """

    values: Floats
    covariance: Floats


@dataclass(frozen=True, kw_only=True)
class AreaDifference:
    """First area minus second one.

    Attributes:
        value: The difference.
        ci_low: Of its 95 % interval.
        ci_high: Of its 95 % interval.
        p: Of the null hypothesis that the areas are equal, two-sided.
    """

    value: float
    ci_low: float
    ci_high: float
    p: float


def roc_areas(
    is_positive: NDArray[np.bool_], scores: Floats, *, patient_index: ArrayLike | None = None
) -> RocAreas:
    """Area of each score and their covariance, in the time of a sort.

    Args:
        is_positive: (M,).
        scores: (S, M), higher = more likely positive.
        patient_index: (M,) the patient of each image; None = each is of another one.

    Source:
        DeLong, DeLong and Clarke-Pearson 1988, Biometrics 44(3):837-845; Sun and Xu 2014, IEEE
        Signal Processing Letters 21(11):1389-1393 (by midranks); Obuchowski 1997, Biometrics
        53(2):567-578 (by patients).
    """
    num_scores, num_images = scores.shape
    num_positive = int(is_positive.sum())
    num_negative = num_images - num_positive
    if not (num_positive and num_negative):
        return RocAreas(np.full(num_scores, np.nan), np.full((num_scores, num_scores), np.nan))
    of_positives, of_negatives = _components(is_positive, scores)
    values = of_positives.mean(axis=1)
    index = np.arange(num_images) if patient_index is None else np.asarray(patient_index)
    patients, patient = np.unique(index, return_inverse=True)
    shape = (len(patients), num_scores)
    first, second = np.zeros(shape), np.zeros(shape)
    np.add.at(first, patient[is_positive], (of_positives - values[:, None]).T)
    np.add.at(second, patient[~is_positive], (of_negatives - values[:, None]).T)
    positive, negative, both = (
        _shrink(np.unique(patient[kind]).size)
        for kind in (is_positive, ~is_positive, np.ones(num_images, dtype=bool))
    )
    mixed = both * first.T @ second / (num_positive * num_negative)
    covariance = (
        positive * first.T @ first / num_positive**2
        + negative * second.T @ second / num_negative**2
        + mixed
        + mixed.T
    )
    return RocAreas(values, covariance)


def logit_interval(area: float, variance: float) -> tuple[float, float]:
    """95 % interval of one area, symmetrical in its logit, so that it stays between 0 and 1.

    NaN, NaN where the area is 0 or 1, or doesn't vary: the images don't tell how far off it is.

    Source:
        Pepe 2003, The Statistical Evaluation of Medical Tests, section 5.2.
    """
    if not (0 < area < 1 and variance > _ROUNDING):
        return float("nan"), float("nan")
    half_width = _normal_quantile() * np.sqrt(variance) / (area * (1 - area))
    centre = logit(area)
    return float(expit(centre - half_width)), float(expit(centre + half_width))


def area_difference(areas: RocAreas) -> AreaDifference:
    """The first of two areas minus the second one, and whether that may be chance.

    Two scores that order the images alike have a difference of 0 that doesn't vary: p is 1. Where
    another difference doesn't vary, interval and p are NaN.

    Source:
        DeLong, DeLong and Clarke-Pearson 1988, Biometrics 44(3):837-845.
    """
    contrast = np.array([1.0, -1.0])
    value = float(contrast @ areas.values)
    variance = float(contrast @ areas.covariance @ contrast)
    if variance <= _ROUNDING:
        is_nothing = abs(value) <= _ROUNDING
        nothing = (0.0, 0.0, 1.0) if is_nothing else (float("nan"),) * 3
        return AreaDifference(value=value, ci_low=nothing[0], ci_high=nothing[1], p=nothing[2])
    error = float(np.sqrt(variance))
    half_width = _normal_quantile() * error
    return AreaDifference(
        value=value,
        ci_low=value - half_width,
        ci_high=value + half_width,
        p=float(2 * ndtr(-abs(value) / error)),
    )


def _components(is_positive: NDArray[np.bool_], scores: Floats) -> tuple[Floats, Floats]:
    """(S, m) share of the negatives below each positive, (S, n) of the positives above each other.

    A tie counts half.
    """
    num_positive, num_negative = is_positive.sum(), (~is_positive).sum()
    among_all = rankdata(scores, axis=1)  # midranks
    among_positives = rankdata(scores[:, is_positive], axis=1)
    among_negatives = rankdata(scores[:, ~is_positive], axis=1)
    below = (among_all[:, is_positive] - among_positives) / num_negative
    above = 1 - (among_all[:, ~is_positive] - among_negatives) / num_positive
    return below, above


def _shrink(num_patients: int) -> float:
    """I / (I - 1) of the variance between I patients; NaN of one, between whom nothing varies."""
    return float(ratio(num_patients, num_patients - 1))


def _normal_quantile() -> float:
    return float(ndtri((1 + LEVEL) / 2))
