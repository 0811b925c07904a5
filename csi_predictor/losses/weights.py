"""Weights that meet the imbalance of a training set's labels and classes."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]


def positive_weights(targets: Floats, *, cap: float = 10.0) -> tuple[float, ...]:
    """Known negatives over known positives of each label, at most `cap`.

    1 for a label that has only one of the two in these rows: nothing is to be balanced there, and
    a weight of 0 would take its positives out of the loss.

    Args:
        targets: (N, L) 0 or 1, NaN = unknown.
        cap: Largest weight: that of a label with a handful of positives would drown the others.
    """
    num_positive = (targets == 1).sum(axis=0)
    num_negative = (targets == 0).sum(axis=0)
    has_both = (num_positive > 0) & (num_negative > 0)
    ratios = num_negative / np.maximum(num_positive, 1)
    return tuple(np.where(has_both, np.minimum(ratios, cap), 1.0).tolist())


def class_weights(targets: Floats, num_classes: int) -> tuple[float, ...]:
    """One over each class's frequency, with mean 1 over the rows of known class.

    With that mean the loss keeps its size, and each class of these rows has the same share in it;
    1 for a class without rows.

    Args:
        targets: (N, 1) index of the class, NaN = unknown.
        num_classes: K.

    Source: King and Zeng 2001, and scikit-learn's `class_weight="balanced"`.
    """
    counts = (targets == np.arange(num_classes)).sum(axis=0)  # (N, 1) -> (K,)
    num_found = np.count_nonzero(counts)
    balanced = counts.sum() / (max(num_found, 1) * np.maximum(counts, 1))
    return tuple(np.where(counts > 0, balanced, 1.0).tolist())
