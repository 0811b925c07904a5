"""What a model says of itself: how sure it is of a grade, and which zones it can't grade."""

from functools import partial

import numpy as np

from csi_predictor.evaluation.figures import Block, plain, with_intervals
from csi_predictor.inference.predictions import Floats, Predictions
from csi_predictor.metrics import calibration, ranking
from csi_predictor.metrics.bootstrap import Resampling
from csi_predictor.metrics.counts import ratio


def calibration_block(predictions: Predictions, resampling: Resampling) -> Block:
    """`ece` of the given grade's probability over gradable zones, and its bins."""
    confidence = _confidence(predictions)
    is_known = ~np.isnan(predictions.targets)
    is_right = predictions.grades == predictions.targets
    each = calibration.bin_sums(confidence, is_right, is_known).sum(axis=1)  # (N, 15, 3)
    sums = resampling.sums(each)
    means, accuracies = calibration.bin_means(sums[0])
    edges = calibration.bin_edges()
    bins = [
        {
            "low": float(edges[index]),
            "high": float(edges[index + 1]),
            "count": int(sums[0, index, 0]),
            "confidence": plain(means[index]),
            "accuracy": plain(accuracies[index]),
        }
        for index in range(calibration.NUM_BINS)
    ]
    ece = {"ece": calibration.expected_calibration_error(sums)}
    return with_intervals(ece) | {"calibration": {"bins": bins}}


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


def _confidence(predictions: Predictions) -> Floats:
    """(N, Z) probability of the grade given, which need not be the likeliest grade."""
    given = predictions.grades[..., None]
    return np.take_along_axis(predictions.grade_probs, given, axis=-1)[..., 0]


def _ranked(predictions: Predictions, area: ranking.Area, image_weights: Floats) -> Floats:
    """(r, N) image weights -> (r,) the area over all zones."""
    num_zones = predictions.targets.shape[1]
    return area(
        np.isnan(predictions.targets).ravel(),
        predictions.p_ungradable.ravel(),
        np.repeat(image_weights, num_zones, axis=1),
    )
