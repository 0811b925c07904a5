"""Every split of a training to its weights."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from loguru import logger

from csi_predictor.data.manifest import Manifest, Row
from csi_predictor.data.split import Split
from csi_predictor.runtime import seed_everything
from csi_predictor.training.loop import Figures, Loop

BuildLoop = Callable[[Sequence[Row], Sequence[Row], Path, str], Loop]
"""(train rows, val rows, folder of the split's files, name) -> a loop with a new model."""


@dataclass(frozen=True)
class TrainedSplit:
    """One finished training.

    Attributes:
        split: What it learnt from and what it has not seen.
        weights: State dict to keep.
        history: One record of figures an epoch.
        best_epoch: Whose weights these are.
        baseline_grades: Per zone, the median grade of the training rows.
    """

    split: Split
    weights: Mapping[str, torch.Tensor]
    history: tuple[Figures, ...]
    best_epoch: int
    baseline_grades: tuple[float, ...]


def train_splits(
    splits: Sequence[Split],
    manifest: Manifest,
    *,
    run_dir: Path,
    seed: int,
    build_loop: BuildLoop,
) -> tuple[TrainedSplit, ...]:
    """Train a new model on each split, one after another; finished ones aren't trained again.

    Raises:
        InterruptedRunError: The state of the present split was saved.
        TrainingError: The loss isn't finite or memory ran out.
    """
    trained = []
    for number, split in enumerate(splits, start=1):
        is_fold = len(splits) > 1
        folder = run_dir / f"fold_{number}" if is_fold else run_dir
        name = f"fold {number}/{len(splits)}, " if is_fold else ""
        train, val = manifest.select(split.train), manifest.select(split.val)
        logger.info("{}{} images to learn from, {} to validate on", name, len(train), len(val))
        seed_everything(seed)
        loop = build_loop(train, val, folder, name)
        weights = loop.run()
        best_epoch = loop.best.epoch or len(loop.history)
        trained.append(
            TrainedSplit(split, weights, tuple(loop.history), best_epoch, median_grades(train))
        )
    return tuple(trained)


def median_grades(rows: Sequence[Row]) -> tuple[float, ...]:
    """Per zone, the median grade of the gradable rows (NaN where none is), rounded to a grade."""
    targets = np.array([row.targets for row in rows], dtype=np.float64)
    return tuple(
        float(np.floor(np.median(column[np.isfinite(column)]) + 0.5))
        if np.isfinite(column).any()
        else float("nan")
        for column in targets.T
    )


def mean_history(histories: Sequence[Sequence[Figures]]) -> list[Figures]:
    """The mean of each figure over the folds that reached an epoch, epoch by epoch."""
    longest = max(len(history) for history in histories)
    rows = [[history[at] for history in histories if len(history) > at] for at in range(longest)]
    return [
        {name: float(np.mean([figures[name] for figures in row])) for name in row[0]}
        for row in rows
    ]
