"""Gradient checkpointing of parts that run one after another."""

from typing import Any

from torch import nn
from torch.utils.checkpoint import checkpoint

from csi_predictor.models.batch_norm import update_statistics_once


class Checkpointed(nn.Module):
    """A module that runs its parts through `run`.

    Attributes:
        is_checkpointing: True = only each part's input is kept for the backward pass.
    """

    is_checkpointing: bool = False

    def run(self, part: nn.Module, *inputs: Any) -> Any:
        """What `part(*inputs)` gives, its activations kept or computed again later."""
        if self.is_checkpointing and self.training:
            return checkpoint(part, *inputs, use_reentrant=False)
        return part(*inputs)


def set_checkpointing(module: nn.Module, enabled: bool) -> None:
    """Switch every `Checkpointed` in a module, itself included."""
    for part in module.modules():
        if isinstance(part, Checkpointed):
            part.is_checkpointing = enabled
    update_statistics_once(module)
