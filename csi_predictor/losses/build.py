"""From the config to a loss: logits and targets in, a scalar out."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from loguru import logger
from numpy.typing import NDArray
from torch import Tensor

from csi_predictor.config.schema import Config
from csi_predictor.errors import ConfigError
from csi_predictor.losses import multiclass, multilabel
from csi_predictor.losses.classification import cross_entropy, focal
from csi_predictor.losses.ordinal import cumulative, ordinal
from csi_predictor.losses.readers import TwoReaders
from csi_predictor.losses.weights import class_weights, positive_weights
from csi_predictor.specs import ZONES, TargetSpec

Loss = Callable[[Tensor, Tensor], Tensor]
"""(logits, targets) -> scalar, a mean over the images and answers of the batch."""

_ZONE_LOSSES: dict[str, Callable[..., Tensor]] = {
    "ordinal": ordinal,
    "cumulative": cumulative,
    "cross_entropy": cross_entropy,
    "focal": focal,
}
_NATURAL = {"ordinal": "ordinal", "softmax": "cross_entropy"}
"""What LOSS = auto means for each HEAD of six zones."""


def build_loss(config: Config, targets: TargetSpec, train_targets: NDArray[np.float64]) -> Loss:
    """The loss that [TRAINING] LOSS names, for what the network answers.

    Args:
        config: The whole configuration.
        targets: What is answered.
        train_targets: (N, T) targets of the rows to learn from, NaN = unknown or ungradable.

    Raises:
        ConfigError: FOCAL_ALPHA or POS_WEIGHT has another number of values than labels.
    """
    if targets.task == "multiclass":
        return _multiclass_loss(config, targets, train_targets)
    if targets.task == "multilabel":
        return _multilabel_loss(config, targets, train_targets)
    return _zone_loss(config)


def check_loss(config: Config, targets: TargetSpec) -> None:
    """Hold the keys with one number a label against the labels, before any work starts.

    Raises:
        ConfigError: FOCAL_ALPHA or POS_WEIGHT has another number of values than labels.
    """
    section = config.training
    if targets.task in ("multiclass", "multilabel"):
        _one_each("FOCAL_ALPHA", section.focal_alpha, targets.names)
        if isinstance(section.pos_weight, tuple):
            _one_each("POS_WEIGHT", section.pos_weight, targets.names)


def _zone_loss(config: Config) -> Loss:
    head, section = config.model.zone_head, config.training
    name = _NATURAL[head] if section.loss == "auto" else section.loss
    arguments: dict[str, Any] = {
        "head": head,
        "unknown_weight": section.unknown_weight,
        "label_smoothing": section.label_smoothing,
    }
    if name == "focal":
        arguments |= {"gamma": section.focal_gamma, "alpha": section.focal_alpha}
    loss: Loss = partial(_ZONE_LOSSES[name], **arguments)
    if section.second_reader_weight:
        return TwoReaders(loss, weight=section.second_reader_weight, num_zones=len(ZONES))
    return loss


def _multiclass_loss(
    config: Config, targets: TargetSpec, train_targets: NDArray[np.float64]
) -> Loss:
    section = config.training
    smoothing = section.label_smoothing
    if section.loss == "focal":
        alpha = _one_each("FOCAL_ALPHA", section.focal_alpha, targets.names)
        return partial(
            multiclass.focal, gamma=section.focal_gamma, alpha=alpha, label_smoothing=smoothing
        )
    weights: tuple[float, ...] = ()
    if section.class_weights == "auto":
        weights = class_weights(train_targets, len(targets.names))
        _log_weights("a class", weights, targets)
    return partial(multiclass.cross_entropy, label_smoothing=smoothing, class_weights=weights)


def _multilabel_loss(
    config: Config, targets: TargetSpec, train_targets: NDArray[np.float64]
) -> Loss:
    section = config.training
    if section.loss == "focal":
        alpha = _one_each("FOCAL_ALPHA", section.focal_alpha, targets.names)
        return partial(
            multilabel.focal,
            gamma=section.focal_gamma,
            alpha=alpha,
            label_smoothing=section.label_smoothing,
        )
    if section.loss == "asymmetric":
        positive, negative = section.asymmetric_gamma
        return partial(
            multilabel.asymmetric,
            gamma_positive=positive,
            gamma_negative=negative,
            margin=section.asymmetric_margin,
            label_smoothing=section.label_smoothing,
        )
    return partial(
        multilabel.binary_cross_entropy,
        pos_weight=_positive_weights(config, targets, train_targets),
        label_smoothing=section.label_smoothing,
    )


def _positive_weights(
    config: Config, targets: TargetSpec, train_targets: NDArray[np.float64]
) -> tuple[float, ...]:
    wanted = config.training.pos_weight
    if wanted == "none":
        return ()
    if wanted != "auto":
        return _one_each("POS_WEIGHT", wanted, targets.names)
    weights = positive_weights(train_targets, cap=config.training.pos_weight_cap)
    _log_weights("a positive", weights, targets)
    return weights


def _log_weights(of_what: str, weights: Sequence[float], targets: TargetSpec) -> None:
    shown = (f"{name} {weight:.2g}" for name, weight in zip(targets.names, weights, strict=True))
    logger.info("Weight of {}: {}", of_what, ", ".join(shown))


def _one_each(key: str, values: Sequence[float], names: Sequence[str]) -> tuple[float, ...]:
    """One number a name; a single one serves all; none stays none."""
    if len(values) == 1:
        return tuple(values) * len(names)
    if values and len(values) != len(names):
        raise ConfigError(
            f"[TRAINING] {key} has {len(values)} numbers: expected 1 or {len(names)}, one for each "
            f"of {', '.join(names)}"
        )
    return tuple(values)
