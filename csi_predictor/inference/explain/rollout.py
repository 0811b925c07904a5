"""Rollout: along which patches the information comes that a transformer's answer is read from."""

from collections.abc import Sequence

import torch
from torch import Tensor

_RESIDUAL = 0.5
"""Of a token that the way around a block passes on. Source: Abnar and Zuidema 2020, section 3."""


def reading_weights(gradients: Tensor, num_images: int) -> Tensor:
    """(B', N) which of the last tokens the answer is read from; an image's weights sum to 1.

    The gradient's length: all on the class token where the head reads that, even where it reads the
    tokens' mean, a zone's own window where zones are pooled.

    Args:
        gradients: (B', N, F) of the explained number at the last tokens.
        num_images: B; B' is B * Z where each zone has its own masked picture.
    """
    lengths: Tensor = torch.linalg.vector_norm(gradients.float(), dim=2)
    totals = lengths.reshape(num_images, -1).sum(dim=1)
    tiny = torch.finfo(torch.float32).tiny
    return lengths / totals.clamp_min(tiny).repeat_interleave(len(lengths) // num_images)[:, None]


def roll_attention(attention: Sequence[Tensor], reading: Tensor) -> Tensor:
    """(B', N) how much of what is read comes from each token of the first layer.

    Source: Abnar and Zuidema 2020, Quantifying Attention Flow in Transformers, arXiv:2005.00928,
    section 3: the product of the layers' (A + I) / 2, A the mean over the heads. It knows nothing
    of what the values say: evidence for the answer, against it and for others look alike.

    Args:
        attention: A layer (B', heads, N, N) each, the first layer first; its rows sum to 1.
        reading: (B', N) weights of the last layer's tokens.
    """
    flow = reading
    for weights in reversed(attention):
        flow = _RESIDUAL * flow + (1 - _RESIDUAL) * _pass_back(flow, weights)
    return flow


def roll_gradients(
    attention: Sequence[Tensor], gradients: Sequence[Tensor], reading: Tensor
) -> Tensor:
    """(B', N) how much each token of the first layer, through attention, adds to the answer.

    Source: Chefer, Gur and Wolf 2021, Generic Attention-model Explainability, arXiv:2103.15679,
    rules 5 and 6: R + mean over heads of max(A x gradient, 0) times R. What a token gives by the
    way around all blocks alone is left out: of the class token it is no picture, and of means over
    all tokens it is the same everywhere.

    Args:
        attention: A layer (B', heads, N, N) each, the first layer first.
        gradients: Of the explained number at each of them.
        reading: (B', N) weights of the last layer's tokens.
    """
    added = torch.zeros_like(reading)
    for weights, gradient in zip(reversed(attention), reversed(gradients), strict=True):
        added = added + _pass_back(reading + added, (weights * gradient).clamp_min(0))
    return added


def _pass_back(flow: Tensor, weights: Tensor) -> Tensor:
    """(B', N) at a layer's output -> at its input, by the mean of its heads (B', heads, N, N)."""
    return torch.einsum("bn,bnm->bm", flow, weights.float().mean(dim=1))
