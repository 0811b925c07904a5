"""What the loop sees of images: pixels through the whole network, or features through its head."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

from csi_predictor.data.augment import Augmentation
from csi_predictor.data.batch import Sample, collate
from csi_predictor.data.cache import PixelStore
from csi_predictor.data.dataset import ImageDataset
from csi_predictor.data.manifest import Row
from csi_predictor.inference.predict import PixelBatch
from csi_predictor.inference.rows import row_loader
from csi_predictor.models.assemble import CsiModel
from csi_predictor.models.staged import StagedModel
from csi_predictor.runtime import Compute
from csi_predictor.specs import TargetSpec
from csi_predictor.training.feature_cache import FeatureDataset, FeatureMemory, HeadOnly


@dataclass(frozen=True)
class Views:
    """A network and its data, one made for the other.

    Attributes:
        model: What learns; its state is the whole network's.
        train: Samples by (epoch, index).
        val: Batches of the validation rows; None without any.
    """

    model: nn.Module
    train: Dataset[Sample]
    val: Iterable[PixelBatch] | None


def image_views(
    model: StagedModel,
    *,
    train: Sequence[Row],
    val: Sequence[Row],
    cache: PixelStore,
    targets: TargetSpec,
    augmentation: Augmentation,
    seed: int,
    batch_size: int,
) -> Views:
    """Pixels, augmented for training, through the whole network.

    Args:
        model: On its device.
        train: Rows to learn from.
        val: Rows that choose the epoch.
        cache: Prepared pixels of both.
        targets: What is answered.
        augmentation: Of the training rows.
        seed: Of the augmentation.
        batch_size: Validation images a pass.
    """
    dataset = ImageDataset(
        train,
        spec=model.input_spec,
        cache=cache,
        augmentation=augmentation,
        seed=seed,
        has_sides=targets.task == "csi",
    )
    loader = row_loader(val, spec=model.input_spec, cache=cache, batch_size=batch_size)
    return Views(model, dataset, loader if val else None)


def feature_views(
    model: CsiModel,
    *,
    train: Sequence[Row],
    val: Sequence[Row],
    cache: PixelStore,
    batch_size: int,
    compute: Compute,
    memory: FeatureMemory | None = None,
) -> Views:
    """The frozen encoder's features, computed once when they are first asked for, through the head.

    Args:
        model: On its device.
        train: Rows to learn from.
        val: Rows that choose the epoch.
        cache: Prepared pixels of both.
        batch_size: Images a pass.
        compute: Device and precision.
        memory: Shared with other folds and members; None = this network's own.
    """
    memory = memory or FeatureMemory()
    train_set, val_set = (
        FeatureDataset(
            rows,
            partial(memory.compute, model, rows, cache, batch_size=batch_size, compute=compute),
        )
        for rows in (train, val)
    )
    loader = DataLoader(
        val_set,
        batch_size=batch_size,
        collate_fn=collate,
        generator=torch.Generator(),  # the global one belongs to dropout, for the same result
    )
    return Views(HeadOnly(model), train_set, loader if val else None)
