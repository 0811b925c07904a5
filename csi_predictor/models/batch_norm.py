"""BatchNorm's statistics: kept, or updated exactly once a step."""

from typing import Any, cast

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

_MOMENTUM = "_momentum_of_first_pass"


def batch_norms(module: nn.Module) -> list[nn.Module]:
    """The BatchNorm layers in a module that hold running statistics, itself included."""
    return [
        part
        for part in module.modules()
        if isinstance(part, _BatchNorm) and part.running_mean is not None
    ]


def update_statistics_once(module: nn.Module) -> None:
    """Stop gradient checkpointing's second forward pass from moving the running statistics again.

    torch.utils.checkpoint runs a part twice a step, and BatchNorm would count its batch twice.
    """
    for norm in batch_norms(module):
        if not hasattr(norm, _MOMENTUM):
            setattr(norm, _MOMENTUM, norm.momentum)
            norm.register_forward_pre_hook(_stand_still_when_recomputing)


def _stand_still_when_recomputing(module: nn.Module, _: Any) -> None:
    norm = cast(_BatchNorm, module)
    # The test that torch.utils.checkpoint itself uses: a graph task runs only in a backward pass.
    is_recomputing = torch._C._current_graph_task_id() != -1
    norm.momentum = 0.0 if is_recomputing else getattr(norm, _MOMENTUM)
    if is_recomputing and norm.training and norm.num_batches_tracked is not None:
        norm.num_batches_tracked.sub_(1)  # BatchNorm adds it again
