"""An epoch's model on the validation rows."""

from collections.abc import Iterable

import numpy as np
import torch
from torch import nn

from csi_predictor.inference.predict import (
    PixelBatch,
    mean_label_probabilities,
    mean_probabilities,
    predict_logits,
)
from csi_predictor.inference.predictions import Floats, given_grade
from csi_predictor.metrics.ranking import auroc
from csi_predictor.metrics.zones import zone_mae, zone_qwk
from csi_predictor.specs import TargetSpec, ZoneHead
from csi_predictor.training.learner import LossFunction
from csi_predictor.training.loop import Figures, Validate


def make_validation(
    batches: Iterable[PixelBatch], loss: LossFunction, *, head: ZoneHead, device: torch.device
) -> Validate:
    """A function from model to `val_loss`, `val_zone_mae` and `val_zone_qwk`.

    Args:
        batches: The validation rows, without augmentation; iterated once a call.
        loss: The training loss, here over all rows at once.
        head: Link of the logits.
        device: Where the model is.
    """

    def validate(model: nn.Module) -> Figures:
        logits = predict_logits([model], batches, device=device)
        targets = logits.targets.numpy()
        grades = given_grade(mean_probabilities(logits.values, head=head).grades.numpy())
        with torch.inference_mode():
            value = loss(logits.values[0].to(device), logits.targets.to(device))
        return {
            "val_loss": float(value),
            "val_zone_mae": zone_mae(targets, grades),
            "val_zone_qwk": zone_qwk(targets, grades),
        }

    return validate


def make_label_validation(
    batches: Iterable[PixelBatch], loss: LossFunction, *, targets: TargetSpec, device: torch.device
) -> Validate:
    """A function from model to `val_loss`, `val_auroc_macro` and `val_accuracy`.

    The AUROC is the mean over the labels, or over each class against the others, that have both
    kinds among the rows; NaN where none has. The accuracy is over the known answers, of labels at
    0.5.

    Args:
        batches: The validation rows, without augmentation; iterated once a call.
        loss: The training loss, here over all rows at once.
        targets: What the logits answer.
        device: Where the model is.
    """

    def validate(model: nn.Module) -> Figures:
        logits = predict_logits([model], batches, device=device, task=targets.task)
        probs = mean_label_probabilities(logits.values, task=targets.task).numpy()
        with torch.inference_mode():
            value = loss(logits.values[0].to(device), logits.targets.to(device))
        truth = _one_column_a_name(logits.targets.double().numpy(), targets)
        return {
            "val_loss": float(value),
            "val_auroc_macro": _macro_auroc(truth, probs),
            "val_accuracy": _accuracy(truth, probs, targets),
        }

    return validate


def _one_column_a_name(values: Floats, targets: TargetSpec) -> Floats:
    """(N, T) targets -> (N, K) 0 or 1, NaN = unknown."""
    if targets.task != "multiclass":
        return values
    truth: Floats = (values == np.arange(len(targets.names))).astype(np.float64)
    truth[~np.isfinite(values[:, 0])] = np.nan
    return truth


def _macro_auroc(truth: Floats, probs: Floats) -> float:
    areas = []
    for column, scores in zip(truth.T, probs.T, strict=True):
        is_known = np.isfinite(column)
        once = np.ones((1, int(is_known.sum())))
        areas.append(float(auroc(column[is_known] == 1, scores[is_known], once)[0]))
    defined = [area for area in areas if np.isfinite(area)]
    return float(np.mean(defined)) if defined else float("nan")


def _accuracy(truth: Floats, probs: Floats, targets: TargetSpec) -> float:
    if targets.task == "multiclass":
        is_known = np.isfinite(truth[:, 0])
        is_right = truth[is_known].argmax(axis=1) == probs[is_known].argmax(axis=1)
    else:
        is_known = np.isfinite(truth)
        is_right = (truth[is_known] == 1) == (probs[is_known] >= 0.5)
    return float(is_right.mean()) if is_right.size else float("nan")
