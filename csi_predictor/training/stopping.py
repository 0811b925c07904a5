"""When to stop: no improvement for long, or the user's wish."""

import signal
from dataclasses import dataclass
from types import FrameType
from typing import Any

import torch
from torch import nn

HIGHER_IS_BETTER = frozenset({"val_zone_qwk", "val_auroc_macro", "val_accuracy"})


@dataclass
class BestWeights:
    """The best epoch so far with a *copy* of its weights, and how long ago it was.

    Attributes:
        monitor: Name of the figure that decides; higher is better for those in `HIGHER_IS_BETTER`.
        min_delta: Smallest change that counts.
        value: The best figure so far.
        epoch: Its epoch, 0 before the first.
        weights: State dict of that epoch, on the CPU, sharing no memory with the model.
    """

    monitor: str
    min_delta: float
    value: float | None = None
    epoch: int = 0
    weights: dict[str, torch.Tensor] | None = None

    def offer(self, value: float, epoch: int, model: nn.Module) -> bool:
        """Copy the weights if the figure is better; returns whether it is."""
        if not self._is_better(value):
            return False
        self.value, self.epoch = value, epoch
        self.weights = {k: v.detach().cpu().clone() for k, v in model.state_dict().items()}
        return True

    def _is_better(self, value: float) -> bool:
        if value != value:  # an undefined figure (NaN) is never better
            return False
        if self.value is None:
            return True
        gain = value - self.value if self.monitor in HIGHER_IS_BETTER else self.value - value
        return gain > self.min_delta

    def state_dict(self) -> dict[str, Any]:
        """What `load_state_dict` needs."""
        return {"value": self.value, "epoch": self.epoch, "weights": self.weights}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over a saved state."""
        self.value, self.epoch, self.weights = state["value"], state["epoch"], state["weights"]


class StopRequest:
    """Notes Ctrl-C or SIGTERM so that the loop can stop between two steps.

    A second Ctrl-C stops at once. Use as a context manager in the main thread.
    """

    def __init__(self) -> None:
        self.is_set = False
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> "StopRequest":
        for number in (signal.SIGINT, signal.SIGTERM):
            self._previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.is_set:
            raise KeyboardInterrupt
        self.is_set = True  # nothing is logged here: the signal may have come in mid-log
