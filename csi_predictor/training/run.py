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

BuildLoop = Callable[["Place", Sequence[Row], Sequence[Row]], Loop]
"""(place, train rows, val rows) -> a loop with a new model."""


@dataclass(frozen=True)
class Place:
    """One network's place in a training of several.

    Attributes:
        split_index: Which split it learns from.
        seed: Of its weights, order and augmentation.
        folder: Of its files.
        name: Shown before `epoch 3/30`; empty for a single network.
    """

    split_index: int
    seed: int
    folder: Path
    name: str


@dataclass(frozen=True)
class TrainedNetwork:
    """One finished network.

    Attributes:
        place: Which one it is.
        weights: State dict to keep.
        history: One record of figures an epoch.
        best_epoch: Whose weights these are.
        baseline_grades: Per zone, the median grade of the training rows.
    """

    place: Place
    weights: Mapping[str, torch.Tensor]
    history: tuple[Figures, ...]
    best_epoch: int
    baseline_grades: tuple[float, ...]


def plan_places(run_dir: Path, *, num_splits: int, ensemble_size: int, seed: int) -> list[Place]:
    """The networks of a training: `ensemble_size` seeds for each split, one after another."""
    places = []
    for index in range(num_splits):
        for member in range(ensemble_size):
            folder, words = run_dir, []
            if num_splits > 1:
                folder /= f"fold_{index + 1}"
                words.append(f"fold {index + 1}/{num_splits}")
            if ensemble_size > 1:
                folder /= f"member_{member + 1}"
                words.append(f"member {member + 1}/{ensemble_size}")
            name = "".join(f"{word}, " for word in words)
            places.append(Place(index, seed + member, folder, name))
    return places


def train_networks(
    places: Sequence[Place],
    splits: Sequence[Split],
    manifest: Manifest,
    *,
    build_loop: BuildLoop,
) -> tuple[TrainedNetwork, ...]:
    """Train a new network at each place, one after another; finished ones aren't trained again.

    Raises:
        InterruptedRunError: The state of the present network was saved.
        TrainingError: The loss isn't finite or memory ran out.
    """
    trained = []
    for place in places:
        split = splits[place.split_index]
        train, val = manifest.select(split.train), manifest.select(split.val)
        logger.info(
            "{}{} images to learn from, {} to validate on", place.name, len(train), len(val)
        )
        seed_everything(place.seed)
        loop = build_loop(place, train, val)
        weights = loop.run()
        best_epoch = loop.best.epoch or len(loop.history)
        history = tuple(loop.history)
        trained.append(TrainedNetwork(place, weights, history, best_epoch, median_grades(train)))
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
