"""The factor that makes well-answered questions count less."""

import torch
from torch import Tensor


def focus(log_probs: Tensor, gamma: float) -> Tensor:
    """(1 - p)^gamma of the log probabilities p, with a finite gradient at p = 1.

    Source: Lin et al. 2017, arXiv:1708.02002, equation 4.
    """
    if gamma == 0:
        return torch.ones_like(log_probs)
    tiny = torch.finfo(log_probs.dtype).tiny
    return (-torch.expm1(log_probs)).clamp_min(tiny).pow(gamma)
