"""From the config to a loss: logits and targets in, a scalar out."""

from collections.abc import Callable
from functools import partial
from typing import Any

from torch import Tensor

from csi_predictor.config.schema import Config
from csi_predictor.losses.classification import cross_entropy, focal
from csi_predictor.losses.ordinal import cumulative, ordinal
from csi_predictor.losses.readers import TwoReaders, ZoneLoss
from csi_predictor.specs import ZONES

_LOSSES: dict[str, Callable[..., Tensor]] = {
    "ordinal": ordinal,
    "cumulative": cumulative,
    "cross_entropy": cross_entropy,
    "focal": focal,
}
_NATURAL = {"ordinal": "ordinal", "softmax": "cross_entropy"}
"""What LOSS = auto means for each HEAD."""


def build_loss(config: Config) -> ZoneLoss:
    """The loss that [TRAINING] LOSS names, for the head that [MODEL] HEAD names."""
    head, section = config.model.zone_head, config.training
    name = _NATURAL[head] if section.loss == "auto" else section.loss
    arguments: dict[str, Any] = {
        "head": head,
        "unknown_weight": section.unknown_weight,
        "label_smoothing": section.label_smoothing,
    }
    if name == "focal":
        arguments |= {"gamma": section.focal_gamma, "alpha": section.focal_alpha}
    loss: ZoneLoss = partial(_LOSSES[name], **arguments)
    if section.second_reader_weight:
        return TwoReaders(loss, weight=section.second_reader_weight, num_zones=len(ZONES))
    return loss
