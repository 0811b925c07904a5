"""The optimizer of a training."""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch.optim import Optimizer


def make_optimizer(
    groups: Sequence[dict[str, Any]],
    *,
    name: Literal["adam", "adamw", "sgd"],
    momentum: float,
) -> Optimizer:
    """An optimizer over parameter groups that carry their own `lr` and `weight_decay`."""
    if name == "sgd":
        return torch.optim.SGD(groups, momentum=momentum, nesterov=momentum > 0)
    if name == "adam":
        return torch.optim.Adam(groups)
    return torch.optim.AdamW(groups)
