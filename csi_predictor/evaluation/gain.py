"""How much better than a constant: the difference in the same draws of patients."""

from dataclasses import replace

import numpy as np

from csi_predictor.evaluation.comparison import Grading
from csi_predictor.evaluation.figures import Block, with_intervals
from csi_predictor.metrics import agreement, counts
from csi_predictor.metrics.bootstrap import Resampling
from csi_predictor.metrics.counts import Floats
from csi_predictor.specs import NUM_GRADES


def gain_block(truth: Grading, model: Grading, baseline: Grading, resampling: Resampling) -> Block:
    """The model's gain in each figure on the same images; positive = better than the baseline."""
    shared_csi = np.where(np.isnan(model.csi), np.nan, baseline.csi)
    baseline = replace(baseline, csi=shared_csi)
    ours, theirs = (_draws(truth, each, resampling) for each in (model, baseline))
    return with_intervals(
        {
            "zone_mae": theirs["zone_mae"] - ours["zone_mae"],
            "zone_qwk": ours["zone_qwk"] - theirs["zone_qwk"],
            "csi_mae": theirs["csi_mae"] - ours["csi_mae"],
        }
    )


def _draws(truth: Grading, given: Grading, resampling: Resampling) -> dict[str, Floats]:
    each = counts.count_confusion(truth.grades, given.grades, num_classes=NUM_GRADES)
    pooled = resampling.sums(each.sum(axis=1))
    indices = resampling.sums(agreement.pair_sums(truth.csi, given.csi))
    return {
        "zone_mae": counts.mean_absolute_error(pooled),
        "zone_qwk": counts.quadratic_weighted_kappa(pooled),
        "csi_mae": agreement.mean_absolute_difference(indices),
    }
