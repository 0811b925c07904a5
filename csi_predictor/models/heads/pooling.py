"""Feature maps to the pooled features of each zone."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from csi_predictor.models.encoder import pool_means
from csi_predictor.models.heads.layout import CHEST_LAYOUT, ZoneLayout


class ZonePooling(nn.Module):
    """Means over each zone's own soft part of each map, side by side.

    Args:
        layout: Where the zones lie; the windows follow each map's size.
        global_context: True also adds the whole picture's features to each zone's.
    """

    def __init__(self, *, layout: ZoneLayout = CHEST_LAYOUT, global_context: bool = False) -> None:
        super().__init__()
        self.layout = layout
        self.global_context = global_context

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Maps (B, F_i, h_i, w_i) -> (B, Z, F), or (B, Z, 2F) with global context."""
        pooled = torch.cat([self._pool(feature_map) for feature_map in maps], dim=2)
        if not self.global_context:
            return pooled
        context = pool_means(maps)
        return torch.cat([pooled, context[:, None].expand_as(pooled)], dim=2)

    def _pool(self, feature_map: Tensor) -> Tensor:
        height, width = feature_map.shape[2:]
        windows = self.layout.soft_windows(height, width, device=feature_map.device)
        # (B, F, h * w) x (h * w, Z) -> (B, F, Z) -> (B, Z, F)
        return (feature_map.flatten(2) @ windows.flatten(1).T.to(feature_map)).transpose(1, 2)
