"""Confusion counts and the figures that follow exactly from them.

Counts have shape (..., K, K): rows are the truth, columns the answer. Leading axes are free, so
that the same lines serve one table, one a zone, or one a bootstrap round. A figure without a
meaning (nothing counted, one grade only) is NaN, never 0.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


def count_confusion(truth: ArrayLike, given: ArrayLike, *, num_classes: int) -> Floats:
    """Classes of shape (...) -> (..., K, K), a single 1 where both are known, else all 0.

    Args:
        truth: Whole numbers 0 to K-1; NaN = unknown.
        given: The same, as answered.
        num_classes: K.

    Raises:
        ValueError: A class is neither a whole number in the range nor NaN.
    """
    true_class, is_true_known = _as_classes(truth, num_classes, "truth")
    given_class, is_given_known = _as_classes(given, num_classes, "given")
    cell = true_class * num_classes + given_class
    is_known = is_true_known & is_given_known
    one_hot = (cell[..., None] == np.arange(num_classes**2)) & is_known[..., None]
    counts: Floats = one_hot.reshape(*cell.shape, num_classes, num_classes).astype(np.float64)
    return counts


def mean_absolute_error(counts: Floats) -> Floats:
    """Mean distance in classes, 0 to K-1."""
    return ratio(_weighted(counts, np.abs(_distance(counts))), _total(counts))


def mean_difference(counts: Floats) -> Floats:
    """Mean of answer minus truth, in classes: positive = graded too high."""
    return ratio(_weighted(counts, _distance(counts)), _total(counts))


def accuracy(counts: Floats) -> Floats:
    """Share of exact answers."""
    return ratio(_weighted(counts, _distance(counts) == 0), _total(counts))


def within_one(counts: Floats) -> Floats:
    """Share of answers at most one class away."""
    return ratio(_weighted(counts, np.abs(_distance(counts)) <= 1), _total(counts))


def quadratic_weighted_kappa(counts: Floats) -> Floats:
    """Agreement beyond chance with squared distances; NaN where the truth has one class only.

    Source:
        Cohen 1968, Psychological Bulletin 70(4):213-220.
    """
    squares = _distance(counts) ** 2
    true, given, total = counts.sum(axis=-1), counts.sum(axis=-2), _total(counts)
    by_chance = ratio(np.einsum("...i,...j,ij->...", true, given, squares), total)
    has_two_classes = (true > 0).sum(axis=-1) > 1
    kappa = 1 - ratio(_weighted(counts, squares), by_chance)
    return np.where(has_two_classes, kappa, np.nan)


def f1_macro(counts: Floats) -> Floats:
    """Mean F1 of the classes that occur in the truth or in the answers."""
    f1, occurs, _ = _f1_by_class(counts)
    return ratio((f1 * occurs).sum(axis=-1), occurs.sum(axis=-1).astype(np.float64))


def f1_weighted(counts: Floats) -> Floats:
    """Mean F1 of the classes, weighted by how often each is the truth."""
    f1, _, support = _f1_by_class(counts)
    return ratio((f1 * support).sum(axis=-1), support.sum(axis=-1))


def ratio(numerator: ArrayLike, denominator: ArrayLike) -> Floats:
    """Element by element; NaN where the denominator is 0."""
    top, bottom = np.broadcast_arrays(
        np.asarray(numerator, dtype=np.float64), np.asarray(denominator, dtype=np.float64)
    )
    out = np.full(top.shape, np.nan)
    np.divide(top, bottom, out=out, where=bottom != 0)
    return out


def _as_classes(
    values: ArrayLike, num_classes: int, name: str
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    floats = np.asarray(values, dtype=np.float64)
    is_known = ~np.isnan(floats)
    known = floats[is_known]
    wrong = known[~np.isin(known, np.arange(num_classes))]
    if wrong.size:
        raise ValueError(
            f"{name} holds {wrong[0]:g}: expected 0 to {num_classes - 1}, or NaN for unknown"
        )
    return np.where(is_known, floats, 0).astype(np.int64), is_known


def _distance(counts: Floats) -> Floats:
    classes = np.arange(counts.shape[-1], dtype=np.float64)
    return classes[None, :] - classes[:, None]


def _weighted(counts: Floats, weights: NDArray[Any]) -> Floats:
    return np.asarray((counts * weights).sum(axis=(-2, -1)))


def _total(counts: Floats) -> Floats:
    return np.asarray(counts.sum(axis=(-2, -1)))


def _f1_by_class(counts: Floats) -> tuple[Floats, NDArray[np.bool_], Floats]:
    """(..., K) each: F1 (0 where the class doesn't occur), whether it occurs, its true count."""
    hits = np.diagonal(counts, axis1=-2, axis2=-1)
    support = counts.sum(axis=-1)
    both = support + counts.sum(axis=-2)
    return np.nan_to_num(ratio(2 * hits, both)), both > 0, support
