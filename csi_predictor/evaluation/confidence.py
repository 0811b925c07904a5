"""What a model says of itself: how sure it is of a grade, and which zones it can't grade."""

from functools import partial

import numpy as np

from csi_predictor.evaluation.calibration import bin_blocks, reliability_of
from csi_predictor.evaluation.figures import Block, with_intervals
from csi_predictor.inference.predictions import Floats, Predictions
from csi_predictor.inference.questions import questions_of
from csi_predictor.metrics import calibration, ranking
from csi_predictor.metrics.bootstrap import Resampling
from csi_predictor.metrics.counts import ratio


def calibration_block(predictions: Predictions, resampling: Resampling) -> Block:
    """`ece` of the given grade's probability over gradable zones, and its bins."""
    questions = questions_of(predictions)
    each = calibration.bin_sums(*reliability_of(questions), questions.is_known).sum(axis=1)
    sums = resampling.sums(each)  # (1 + R, 15, 3)
    ece = {"ece": calibration.expected_calibration_error(sums)}
    return with_intervals(ece) | {"calibration": {"bins": bin_blocks(sums[0])}}


def ungradable_block(predictions: Predictions, resampling: Resampling) -> Block:
    """How well ungradable zones are found, with counts of what the model would withhold."""
    is_ungradable = np.isnan(predictions.targets)
    is_withheld = predictions.is_ungradable
    cells = np.stack(
        [
            is_ungradable & is_withheld,
            is_ungradable & ~is_withheld,
            ~is_ungradable & is_withheld,
            ~is_ungradable & ~is_withheld,
        ],
        axis=-1,
    )
    sums = resampling.sums(cells.sum(axis=1).astype(np.float64))  # (1 + R, 4)
    found, missed, false, kept = np.moveaxis(sums, -1, 0)
    figures = {
        "auroc": resampling.by_image_weights(partial(_ranked, predictions, ranking.auroc)),
        "auprc": resampling.by_image_weights(
            partial(_ranked, predictions, ranking.average_precision)
        ),
        "sensitivity": ratio(found, found + missed),
        "specificity": ratio(kept, false + kept),
    }
    return with_intervals(figures) | {
        "threshold": float(predictions.ungradable_threshold),
        "n_gradable": int(false[0] + kept[0]),
        "n_ungradable": int(found[0] + missed[0]),
        "n_withheld": int(found[0] + false[0]),
        "n_withheld_gradable": int(false[0]),
    }


def _ranked(predictions: Predictions, area: ranking.Area, image_weights: Floats) -> Floats:
    """(r, N) image weights -> (r,) the area over all zones."""
    num_zones = predictions.targets.shape[1]
    return area(
        np.isnan(predictions.targets).ravel(),
        predictions.p_ungradable.ravel(),
        np.repeat(image_weights, num_zones, axis=1),
    )
