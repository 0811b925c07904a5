"""Intervals of each label's or class's AUROC that need no resampling."""

import numpy as np

from csi_predictor.evaluation.figures import Block, plain
from csi_predictor.inference.label_predictions import LabelPredictions
from csi_predictor.metrics.delong import RocAreas, logit_interval, roc_areas


def delong_block(predictions: LabelPredictions) -> dict[str, Block]:
    """By label or class: `auroc_delong_ci_low` and `auroc_delong_ci_high`, 95 %.

    Symmetrical in the logit of the area, so that they stay between 0 and 1. Where each patient has
    one image the variance is DeLong's, else that by patients; None without a positive or a negative
    of two patients each, and for an area of exactly 0 or 1.

    Source:
        DeLong et al. 1988, Biometrics 44(3):837-845; Obuchowski 1997, Biometrics 53(2):567-578.
    """
    blocks = {}
    for k, name in enumerate(predictions.names):
        areas = areas_of([predictions], k)
        low, high = logit_interval(float(areas.values[0]), float(areas.covariance[0, 0]))
        blocks[name] = {"auroc_delong_ci_low": plain(low), "auroc_delong_ci_high": plain(high)}
    return blocks


def areas_of(models: list[LabelPredictions], k: int) -> RocAreas:
    """Areas of the k-th label or class, one a model, over the images whose truth is known.

    Args:
        models: Their answers about the same images.
        k: Index of the label or class.
    """
    first = models[0]
    truth = first.truth[:, k]
    known = ~np.isnan(truth)
    patients = np.asarray(first.patient_ids, dtype=str)[known]
    scores = np.stack([model.probs[known, k] for model in models])
    return roc_areas(truth[known] == 1, scores, patient_index=patients)
