"""Pooled features to one logit a target: classes, labels, quantities."""

from torch import nn


def linear_head(
    in_features: int, *, num_outputs: int, dropout_rate: float, hidden: int = 0
) -> nn.Module:
    """Features (B, F) -> logits (B, K).

    Args:
        in_features: F.
        num_outputs: K.
        dropout_rate: Before each linear layer.
        hidden: Width of a hidden layer with ReLU; 0 = one linear layer.
    """
    if not hidden:
        return nn.Sequential(nn.Dropout(dropout_rate), nn.Linear(in_features, num_outputs))
    return nn.Sequential(
        nn.Dropout(dropout_rate),
        nn.Linear(in_features, hidden),
        nn.ReLU(inplace=True),
        nn.Dropout(dropout_rate),
        nn.Linear(hidden, num_outputs),
    )
