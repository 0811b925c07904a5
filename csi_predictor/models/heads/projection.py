"""Pooled features to a unit vector: contrastive learning."""

from torch import Tensor, nn
from torch.nn import functional as F

PROJECTION_DIM = 128
"""Source: Chen et al. 2020, SimCLR, arXiv:2002.05709; the described longitudinal system."""


class ProjectionHead(nn.Module):
    """Two layers, then unit length. Source: SimCLR, section 4.2.

    Args:
        in_features: F.
        num_outputs: P.
        dropout_rate: Of the features.
    """

    def __init__(
        self, in_features: int, *, num_outputs: int = PROJECTION_DIM, dropout_rate: float = 0.0
    ) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Dropout(dropout_rate),
            nn.Linear(in_features, in_features),
            nn.ReLU(inplace=True),
            nn.Linear(in_features, num_outputs),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Features (B, F) -> unit vectors (B, P)."""
        return F.normalize(self.layers(features), dim=1)
