"""Grades, ungradable zones and smoothing as tensors that every loss reads."""

import torch
from torch import Tensor

from csi_predictor.specs import NUM_GRADES


def split_targets(targets: Tensor) -> tuple[Tensor, Tensor]:
    """Which zones are gradable, and their grades.

    Args:
        targets: (B, Z) grade 0-3, NaN = ungradable.

    Returns:
        (B, Z) True where gradable; (B, Z) int64 grades, 0 where ungradable.
    """
    is_gradable = torch.isfinite(targets)
    return is_gradable, torch.where(is_gradable, targets, 0).long()


def smooth_over_all(grades: Tensor, smoothing: float) -> Tensor:
    """(B, Z) -> (B, Z, 4): 1 - s on the grade, plus s / 4 on each of the four.

    Source: Szegedy et al. 2016, arXiv:1512.00567, and torch.nn.functional.cross_entropy.
    """
    hard = torch.nn.functional.one_hot(grades, NUM_GRADES).float()
    return hard * (1 - smoothing) + smoothing / NUM_GRADES


def smooth_over_neighbours(grades: Tensor, smoothing: float) -> Tensor:
    """(B, Z) -> (B, Z, 4): 1 - s on the grade, s shared by the one or two grades beside it.

    Readers who disagree nearly always differ by one grade, so nothing goes further.
    """
    hard = torch.nn.functional.one_hot(grades, NUM_GRADES).float()
    beside = torch.zeros_like(hard)
    beside[..., 1:] += hard[..., :-1]
    beside[..., :-1] += hard[..., 1:]
    return hard * (1 - smoothing) + smoothing * beside / beside.sum(dim=-1, keepdim=True)
