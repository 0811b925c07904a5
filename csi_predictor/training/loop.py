"""The one training loop. It knows steps, epochs, stopping and resuming, and no task."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from loguru import logger
from torch import nn

from csi_predictor.errors import InterruptedRunError, TrainingError
from csi_predictor.progress import Progress
from csi_predictor.training.learner import Learner, NonFiniteLossError, TrainingBatch
from csi_predictor.training.order import EpochBatches
from csi_predictor.training.state import StateStore, random_state, set_random_state
from csi_predictor.training.stopping import BestWeights, StopRequest

Figures = dict[str, float]
Validate = Callable[[nn.Module], Figures]
"""Model in evaluation mode -> named figures, among them the monitored one."""


@dataclass
class Position:
    """Where a training stands: the next batch, and what the present epoch added up so far.

    Attributes:
        epoch: The present epoch, from 1.
        num_batches: Batches of it already done.
        loss_sum: Sum over its images of their step's mean loss.
        num_images: Images of it already done.
        seconds: Time spent on it.
        is_finished: No more epochs follow.
    """

    epoch: int = 1
    num_batches: int = 0
    loss_sum: float = 0.0
    num_images: int = 0
    seconds: float = 0.0
    is_finished: bool = False


@dataclass
class Loop:
    """A training, ready to `run`.

    Attributes:
        learner: Model, optimizer and all else that a step changes.
        loader: Gives the batches of the position that `sampler` was told.
        sampler: Order of the rows.
        file_ids: Names of the rows, for messages.
        start_epoch: Puts the model into the training mode of an epoch, from 1.
        validate: Figures of an epoch's model; `None` without validation data.
        best: Keeps a copy of the best epoch's weights.
        store: Where the resumable state lies.
        n_epochs: Epochs at most.
        accumulation_steps: Batches a step.
        patience: Epochs without improvement before stopping; 0 = never.
        on_epoch: Told the history after each epoch.
        name: Shown before the epoch, e.g. `fold 2/5, `.
    """

    learner: Learner
    loader: Iterable[TrainingBatch]
    sampler: EpochBatches
    file_ids: tuple[str, ...]
    start_epoch: Callable[[int], None]
    validate: Validate | None
    best: BestWeights
    store: StateStore
    n_epochs: int
    accumulation_steps: int = 1
    patience: int = 0
    on_epoch: Callable[[list[Figures]], None] = lambda history: None
    name: str = ""
    history: list[Figures] = field(default_factory=list)
    position: Position = field(default_factory=Position)

    def run(self) -> Mapping[str, torch.Tensor]:
        """Train to the end; returns the weights to keep: of the best epoch, else of the last.

        Raises:
            InterruptedRunError: The user stopped it; the state was saved.
            TrainingError: The loss isn't finite or memory ran out.
        """
        self._resume()
        with StopRequest() as stop:
            while not self.position.is_finished:
                self._run_epoch(stop)
        if self.best.weights is not None:
            return self.best.weights
        return self.learner.evaluated_model.state_dict()

    def _resume(self) -> None:
        state = self.store.load()
        if state is None:
            return
        self.learner.load_state_dict(state["learner"])
        self.best.load_state_dict(state["best"])
        self.position = Position(**state["position"])
        self.history = state["history"]
        set_random_state(state["random"])
        if state["num_threads"] != torch.get_num_threads():
            logger.warning(
                "{}began with {} threads and goes on with {}: equal to rounding, not to the bit",
                self.name,
                state["num_threads"],
                torch.get_num_threads(),
            )
        if self.position.is_finished:
            logger.info("{}training is finished already", self.name)
        else:
            logger.info(
                "{}going on from epoch {}, batch {}",
                self.name,
                self.position.epoch,
                self.position.num_batches,
            )

    def _save(self) -> None:
        state: dict[str, Any] = {
            "learner": self.learner.state_dict(),
            "best": self.best.state_dict(),
            "position": vars(self.position),
            "history": self.history,
            "random": random_state(),
            "num_threads": torch.get_num_threads(),
        }
        self.store.save(state)

    def _run_epoch(self, stop: StopRequest) -> None:
        epoch = self.position.epoch
        self.start_epoch(epoch)
        self._train_epoch(stop)
        row = self._epoch_figures()
        self.history.append(row)
        is_better = self._is_better(row)
        self.learner.schedule.end_epoch(is_better)
        is_last = epoch >= self.n_epochs or self._has_lost_patience()
        self.position = Position(epoch=epoch + 1, is_finished=is_last)
        self._save()
        self.on_epoch(self.history)
        self._log_epoch(row, is_better)
        if stop.is_set:
            raise _interrupted(self.store)

    def _train_epoch(self, stop: StopRequest) -> None:
        position = self.position
        num_batches = len(self.sampler)
        steps_per_epoch = -(-num_batches // self.accumulation_steps)
        first_step = (position.epoch - 1) * steps_per_epoch
        self.sampler.set_position(position.epoch, position.num_batches)
        title = f"{self.name}epoch {position.epoch}/{self.n_epochs}"
        started_s = time.monotonic() - position.seconds
        with Progress(title, len(self.file_ids), done=position.num_images) as progress:
            for group in _groups(self.loader, self.accumulation_steps):
                step = first_step + position.num_batches // self.accumulation_steps
                loss = self._step(group, step)
                count = sum(len(batch.indices) for batch in group)
                position.num_batches += len(group)
                position.num_images += count
                position.loss_sum += loss * count
                position.seconds = time.monotonic() - started_s
                progress.advance(count, f"loss {position.loss_sum / position.num_images:.4f}")
                is_done = position.num_batches >= num_batches
                if not is_done and (stop.is_set or self.store.is_due()):
                    self._save()
                if not is_done and stop.is_set:
                    raise _interrupted(self.store)

    def _step(self, group: list[TrainingBatch], step: int) -> float:
        try:
            return self.learner.step(group, step)
        except NonFiniteLossError as error:
            names = ", ".join(self.file_ids[index] for index in error.indices)
            raise TrainingError(
                f"epoch {self.position.epoch}, batch {self.position.num_batches + 1}: the loss is "
                f"not a finite number; its images: {names}. Lower [TRAINING] LEARNING_RATE, set "
                "GRADIENT_CLIP = 1 and PRECISION = fp32, and look at these images"
            ) from error

    def _epoch_figures(self) -> Figures:
        position = self.position
        row: Figures = {
            "epoch": position.epoch,
            "train_loss": position.loss_sum / position.num_images,
            "learning_rate": self.learner.learning_rate,
        }
        if self.validate is not None:
            self.learner.evaluated_model.eval()
            row |= self.validate(self.learner.evaluated_model)
        row["seconds"] = position.seconds
        row["images_per_s"] = position.num_images / max(position.seconds, 1e-9)
        return row

    def _is_better(self, row: Figures) -> bool:
        if self.validate is None:
            return True
        epoch, value = int(row["epoch"]), row[self.best.monitor]
        if value != value and not any(r[self.best.monitor] != value for r in self.history[:-1]):
            self._warn_of_undefined(epoch)
        return self.best.offer(value, epoch, self.learner.evaluated_model)

    def _warn_of_undefined(self, epoch: int) -> None:
        logger.warning(
            "{}epoch {}: {} is undefined on the validation rows, so it chooses no epoch and stops "
            "nothing: without a defined epoch the last one is kept; set [TRAINING] MONITOR = "
            "val_loss, or raise [DATA] VAL_FRACTION",
            self.name,
            epoch,
            self.best.monitor,
        )

    def _has_lost_patience(self) -> bool:
        if self.validate is None or self.patience == 0 or self.best.value is None:
            return False
        return self.position.epoch - self.best.epoch >= self.patience

    def _log_epoch(self, row: Figures, is_better: bool) -> None:
        figures = ", ".join(
            f"{name.replace('_', ' ')} {value:.4f}"
            for name, value in row.items()
            if name == "train_loss" or name.startswith("val_")
        )
        mark = " (best so far)" if is_better and self.validate is not None else ""
        logger.info(
            "{}epoch {}/{}: {}{}, {:.1f} images/s",
            self.name,
            int(row["epoch"]),
            self.n_epochs,
            figures,
            mark,
            row["images_per_s"],
        )


def _groups(loader: Iterable[TrainingBatch], size: int) -> Iterator[list[TrainingBatch]]:
    group: list[TrainingBatch] = []
    for batch in loader:
        group.append(batch)
        if len(group) == size:
            yield group
            group = []
    if group:
        yield group


def _interrupted(store: StateStore) -> InterruptedRunError:
    return InterruptedRunError(
        f"stopped; the state is saved in {store.path}: run the same command again to go on"
    )
