"""The learning rate as a function of the step: warm-up, then one of five shapes."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from torch.optim import Optimizer

_ONECYCLE_RISE = 0.3
_ONECYCLE_START = 1 / 25
_ONECYCLE_END = _ONECYCLE_START / 1e4
_PLATEAU_PATIENCE = 5
_PLATEAU_FACTOR = 0.5

Shape = Literal["cosine", "onecycle", "multistep", "plateau", "none"]


def lr_factor(
    step: int,
    *,
    total_steps: int,
    warmup_steps: int,
    shape: Shape,
    milestones: Sequence[int] = (),
    gamma: float = 0.1,
) -> float:
    """The share of the base rate at a step, 0-1.

    Args:
        step: Index of the optimizer step, from 0.
        total_steps: Steps of the whole training.
        warmup_steps: Steps of linear rise; `onecycle` has its own rise and ignores them.
        shape: `cosine` falls to 0 (Loshchilov and Hutter 2017, arXiv:1608.03983); `onecycle`
            rises over 30 % and falls (Smith and Topin 2019, arXiv:1708.07120; torch's constants);
            `multistep` falls at each milestone (torch's MultiStepLR).
        milestones: Of `multistep`: the steps from which the rate is lower.
        gamma: Of `multistep`: multiplies the rate at each of them.
    """
    if shape == "onecycle":
        return _onecycle(step, total_steps)
    if step < warmup_steps:
        return (step + 1) / (warmup_steps + 1)
    if shape == "cosine":
        done = (step - warmup_steps) / max(total_steps - warmup_steps, 1)
        return _cosine(1.0, 0.0, min(done, 1.0))
    if shape == "multistep":
        return gamma ** sum(step >= milestone for milestone in milestones)
    return 1.0


def _onecycle(step: int, total_steps: int) -> float:
    peak = _ONECYCLE_RISE * total_steps - 1
    last = max(total_steps - 1, 1)
    if step <= peak:
        return _cosine(_ONECYCLE_START, 1.0, step / peak)
    return _cosine(1.0, _ONECYCLE_END, min((step - peak) / max(last - peak, 1e-9), 1.0))


def _cosine(start: float, end: float, done: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * done)) / 2


class Schedule:
    """Sets the rate of every group of an optimizer before each step.

    Args:
        optimizer: Its groups' present rates are the base rates.
        total_steps: Steps of the whole training.
        warmup_steps: Steps of linear rise.
        shape: See `lr_factor`; `plateau` halves the rate after 5 epochs without improvement.
        milestones: Of `multistep`, in steps; those inside the warm-up count at its end.
        gamma: Of `multistep`.

    Raises:
        ValueError: `multistep` without a milestone.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        *,
        total_steps: int,
        warmup_steps: int,
        shape: Shape,
        milestones: Sequence[int] = (),
        gamma: float = 0.1,
    ) -> None:
        if shape == "multistep" and not milestones:
            raise ValueError("shape = multistep without milestones: expected one step at least")
        self._optimizer = optimizer
        self._base_lrs = [group["lr"] for group in optimizer.param_groups]
        self._total_steps = total_steps
        self._warmup_steps = warmup_steps
        self._shape = shape
        self._milestones = tuple(milestones)
        self._gamma = gamma
        self._plateau_factor = 1.0
        self._worse_epochs = 0

    def set_step(self, step: int) -> None:
        """Set each group's rate for this step; only the step and the epochs told count."""
        factor = self._plateau_factor * lr_factor(
            step,
            total_steps=self._total_steps,
            warmup_steps=self._warmup_steps,
            shape=self._shape,
            milestones=self._milestones,
            gamma=self._gamma,
        )
        for group, base_lr in zip(self._optimizer.param_groups, self._base_lrs, strict=True):
            group["lr"] = base_lr * factor

    def end_epoch(self, is_better: bool) -> None:
        """Tell whether the epoch improved; only `plateau` listens."""
        self._worse_epochs = 0 if is_better else self._worse_epochs + 1
        if self._shape == "plateau" and self._worse_epochs > _PLATEAU_PATIENCE:
            self._plateau_factor *= _PLATEAU_FACTOR
            self._worse_epochs = 0

    def state_dict(self) -> dict[str, Any]:
        """What `load_state_dict` needs; the step isn't in it."""
        return {"plateau_factor": self._plateau_factor, "worse_epochs": self._worse_epochs}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over a saved state."""
        self._plateau_factor = state["plateau_factor"]
        self._worse_epochs = state["worse_epochs"]
