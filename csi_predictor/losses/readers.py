"""Learning from two readers at once: one score a zone, each reader with an own scale."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from csi_predictor.specs import MAX_GRADE, NOT_READ

ZoneLoss = Callable[[Tensor, Tensor], Tensor]
"""(logits, targets (B, Z) with NaN = ungradable) -> scalar, a mean over all B * Z zones."""


class TwoReaders(nn.Module):
    """The mean of a loss against the first reader and against a second one who grades otherwise.

    A reader who calls a finding earlier or later than another has other thresholds on the same
    scale. What the second one's differ by is learnt here, for each threshold and each zone, and is
    no part of the network: it answers as the first reader. Two opinions of an image halve the noise
    of its grades without their bias.
    Source: the many-facet model of Linacre 1989, in its cumulative form.

    Args:
        loss: Of an ordinal head: (logits (B, Z, 4), targets (B, Z)) -> mean over all zones.
        weight: Share of the second reader, 0 to 1, in an image that both have read.
        num_zones: Z.
    """

    def __init__(self, loss: ZoneLoss, *, weight: float, num_zones: int) -> None:
        super().__init__()
        self.loss = loss
        self.weight = weight
        self.zone_offset = nn.Parameter(torch.zeros(num_zones))
        self.threshold_offset = nn.Parameter(torch.zeros(MAX_GRADE))

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Logits (B, Z, 4) and targets (B, 2, Z), or (B, Z) of the first reader alone -> scalar.

        `NOT_READ` in the second row is an image that the second reader hasn't read.
        """
        if targets.ndim == 2:
            return self.loss(logits, targets)
        first, second = targets.unbind(dim=1)
        is_read = (second != NOT_READ).all(dim=1)
        share = is_read.float().mean()
        total = logits.sum() * 0.0
        if is_read.any():
            both = (1 - self.weight) * self.loss(logits[is_read], first[is_read])
            both = both + self.weight * self.loss(self.shift(logits[is_read]), second[is_read])
            total = total + share * both
        if not is_read.all():
            total = total + (1 - share) * self.loss(logits[~is_read], first[~is_read])
        return total

    def shift(self, logits: Tensor) -> Tensor:
        """Logits (B, Z, 4) of the first reader -> of the second."""
        offset = self.zone_offset[:, None] + self.threshold_offset
        return torch.cat([logits[..., :MAX_GRADE] + offset, logits[..., MAX_GRADE:]], dim=-1)
