"""[TRAINING] to a loop that is ready to run."""

import math
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import nn
from torch.utils.data import DataLoader

from csi_predictor.config import Config
from csi_predictor.data.batch import Batch, collate
from csi_predictor.data.build import build_augmentation
from csi_predictor.data.cache import PreparedCache
from csi_predictor.data.dataset import ImageDataset
from csi_predictor.data.manifest import Row
from csi_predictor.inference.rows import row_loader
from csi_predictor.losses.build import build_loss
from csi_predictor.models.build import build_model
from csi_predictor.models.staged import StagedModel
from csi_predictor.runtime import Compute, count_workers
from csi_predictor.training.fine_tuning import FineTuning
from csi_predictor.training.learner import Learner
from csi_predictor.training.loop import Figures, Loop, Validate
from csi_predictor.training.optimizer import make_optimizer
from csi_predictor.training.order import EpochBatches
from csi_predictor.training.run import Place
from csi_predictor.training.schedule import Schedule
from csi_predictor.training.state import StateStore
from csi_predictor.training.stopping import BestWeights
from csi_predictor.training.validation import make_validation

STATE_DIR = "state"
"""Below a network's folder: where its resumable state lies."""


def build_loop(
    config: Config,
    place: Place,
    *,
    train: Sequence[Row],
    val: Sequence[Row],
    cache: PreparedCache,
    compute: Compute,
    on_epoch: Callable[[list[Figures]], None],
) -> Loop:
    """A new model and everything that trains it; seeds nothing, so seed before.

    Args:
        config: The whole configuration.
        place: Seed, folder and name of this network.
        train: Rows to learn from.
        val: Rows that choose the epoch; none = all epochs are run and the last is kept.
        cache: Prepared pixels of both.
        compute: Device and precision.
        on_epoch: Told the history after each epoch.
    """
    section = config.training
    model = build_model(config).to(memory_format=torch.channels_last).to(compute.device)
    if section.batch_norm == "frozen":
        model.freeze_batch_norm()
    sampler = EpochBatches(len(train), batch_size=section.batch_size, seed=place.seed)
    learner = build_learner(config, model, compute, num_batches=len(sampler))
    dataset = ImageDataset(
        train,
        spec=model.input_spec,
        cache=cache,
        augmentation=build_augmentation(config.augmentation),
        seed=place.seed,
    )
    fine_tuning = FineTuning(
        section.fine_tuning,
        unfreeze_epochs=section.unfreeze_epochs,
        unfreeze_layers=section.unfreeze_layers,
        frozen_stages=section.frozen_stages,
    )
    return Loop(
        learner=learner,
        loader=_training_loader(dataset, sampler, config, compute.device),
        sampler=sampler,
        file_ids=tuple(row.file_id for row in train),
        start_epoch=partial(fine_tuning.start_epoch, model),
        validate=_build_validation(config, model, learner, val, cache, compute.device),
        best=BestWeights(section.monitor, section.min_delta),
        store=StateStore(place.folder / STATE_DIR, interval_s=60 * section.checkpoint_minutes),
        n_epochs=section.n_epochs,
        accumulation_steps=section.accumulation_steps,
        patience=section.patience,
        on_epoch=on_epoch,
        name=place.name,
    )


def build_learner(
    config: Config, model: StagedModel, compute: Compute, *, num_batches: int
) -> Learner:
    """The optimizer, schedule and loss of a model on its device."""
    section = config.training
    groups = model.parameter_groups(
        learning_rate=section.learning_rate,
        backbone_lr_factor=section.backbone_lr_factor,
        weight_decay=section.weight_decay,
        fine_tuning=section.fine_tuning,
        layer_decay=section.layer_decay,
    )
    loss = build_loss(config)
    if isinstance(loss, nn.Module):
        own = list(loss.parameters())
        rate = section.learning_rate
        groups.append({"name": "loss", "params": own, "lr": rate, "weight_decay": 0.0})
    optimizer = make_optimizer(groups, name=section.optimizer, momentum=section.momentum)
    steps_per_epoch = math.ceil(num_batches / section.accumulation_steps)
    schedule = Schedule(
        optimizer,
        total_steps=section.n_epochs * steps_per_epoch,
        warmup_steps=round(section.warmup_epochs * steps_per_epoch),
        shape=section.scheduler,
    )
    return Learner(
        model,
        loss,
        optimizer=optimizer,
        schedule=schedule,
        compute=compute,
        gradient_clip=section.gradient_clip,
        ema_decay=section.ema_decay,
    )


def _build_validation(
    config: Config,
    model: StagedModel,
    learner: Learner,
    rows: Sequence[Row],
    cache: PreparedCache,
    device: torch.device,
) -> Validate | None:
    if not rows:
        return None
    batches = row_loader(
        rows, spec=model.input_spec, cache=cache, batch_size=config.training.batch_size
    )
    return make_validation(batches, learner.loss, head=config.model.zone_head, device=device)


def _training_loader(
    dataset: ImageDataset, sampler: EpochBatches, config: Config, device: torch.device
) -> DataLoader[Batch]:
    workers = config.runtime.num_workers
    # on a CPU the network needs the cores itself; prepared pixels come from the cache
    num_workers = 0 if workers == "auto" and device.type == "cpu" else count_workers(workers)
    return DataLoader(
        dataset,  # type: ignore[arg-type]  # collate makes a Batch of its samples
        batch_sampler=sampler,
        collate_fn=collate,
        num_workers=num_workers,
        persistent_workers=num_workers > 0,
        pin_memory=device.type == "cuda",
        generator=torch.Generator(),  # the global one belongs to dropout, for exact resuming
    )
