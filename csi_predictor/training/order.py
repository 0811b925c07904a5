"""Which images make up which step: a function of seed and epoch alone, so resuming is exact."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from csi_predictor.specs import Task

Key = tuple[int, ...]
"""(epoch, index of the row): what a training data set is asked for. A row drawn again in an epoch
has a third number, how often it came before, so that it can be changed in another way."""


def epoch_batches(
    num_rows: int,
    *,
    batch_size: int,
    seed: int,
    epoch: int,
    probabilities: NDArray[np.float64] | None = None,
) -> list[list[Key]]:
    """The epoch's batches in order; every row once, or `num_rows` drawn with replacement.

    A last batch of a single image joins the one before: BatchNorm can't train on one.

    Args:
        num_rows: Rows of the training set.
        batch_size: Images a batch.
        seed: Of the order.
        epoch: From 1.
        probabilities: (num_rows,) with sum 1: of each row to be drawn; None = every row once.
    """
    rng = np.random.default_rng((seed, epoch))
    if probabilities is None:
        order = rng.permutation(num_rows)
    else:
        order = rng.choice(num_rows, size=num_rows, replace=True, p=probabilities)
    keys = list(_keys(epoch, order.tolist()))
    batches = [keys[start : start + batch_size] for start in range(0, num_rows, batch_size)]
    if len(batches) > 1 and len(batches[-1]) == 1:
        single = batches.pop()
        batches[-1] += single
    return batches


def _keys(epoch: int, order: Iterable[int]) -> Iterator[Key]:
    drawn: Counter[int] = Counter()
    for row in order:
        yield (epoch, row, drawn[row]) if drawn[row] else (epoch, row)
        drawn[row] += 1


class EpochBatches:
    """A batch sampler that is told the epoch and the batch to start from.

    Args:
        num_rows: Rows of the training set.
        batch_size: Images a batch.
        seed: Of the order.
        weights: One a row: an epoch draws `num_rows` rows in proportion to them, with replacement;
            None = every row once.

    Raises:
        ValueError: Another number of weights, one that is negative or not finite, or all are 0.
    """

    def __init__(
        self,
        num_rows: int,
        *,
        batch_size: int,
        seed: int,
        weights: Sequence[float] | None = None,
    ) -> None:
        self._num_rows = num_rows
        self._batch_size = batch_size
        self._seed = seed
        self._probabilities = None if weights is None else _probabilities(weights, num_rows)
        self._epoch = 1
        self._start = 0

    def set_position(self, epoch: int, start: int) -> None:
        """The next iteration gives this epoch's batches from index `start` on."""
        self._epoch, self._start = epoch, start

    def __len__(self) -> int:
        """Batches of a whole epoch."""
        return len(self._batches())

    def __iter__(self) -> Iterator[list[Key]]:
        return iter(self._batches()[self._start :])

    def _batches(self) -> list[list[Key]]:
        return epoch_batches(
            self._num_rows,
            batch_size=self._batch_size,
            seed=self._seed,
            epoch=self._epoch,
            probabilities=self._probabilities,
        )


def _probabilities(weights: Sequence[float], num_rows: int) -> NDArray[np.float64]:
    values = np.asarray(weights, dtype=np.float64)
    if len(values) != num_rows:
        raise ValueError(f"{len(values)} weights for {num_rows} rows: expected one a row")
    if not (np.isfinite(values).all() and (values >= 0).all() and values.sum() > 0):
        raise ValueError(
            f"weights from {values.min():g} to {values.max():g}: expected finite numbers, none "
            "below 0 and at least one above"
        )
    return np.asarray(values / values.sum())


def balance_weights(targets: NDArray[np.floating], task: Task) -> tuple[float, ...]:
    """How much more often each row is to be drawn, so that rare answers are seen as often.

    Of `multiclass`, one over the frequency of the row's class; a row of unknown class is never
    drawn. Of `multilabel`, one over the frequency of the row's rarest positive label; the rows
    without a positive label count as a label of their own.

    Args:
        targets: (N, 1) index of the class, or (N, L) 0 or 1; NaN = unknown.
        task: `multiclass` or `multilabel`.

    Raises:
        ValueError: Another task.
    """
    if task == "multiclass":
        groups = targets == np.unique(targets[np.isfinite(targets)])  # (N, 1) -> (N, K)
    elif task == "multilabel":
        positive = targets == 1
        groups = np.column_stack([positive, ~positive.any(axis=1)])
    else:
        raise ValueError(f"task = {task}: expected multiclass or multilabel, which can be balanced")
    inverse_frequency = len(targets) / np.maximum(groups.sum(axis=0), 1)
    return tuple((groups * inverse_frequency).max(axis=1, initial=0.0).tolist())
