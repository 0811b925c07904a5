"""The risk class that a mean congestion score stands for."""

import numpy as np

from csi_predictor.metrics.counts import Floats

RISKS = ("low", "medium", "high")


def risk_class(csi: Floats, *, medium_above: float, high_above: float) -> Floats:
    """Index into `RISKS`, NaN (never low) where there is no score.

    Args:
        csi: Mean grade, 0-3; NaN = nothing gradable.
        medium_above: A score above it is at least medium.
        high_above: A score above it is high.
    """
    classes = (csi > medium_above) * 1.0 + (csi > high_above)
    return np.where(np.isnan(csi), np.nan, classes)
