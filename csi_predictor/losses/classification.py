"""Losses over five unordered answers: grade 0-3 or ungradable."""

from collections.abc import Sequence

import torch
from torch import Tensor

from csi_predictor.losses.focus import focus
from csi_predictor.losses.targets import smooth_over_all, split_targets
from csi_predictor.specs import NUM_GRADES, ZoneHead
from csi_predictor.zone_logits import zone_log_probabilities


def cross_entropy(
    logits: Tensor,
    targets: Tensor,
    *,
    head: ZoneHead = "softmax",
    unknown_weight: float = 1.0,
    label_smoothing: float = 0.0,
) -> Tensor:
    """Mean over all B * Z zones of the weighted cross-entropy of five answers.

    An ungradable zone weighs `unknown_weight`, a graded one 1. The sum is divided by the number of
    zones, not by that of their weights as torch does: so that accumulated equal batches give the
    big batch's gradient.

    Args:
        logits: (B, Z, 5) of a softmax head, or (B, Z, 4) of an ordinal one.
        targets: (B, Z) grade 0-3, NaN = ungradable.
        head: Which of the two.
        unknown_weight: Weight of a zone whose true answer is ungradable.
        label_smoothing: Share of a grade spread evenly over the four grades.
    """
    no_focus = 0.0
    return focal(
        logits,
        targets,
        head=head,
        gamma=no_focus,
        unknown_weight=unknown_weight,
        label_smoothing=label_smoothing,
    )


def focal(
    logits: Tensor,
    targets: Tensor,
    *,
    head: ZoneHead = "softmax",
    gamma: float = 2.0,
    alpha: Sequence[float] = (),
    unknown_weight: float = 1.0,
    label_smoothing: float = 0.0,
) -> Tensor:
    """Mean over all B * Z zones of alpha_c (1 - p_c)^gamma (-log p_c), c the true answer.

    Args:
        logits: (B, Z, 5) of a softmax head, or (B, Z, 4) of an ordinal one.
        targets: (B, Z) grade 0-3, NaN = ungradable.
        head: Which of the two.
        gamma: How much well-answered zones count less; 0 = cross-entropy.
        alpha: Weight of each grade 0-3 by its index; empty = 1 each.
        unknown_weight: The same for the ungradable answer.
        label_smoothing: Share of a grade spread evenly over the four grades.

    Raises:
        ValueError: `alpha` hasn't one number a grade.

    Source: Lin et al. 2017, arXiv:1708.02002, equation 5.
    """
    if alpha and len(alpha) != NUM_GRADES:
        raise ValueError(f"alpha has {len(alpha)} numbers: expected {NUM_GRADES}, one a grade")
    is_gradable, grades = split_targets(targets)
    logs = zone_log_probabilities(logits, head)
    log_answers = torch.cat(
        [logs.grades + logs.gradable[..., None], logs.ungradable[..., None]], dim=-1
    )
    weights = log_answers.new_tensor([*(alpha or (1.0,) * NUM_GRADES), unknown_weight])
    wanted = torch.cat(
        [
            smooth_over_all(grades, label_smoothing) * is_gradable[..., None],
            (~is_gradable).float()[..., None],
        ],
        dim=-1,
    )
    return (wanted * weights * focus(log_answers, gamma) * -log_answers).sum(dim=-1).mean()
