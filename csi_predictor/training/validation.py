"""An epoch's model on the validation rows."""

from collections.abc import Iterable

import torch
from torch import nn

from csi_predictor.inference.predict import PixelBatch, mean_probabilities, predict_logits
from csi_predictor.inference.predictions import given_grade
from csi_predictor.metrics.zones import zone_mae, zone_qwk
from csi_predictor.specs import ZoneHead
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
