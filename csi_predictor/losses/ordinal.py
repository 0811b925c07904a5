"""Losses that know the order of the grades."""

from torch import Tensor
from torch.nn import functional as F

from csi_predictor.losses.targets import smooth_over_neighbours, split_targets
from csi_predictor.specs import ZoneHead
from csi_predictor.zone_logits import zone_log_probabilities


def ordinal(
    logits: Tensor,
    targets: Tensor,
    *,
    head: ZoneHead = "ordinal",
    unknown_weight: float = 1.0,
    label_smoothing: float = 0.0,
) -> Tensor:
    """Mean over all B * Z zones of the negative log likelihood of the grade.

    A gradable zone adds -log P(grade given gradable); every zone adds `unknown_weight` times the
    binary cross-entropy of ungradable, a separate answer of the ordinal head. The mean is over all
    zones, gradable or not, so that accumulated equal batches give the big batch's gradient.

    Args:
        logits: (B, Z, 4) of an ordinal head.
        targets: (B, Z) grade 0-3, NaN = ungradable.
        head: `ordinal`.
        unknown_weight: Of the ungradable answer.
        label_smoothing: Share of a grade given to the grades beside it.

    Source: McCullagh 1980, the proportional odds model's likelihood.
    """
    is_gradable, grades = split_targets(targets)
    logs = zone_log_probabilities(logits, head)
    wanted = smooth_over_neighbours(grades, label_smoothing)
    of_grade = -(wanted * logs.grades).sum(dim=-1)
    of_answer = -(is_gradable * logs.gradable + ~is_gradable * logs.ungradable)
    return (is_gradable * of_grade + unknown_weight * of_answer).mean()


def cumulative(
    logits: Tensor,
    targets: Tensor,
    *,
    head: ZoneHead = "ordinal",
    unknown_weight: float = 1.0,
    label_smoothing: float = 0.0,
) -> Tensor:
    """Mean over all B * Z zones of the binary cross-entropies of grade > 0, > 1 and > 2.

    Each threshold is a question of its own; an answer two grades off pays at two of them, so it is
    dearer than in the likelihood. Ungradable zones and the mean are as in `ordinal`.

    Args:
        logits: (B, Z, 4) of an ordinal head.
        targets: (B, Z) grade 0-3, NaN = ungradable.
        head: `ordinal`.
        unknown_weight: Of the ungradable answer.
        label_smoothing: Share of a grade given to the grades beside it.

    Source: Cao, Mirjalili and Raschka 2020 (CORAL), arXiv:1901.07884, equation 5.
    """
    is_gradable, grades = split_targets(targets)
    logs = zone_log_probabilities(logits, head)
    wanted = smooth_over_neighbours(grades, label_smoothing)
    is_above = wanted.flip(-1).cumsum(dim=-1).flip(-1)[..., 1:]  # P(grade > k), k = 0, 1, 2
    of_thresholds = F.binary_cross_entropy_with_logits(
        logits[..., :-1].float(), is_above.clamp(0, 1), reduction="none"
    ).sum(dim=-1)
    of_answer = -(is_gradable * logs.gradable + ~is_gradable * logs.ungradable)
    return (is_gradable * of_thresholds + unknown_weight * of_answer).mean()
