"""Whether a confidence means what it says: sums by bin of confidence that add up over answers."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from csi_predictor.metrics.counts import Floats, ratio

NUM_BINS = 15
"""Guo et al. 2017, ICML, "On calibration of modern neural networks"."""


def bin_sums(
    confidence: Floats, is_right: NDArray[np.bool_], is_known: NDArray[np.bool_]
) -> Floats:
    """Answers of shape (...) -> (..., 15, 3): count, confidence and right answers by bin.

    Bins are equally wide and closed on the right, so that 0 falls in the first and 1 in the last.

    Args:
        confidence: Of the answer given, 0 to 1.
        is_right: Whether it was the truth.
        is_known: False leaves an answer out.
    """
    upper_edges = np.linspace(0, 1, NUM_BINS + 1)[1:-1]
    bins = np.searchsorted(upper_edges, confidence, side="left")
    is_in_bin = (bins[..., None] == np.arange(NUM_BINS)) & is_known[..., None]
    values = np.stack([np.ones_like(confidence), confidence, is_right * 1.0], axis=-1)
    return np.where(is_in_bin[..., None], values[..., None, :], 0.0)


def expected_calibration_error(sums: Floats) -> Floats:
    """(..., 15, 3) -> (...) mean gap of confidence and accuracy, weighted by the bins' counts."""
    gaps = np.abs(sums[..., 1] - sums[..., 2]).sum(axis=-1)
    return ratio(gaps, sums[..., 0].sum(axis=-1))


def bin_edges() -> Floats:
    """(16,) from 0 to 1."""
    return np.linspace(0, 1, NUM_BINS + 1)


def bin_means(sums: ArrayLike) -> tuple[Floats, Floats]:
    """(..., 15, 3) -> mean confidence and accuracy (..., 15); NaN in an empty bin."""
    values = np.asarray(sums, dtype=np.float64)
    return ratio(values[..., 1], values[..., 0]), ratio(values[..., 2], values[..., 0])
