"""Two encoded pictures to one map of what differs."""

import torch
from torch import Tensor, nn

from csi_predictor.models.longitudinal.blocks import group_norm
from csi_predictor.models.longitudinal.constants import FEATURE_CHANNELS


class DifferenceFusion(nn.Module):
    """Concatenation, then the sum of three compressing paths and ReLU.

    The channels alternate, baseline's first and followup's first, then the second of each, so that
    the depthwise 1 x 1 path weighs a feature against the same feature of the other picture: with
    weights -1 and 1 it is the plain difference. The 3 x 3 path mixes all channels, and the
    depthwise separable 7 x 7 path sees further, since the pictures never lie exactly on each other.

    Args:
        channels: Of each map, and of the fused one.
    """

    def __init__(self, channels: int = FEATURE_CHANNELS) -> None:
        super().__init__()
        both = 2 * channels
        self.pairwise = nn.Sequential(
            nn.Conv2d(both, channels, 1, groups=channels, bias=False), group_norm(channels)
        )
        self.local = nn.Sequential(
            nn.Conv2d(both, channels, 3, padding=1, bias=False), group_norm(channels)
        )
        self.wide = nn.Sequential(
            nn.Conv2d(both, both, 7, padding=3, groups=both, bias=False),
            nn.Conv2d(both, channels, 1, bias=False),
            group_norm(channels),
        )
        self.activation = nn.ReLU(inplace=True)

    def forward(self, baseline: Tensor, followup: Tensor) -> Tensor:
        """Two maps (B, F, h, w) -> one (B, F, h, w)."""
        # (B, F, 2, h, w) -> (B, 2 F, h, w), a baseline channel beside the same followup channel
        both = torch.stack((baseline, followup), dim=2).flatten(1, 2)
        fused: Tensor = self.activation(self.pairwise(both) + self.local(both) + self.wide(both))
        return fused
