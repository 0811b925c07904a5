"""What a zone head's logits mean: the one place that turns them into probabilities.

Losses (in log space) and predictions read the same functions. Shapes: B batch, Z zones.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from csi_predictor.specs import NUM_GRADES, ZoneHead

_SMALLEST_GAP = 1e-6
"""Between two cumulative logits: below it, float32 can't tell them apart at a logit of 10."""


@dataclass(frozen=True)
class ZoneProbabilities:
    """What a head believes about each zone.

    Attributes:
        grades: (B, Z, 4) probability of each grade given that the zone is gradable; sums to 1.
        ungradable: (B, Z) probability that the zone can't be graded.
    """

    grades: Tensor
    ungradable: Tensor


@dataclass(frozen=True)
class ZoneLogProbabilities:
    """The same as logarithms, for losses.

    Attributes:
        grades: (B, Z, 4) of each grade given that the zone is gradable.
        gradable: (B, Z) of being gradable.
        ungradable: (B, Z) of not being gradable.
    """

    grades: Tensor
    gradable: Tensor
    ungradable: Tensor


def zone_probabilities(logits: Tensor, head: ZoneHead) -> ZoneProbabilities:
    """Probabilities of a zone head's logits, float64 if they are, else float32.

    Args:
        logits: (B, Z, 4) of an ordinal head: P(grade > 0), P(> 1), P(> 2) as falling cumulative
            logits, then the logit of ungradable; (B, Z, 5) of a softmax head: four grades, then
            ungradable.
        head: Which of the two it is.
    """
    logs = zone_log_probabilities(logits, head)
    return ZoneProbabilities(grades=logs.grades.exp(), ungradable=logs.ungradable.exp())


def zone_log_probabilities(logits: Tensor, head: ZoneHead) -> ZoneLogProbabilities:
    """Logarithms of the probabilities, finite for every finite logit.

    Args:
        logits: As in `zone_probabilities`.
        head: `ordinal` or `softmax`.
    """
    expected = {"ordinal": NUM_GRADES, "softmax": NUM_GRADES + 1}[head]
    if logits.shape[-1] != expected:
        raise ValueError(
            f"logits {tuple(logits.shape)}: expected (B, Z, {expected}) of HEAD={head}"
        )
    logits = logits if logits.dtype == torch.float64 else logits.float()
    if head == "ordinal":
        return ZoneLogProbabilities(
            grades=_ordinal_log_grades(logits[..., :-1]),
            gradable=F.logsigmoid(-logits[..., -1]),
            ungradable=F.logsigmoid(logits[..., -1]),
        )
    answers = logits.log_softmax(dim=-1)
    return ZoneLogProbabilities(
        grades=logits[..., :-1].log_softmax(dim=-1),
        gradable=answers[..., :-1].logsumexp(dim=-1),
        ungradable=answers[..., -1],
    )


def _ordinal_log_grades(cumulative: Tensor) -> Tensor:
    """(..., 3) falling logits of P(grade > k) -> (..., 4) log P(grade = k).

    An inner grade is sigmoid(a) - sigmoid(b) = sigmoid(a) sigmoid(-b) (1 - exp(b - a)), whose
    logarithm doesn't cancel in the tails.
    Source: McCullagh 1980, Regression Models for Ordinal Data, the proportional odds model.
    """
    upper, lower = cumulative[..., :-1], cumulative[..., 1:]
    gap = (upper - lower).clamp_min(_SMALLEST_GAP)
    inner = F.logsigmoid(upper) + F.logsigmoid(-lower) + torch.log(-torch.expm1(-gap))
    first = F.logsigmoid(-cumulative[..., :1])
    last = F.logsigmoid(cumulative[..., -1:])
    return torch.cat([first, inner, last], dim=-1)
