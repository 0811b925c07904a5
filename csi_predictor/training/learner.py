"""One optimizer step: forward, loss, backward, clip, update, average."""

import sys
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
from loguru import logger
from timm.utils.model_ema import ModelEmaV3
from torch import Tensor, nn
from torch.optim import Optimizer

from csi_predictor.errors import TrainingError
from csi_predictor.runtime import Compute
from csi_predictor.training.mixing import Mixing, mixing_generator
from csi_predictor.training.schedule import Schedule

LossFunction = Callable[[Tensor, Tensor], Tensor]


class TrainingBatch(Protocol):
    """What a step reads of a batch: pixels (B, ...), targets (B, T) and row indices (B,)."""

    pixels: Tensor
    targets: Tensor
    indices: Tensor


class Learner:
    """All that a step changes, and therefore all that an exact resume must restore.

    Args:
        model: Returns an output with `logits`.
        loss: (logits, targets) -> mean over the images of the batch; a module's own parameters
            are learnt too, where the optimizer has them.
        optimizer: Over the model's parameters.
        schedule: Sets the optimizer's rates.
        compute: Device and precision.
        gradient_clip: Largest norm of all gradients; 0 = no clipping.
        ema_decay: Of the averaged weights, warmed up from 0; 0 = no average.
        mixing: Mixes the images and targets of a batch; None = they stay as they are.
        seed: Of mixing.
        may_split_batches: Whether a step that runs out of memory is tried again in halves.
    """

    def __init__(
        self,
        model: nn.Module,
        loss: LossFunction,
        *,
        optimizer: Optimizer,
        schedule: Schedule,
        compute: Compute,
        gradient_clip: float = 0.0,
        ema_decay: float = 0.0,
        mixing: Mixing | None = None,
        seed: int = 0,
        may_split_batches: bool = False,
    ) -> None:
        self.model = model
        self.loss = loss
        self.schedule = schedule
        self.compute = compute
        self._optimizer = optimizer
        self._gradient_clip = gradient_clip
        self._mixing = mixing
        self._seed = seed
        self._may_split_batches = may_split_batches
        self._largest_pass = sys.maxsize
        self._loss_module = loss.to(compute.device) if isinstance(loss, nn.Module) else nn.Module()
        self._ema = ModelEmaV3(model, decay=ema_decay, use_warmup=True) if ema_decay > 0 else None
        self._scaler = torch.GradScaler(compute.device.type, enabled=compute.dtype == torch.float16)

    @property
    def evaluated_model(self) -> nn.Module:
        """The model that is validated and kept: the averaged one where there is one."""
        return self.model if self._ema is None else self._ema.module

    @property
    def learning_rate(self) -> float:
        """The highest rate of all groups at the last step."""
        return max(float(group["lr"]) for group in self._optimizer.param_groups)

    def step(self, batches: Sequence[TrainingBatch], step: int) -> float:
        """One update from the mean loss over all images of the batches; returns that loss.

        Several batches give the gradient of one batch that holds all their images (but for
        BatchNorm, which sees each batch alone).

        Raises:
            TrainingError: The loss isn't finite, or memory ran out. The weights are unchanged.
        """
        self.schedule.set_step(step)
        while True:
            self._optimizer.zero_grad(set_to_none=True)
            try:
                total = self._accumulate(batches, step)
                break
            except (torch.OutOfMemoryError, RuntimeError, MemoryError) as error:
                if not _is_out_of_memory(error):
                    raise
                self._halve_passes(batches, error)
        self._update(step)
        return total

    def _accumulate(self, batches: Sequence[TrainingBatch], step: int) -> float:
        """Gradients of the mean loss over all images of the batches; returns that loss."""
        num_images = sum(len(batch.indices) for batch in batches)
        total = 0.0
        for number, batch in enumerate(batches):
            pixels, targets = self._mixed(batch, step, number)
            size = min(self._largest_pass, len(batch.indices))
            for start in range(0, len(batch.indices), size):
                part = slice(start, start + size)
                indices = batch.indices[part]
                share = len(indices) / num_images
                total += self._backward(pixels[part], targets[part], indices, share)
        return total

    def _mixed(self, batch: TrainingBatch, step: int, number: int) -> tuple[Tensor, Tensor]:
        if self._mixing is None:
            return batch.pixels, batch.targets
        rng = mixing_generator(self._seed, step, number)
        return self._mixing.mix(batch.pixels, batch.targets, rng)

    def _backward(self, pixels: Tensor, targets: Tensor, indices: Tensor, share: float) -> float:
        device = self.compute.device
        with self.compute.autocast():
            logits = self.model(pixels.to(device, non_blocking=True)).logits
        loss = self.loss(logits.float(), targets.to(device, non_blocking=True)) * share
        if not torch.isfinite(loss):
            raise NonFiniteLossError(indices.tolist())
        self._scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        return float(loss.detach())

    def _halve_passes(self, batches: Sequence[TrainingBatch], error: BaseException) -> None:
        """Let a pass take half as many images from now on.

        Raises:
            TrainingError: That isn't wished for, or a pass takes one image already.
        """
        largest = min(self._largest_pass, max(len(batch.indices) for batch in batches))
        if not self._may_split_batches or largest == 1:
            raise TrainingError(_OUT_OF_MEMORY) from error
        self._largest_pass = max(largest // 2, 1)
        self._optimizer.zero_grad(set_to_none=True)
        if self.compute.device.type == "cuda":
            torch.cuda.empty_cache()
        logger.warning(
            "Out of memory with {} images a pass: going on with {}; the gradient is that of the "
            "whole batch, but BatchNorm sees each pass alone",
            largest,
            self._largest_pass,
        )

    def _update(self, step: int) -> None:
        if self._gradient_clip > 0:
            self._scaler.unscale_(self._optimizer)
            parameters = [*self.model.parameters(), *self._loss_module.parameters()]
            nn.utils.clip_grad_norm_(parameters, self._gradient_clip)
        self._scaler.step(self._optimizer)
        self._scaler.update()
        if self._ema is not None:
            self._ema.update(self.model, step=step)

    def state_dict(self) -> dict[str, Any]:
        """Everything that `load_state_dict` needs to go on to equal bits."""
        return {
            "model": self.model.state_dict(),
            "loss": self._loss_module.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "scaler": self._scaler.state_dict(),
            "ema": None if self._ema is None else self._ema.module.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over a saved state."""
        self.model.load_state_dict(state["model"])
        self._loss_module.load_state_dict(state.get("loss", {}))
        self._optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self._scaler.load_state_dict(state["scaler"])
        if self._ema is not None:
            self._ema.module.load_state_dict(state["ema"])


class NonFiniteLossError(TrainingError):
    """The loss of a batch is NaN or infinite; carries the batch's row indices."""

    def __init__(self, indices: list[int]) -> None:
        self.indices = indices
        super().__init__(f"the loss of the rows {indices} is not a finite number")


def _is_out_of_memory(error: BaseException) -> bool:
    texts = ("out of memory", "can't allocate memory", "not enough memory")
    is_memory = isinstance(error, (torch.OutOfMemoryError, MemoryError))
    return is_memory or any(text in str(error).lower() for text in texts)


_OUT_OF_MEMORY = (
    "out of memory in a training step: lower [TRAINING] BATCH_SIZE and raise ACCUMULATION_STEPS by "
    "the same factor (equal result), set MICRO_BATCHING = true or [MODEL] GRADIENT_CHECKPOINTING = "
    "true, or lower IMAGE_SIZE"
)
