"""Losses over labels of which any number is true of an image.

In all of them an unknown label adds 0, and the sum is divided by B * L, not by the number of known
labels: so that accumulated equal batches give the big batch's gradient. A target between 0 and 1,
as smoothing and mixing make it, is that share of the loss of a positive and the rest of the loss of
a negative.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from csi_predictor.losses.focus import focus


def binary_cross_entropy(
    logits: Tensor,
    targets: Tensor,
    *,
    pos_weight: Sequence[float] = (),
    label_smoothing: float = 0.0,
) -> Tensor:
    """Mean over all B * L labels of -w y log p - (1 - y) log(1 - p).

    Args:
        logits: (B, L).
        targets: (B, L) in [0, 1], NaN = unknown.
        pos_weight: w, weight of a positive: one number, or one a label; empty = 1.
        label_smoothing: Share of a label that becomes 1/2.

    Raises:
        ValueError: Targets of another shape, or another number of weights.

    Source: torch.nn.BCEWithLogitsLoss.
    """
    weights = _per_label(pos_weight, "pos_weight", logits)
    positive = -weights * F.logsigmoid(logits)
    return _mean(positive, -F.logsigmoid(-logits), targets, label_smoothing)


def focal(
    logits: Tensor,
    targets: Tensor,
    *,
    gamma: float = 2.0,
    alpha: Sequence[float] = (),
    label_smoothing: float = 0.0,
) -> Tensor:
    """Mean over all B * L labels of a (1 - p)^gamma (-log p), p of the true answer.

    Args:
        logits: (B, L).
        targets: (B, L) in [0, 1], NaN = unknown.
        gamma: How much well-answered labels count less; 0 = cross-entropy.
        alpha: Weight a of a positive, between 0 and 1; a negative weighs 1 - a. One number, or one
            a label; empty = both weigh 1.
        label_smoothing: Share of a label that becomes 1/2.

    Raises:
        ValueError: An `alpha` that takes all weight from one answer, another number of them, or
            targets of another shape.

    Source: Lin et al. 2017, arXiv:1708.02002, equation 5.
    """
    for value in alpha:
        if not 0 < value < 1:
            raise ValueError(
                f"alpha = {value:g}: positives weigh {value:g} and negatives {1 - value:g}: "
                "expected a number between 0 and 1; leave it empty to weigh both alike"
            )
    of_positive = _per_label(alpha, "alpha", logits)
    of_negative = 1 - of_positive if alpha else of_positive
    logs, opposite_logs = F.logsigmoid(logits), F.logsigmoid(-logits)
    positive = -of_positive * focus(logs, gamma) * logs
    negative = -of_negative * focus(opposite_logs, gamma) * opposite_logs
    return _mean(positive, negative, targets, label_smoothing)


def asymmetric(
    logits: Tensor,
    targets: Tensor,
    *,
    gamma_positive: float = 1.0,
    gamma_negative: float = 4.0,
    margin: float = 0.05,
    label_smoothing: float = 0.0,
) -> Tensor:
    """Mean over all B * L labels of a focal loss that goes easier on negatives.

    A positive adds (1 - p)^gamma_positive (-log p). Of a negative, p is first lowered to
    q = max(p - margin, 0); it adds q^gamma_negative (-log(1 - q)), nothing where p < margin. The
    gradient goes through the powers too.

    Args:
        logits: (B, L).
        targets: (B, L) in [0, 1], NaN = unknown.
        gamma_positive: How much well-answered positives count less.
        gamma_negative: The same of negatives.
        margin: Probability that is forgiven a negative, 0 to 1.
        label_smoothing: Share of a label that becomes 1/2.

    Raises:
        ValueError: `margin` isn't in [0, 1), or targets of another shape.

    Source: Ridnik et al. 2021, arXiv:2009.14119, equations 4 to 7.
    """
    if not 0 <= margin < 1:
        raise ValueError(f"margin = {margin:g}: expected at least 0 and less than 1")
    logs = F.logsigmoid(logits)
    positive = -focus(logs, gamma_positive) * logs
    shifted_logs = F.logsigmoid(-logits)
    if margin > 0:
        shifted_logs = (torch.sigmoid(-logits) + margin).clamp_max(1).log()
    negative = -focus(shifted_logs, gamma_negative) * shifted_logs
    return _mean(positive, negative, targets, label_smoothing)


def _per_label(values: Sequence[float], name: str, logits: Tensor) -> Tensor:
    """(L,) or (1,): the values, 1 where there are none."""
    num_labels = logits.shape[1]
    if values and len(values) not in (1, num_labels):
        raise ValueError(
            f"{name} has {len(values)} numbers: expected one, or {num_labels}, one a label"
        )
    return logits.new_tensor(values or (1.0,))


def _mean(positive: Tensor, negative: Tensor, targets: Tensor, smoothing: float) -> Tensor:
    """The mean of each label's loss if present and if absent, (B, L), by its target."""
    if targets.shape != positive.shape:
        raise ValueError(
            f"targets of shape {tuple(targets.shape)} for logits of shape "
            f"{tuple(positive.shape)}: expected the same, one number a label"
        )
    is_known = torch.isfinite(targets)
    wanted = torch.where(is_known, targets, 0) * (1 - smoothing) + smoothing / 2
    return ((wanted * positive + (1 - wanted) * negative) * is_known).mean()
