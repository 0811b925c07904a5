"""[TRAINING] to a loop that is ready to run."""

import math
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.utils.data import DataLoader, Dataset

from csi_predictor.config import Config
from csi_predictor.data.augment import Augmentation
from csi_predictor.data.batch import Batch, Sample, collate
from csi_predictor.data.build import build_augmentation
from csi_predictor.data.cache import PixelStore
from csi_predictor.data.manifest import Row
from csi_predictor.inference.predictor import channels_last_of
from csi_predictor.losses.build import build_loss
from csi_predictor.models.assemble import CsiModel
from csi_predictor.models.build import build_model
from csi_predictor.models.staged import StagedModel
from csi_predictor.runtime import Compute, count_workers
from csi_predictor.specs import TargetSpec
from csi_predictor.training.feature_cache import FeatureDataset, FeatureMemory
from csi_predictor.training.fine_tuning import FineTuning
from csi_predictor.training.learner import Learner
from csi_predictor.training.loop import Figures, Loop, Validate
from csi_predictor.training.mixing import Mixing
from csi_predictor.training.optimizer import make_optimizer
from csi_predictor.training.order import EpochBatches, balance_weights
from csi_predictor.training.run import Place
from csi_predictor.training.schedule import Schedule
from csi_predictor.training.state import StateStore
from csi_predictor.training.stopping import BestWeights
from csi_predictor.training.validation import make_label_validation, make_validation
from csi_predictor.training.views import Views, feature_views, image_views

STATE_DIR = "state"
"""Below a network's folder: where its resumable state lies."""


def build_loop(
    config: Config,
    place: Place,
    *,
    targets: TargetSpec,
    train: Sequence[Row],
    val: Sequence[Row],
    cache: PixelStore,
    compute: Compute,
    on_epoch: Callable[[list[Figures]], None],
    features: FeatureMemory | None = None,
) -> Loop:
    """A new model and everything that trains it; seeds nothing, so seed before.

    Args:
        config: The whole configuration.
        place: Seed, folder and name of this network.
        targets: What it answers.
        train: Rows to learn from.
        val: Rows that choose the epoch; none = all epochs are run and the last is kept.
        cache: Prepared pixels of both.
        compute: Device and precision.
        on_epoch: Told the history after each epoch.
        features: Of a frozen encoder, shared with other folds and members.
    """
    section = config.training
    model = build_model(config, targets)
    model = model.to(memory_format=channels_last_of(model.input_spec)).to(compute.device)
    if section.batch_norm == "frozen":
        model.freeze_batch_norm()
    fine_tuning = FineTuning(
        section.fine_tuning,
        unfreeze_epochs=section.unfreeze_epochs,
        unfreeze_layers=section.unfreeze_layers,
        frozen_stages=section.frozen_stages,
    )
    truth = np.array([row.targets for row in train], dtype=np.float64)
    sampler = EpochBatches(
        len(train),
        batch_size=section.batch_size,
        seed=place.seed,
        weights=balance_weights(truth, targets.task) if section.sampling == "balanced" else None,
    )
    augmentation = build_augmentation(config, targets.names if targets.task != "csi" else ())
    if isinstance(model, CsiModel) and _may_cache_features(config, augmentation):
        views = feature_views(
            model,
            train=train,
            val=val,
            cache=cache,
            batch_size=section.batch_size,
            compute=compute,
            memory=features,
        )
    else:
        views = image_views(
            model,
            train=train,
            val=val,
            cache=cache,
            targets=targets,
            augmentation=augmentation,
            seed=place.seed,
            batch_size=section.batch_size,
        )
    learner = build_learner(
        config,
        model,
        compute,
        num_batches=len(sampler),
        train_targets=truth,
        seed=place.seed,
        learns=views.model,
    )
    return Loop(
        learner=learner,
        loader=_training_loader(views.train, sampler, config, compute.device),
        sampler=sampler,
        file_ids=tuple(row.file_id for row in train),
        start_epoch=partial(fine_tuning.start_epoch, model),
        validate=_build_validation(config, targets, learner, views, compute.device),
        best=BestWeights(choose_monitor(config), section.min_delta),
        store=StateStore(place.folder / STATE_DIR, interval_s=60 * section.checkpoint_minutes),
        n_epochs=section.n_epochs,
        accumulation_steps=section.accumulation_steps,
        patience=section.patience,
        on_epoch=on_epoch,
        name=place.name,
    )


def choose_monitor(config: Config) -> str:
    """MONITOR, with auto decided."""
    if config.training.monitor != "auto":
        return config.training.monitor
    return "val_zone_mae" if config.data.task == "csi" else "val_auroc_macro"


def build_learner(
    config: Config,
    model: StagedModel,
    compute: Compute,
    *,
    num_batches: int,
    train_targets: NDArray[np.float64],
    seed: int = 0,
    learns: nn.Module | None = None,
) -> Learner:
    """The optimizer, schedule and loss of a model on its device.

    Args:
        config: The whole configuration.
        model: Whose parameters are learnt.
        compute: Device and precision.
        num_batches: Of an epoch.
        train_targets: (N, T) of the rows to learn from.
        seed: Of mixing.
        learns: What is called with the pixels; None = the model itself.
    """
    section = config.training
    groups = model.parameter_groups(
        learning_rate=section.learning_rate,
        backbone_lr_factor=section.backbone_lr_factor,
        weight_decay=section.weight_decay,
        fine_tuning=section.fine_tuning,
        layer_decay=section.layer_decay,
        stage_rates=section.stage_rates,
    )
    loss = build_loss(config, model.target_spec, train_targets)
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
        milestones=[epoch * steps_per_epoch for epoch in section.milestones],
        gamma=section.milestone_factor,
    )
    return Learner(
        model if learns is None else learns,
        loss,
        optimizer=optimizer,
        schedule=schedule,
        compute=compute,
        gradient_clip=section.gradient_clip,
        ema_decay=section.ema_decay,
        mixing=_build_mixing(config, model.target_spec),
        seed=seed,
        may_split_batches=section.micro_batching,
    )


def _build_mixing(config: Config, targets: TargetSpec) -> Mixing | None:
    section = config.augmentation
    if section.mixup == section.cutmix == 0:
        return None
    return Mixing(
        mixup_alpha=section.mixup,
        cutmix_alpha=section.cutmix,
        task=targets.task,
        num_classes=len(targets.names) if targets.task == "multiclass" else 0,
    )


def _may_cache_features(config: Config, augmentation: Augmentation) -> bool:
    """Whether every epoch would compute the same features."""
    section = config.training
    mixes = config.augmentation.mixup > 0 or config.augmentation.cutmix > 0
    is_same = section.fine_tuning == "frozen" and augmentation == Augmentation() and not mixes
    return section.feature_cache and is_same


def _build_validation(
    config: Config, targets: TargetSpec, learner: Learner, views: Views, device: torch.device
) -> Validate | None:
    if views.val is None:
        return None
    if targets.task == "csi":
        head = config.model.zone_head
        return make_validation(views.val, learner.loss, head=head, device=device)
    return make_label_validation(views.val, learner.loss, targets=targets, device=device)


def _training_loader(
    dataset: Dataset[Sample], sampler: EpochBatches, config: Config, device: torch.device
) -> DataLoader[Batch]:
    workers = config.runtime.num_workers
    # on a CPU the network needs the cores itself; prepared pixels come from the cache
    needs_none = workers == "auto" and device.type == "cpu"
    is_ready = isinstance(dataset, FeatureDataset)  # a worker would compute them all again
    num_workers = 0 if needs_none or is_ready else count_workers(workers)
    return DataLoader(
        dataset,  # type: ignore[arg-type]  # collate makes a Batch of its samples
        batch_sampler=sampler,
        collate_fn=collate,
        num_workers=num_workers,
        persistent_workers=num_workers > 0,
        pin_memory=device.type == "cuda",
        generator=torch.Generator(),  # the global one belongs to dropout, for exact resuming
    )
