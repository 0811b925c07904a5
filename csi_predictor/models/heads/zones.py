"""Pooled features to the logits of six zones."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from csi_predictor.specs import NUM_GRADES, ZONES, ZoneHead
from csi_predictor.zone_logits import ZoneProbabilities, zone_probabilities

__all__ = ["ZoneClassifier", "ZoneProbabilities", "zone_probabilities"]

_WEIGHT_STD = 0.01
_RARE = -2.0
"""First logit of ungradable: 12 %, so that an untrained head withholds nothing."""

_FIRST_THRESHOLD = -2.0
_FIRST_GAP = 2.0
"""An inner grade is at most 2 sigmoid(gap / 2) - 1 likely: 0.46 here, and 0.64, as two readers
agree, at a gap of 3."""

_EVEN_GAP = 1.0986
"""logit(3/4): thresholds -gap, 0, gap make all four grades alike at score 0."""

_THRESHOLD_RATE = 10.0
"""Three numbers for the whole head must travel logits while weights travel hundredths: with the
weights' own rate the gaps stay where they began, and the grades underconfident."""


class ZoneClassifier(nn.Module):
    """Dropout and one linear projection a zone; for `ordinal` a score against ordered thresholds.

    Ordinal: P(grade > k) = sigmoid(score - threshold_k) with threshold_1 < threshold_2 <
    threshold_3, which all zones share; a zone's own bias shifts its score.
    Source: McCullagh 1980, the proportional odds model.

    Args:
        in_features: F.
        kind: `ordinal` or `softmax`.
        dropout_rate: Of the pooled features.
        learn_thresholds: False = thresholds stay where all four grades are alike at score 0. Three
            fewer numbers to overfit: on few images learnt gaps grow with the fit, and unseen
            scores, which lie closer together, then miss the outer grades.
        share_zones: True = one projection for all zones (their features are pooled from their own
            part of the picture, so one meaning of a feature serves all); biases stay their own.
        num_zones: Z.
    """

    def __init__(
        self,
        in_features: int,
        *,
        kind: ZoneHead,
        dropout_rate: float,
        share_zones: bool,
        learn_thresholds: bool = True,
        num_zones: int = len(ZONES),
    ) -> None:
        super().__init__()
        self.kind = kind
        self.dropout = nn.Dropout(dropout_rate)
        outputs = 2 if kind == "ordinal" else NUM_GRADES + 1
        projections = 1 if share_zones else num_zones
        self.weight = nn.Parameter(torch.randn(projections, outputs, in_features) * _WEIGHT_STD)
        self.bias = nn.Parameter(torch.zeros(num_zones, outputs))
        if kind == "ordinal":
            first = _FIRST_THRESHOLD if learn_thresholds else -_EVEN_GAP
            gap = torch.tensor(_FIRST_GAP if learn_thresholds else _EVEN_GAP)
            raw_gap = gap.expm1().log()  # the inverse of softplus
            keep = nn.Parameter if learn_thresholds else nn.Buffer
            self.first_threshold = keep(torch.tensor([first / _THRESHOLD_RATE]))
            self.raw_gaps = keep((raw_gap / _THRESHOLD_RATE).repeat(NUM_GRADES - 2))
            with torch.no_grad():
                self.bias[:, -1] = _RARE

    def forward(self, features: Tensor) -> Tensor:
        """Features (B, F), or (B, Z, F) of each zone -> logits (B, Z, 4), or (B, Z, 5) of softmax.

        Float32 also under autocast: the thresholds' gaps would drown in bfloat16's rounding.
        """
        device_type = "cpu" if features.is_meta else features.device.type
        with torch.autocast(device_type, enabled=False):
            features = self.dropout(features.float())
            if features.ndim == 2:
                features = features[:, None]
            num_zones = len(self.bias)
            scores = self.bias + torch.einsum(
                "bzf,zof->bzo",
                features.expand(-1, num_zones, -1),
                self.weight.expand(num_zones, -1, -1),
            )
            if self.kind == "softmax":
                return scores
            return torch.cat([scores[..., :1] - self.thresholds(), scores[..., 1:]], dim=-1)

    def thresholds(self) -> Tensor:
        """(3,) rising."""
        gaps = F.softplus(self.raw_gaps * _THRESHOLD_RATE)
        first = self.first_threshold * _THRESHOLD_RATE
        return torch.cat([first, first + gaps.cumsum(dim=0)])

    def extra_repr(self) -> str:
        """What `print(model)` adds."""
        return f"kind={self.kind}, weight={tuple(self.weight.shape)}"
