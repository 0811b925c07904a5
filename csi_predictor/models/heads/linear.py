"""Pooled features to one logit a target."""

from torch import nn


def linear_head(in_features: int, *, num_outputs: int, dropout_rate: float) -> nn.Module:
    """Dropout and one linear layer: features (B, F) -> logits (B, K)."""
    return nn.Sequential(nn.Dropout(dropout_rate), nn.Linear(in_features, num_outputs))
