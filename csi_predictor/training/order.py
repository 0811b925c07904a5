"""Which images make up which step: a function of seed and epoch alone, so resuming is exact."""

from collections.abc import Iterator

import numpy as np

Key = tuple[int, int]
"""(epoch, index of the row): what a training data set is asked for."""


def epoch_batches(num_rows: int, *, batch_size: int, seed: int, epoch: int) -> list[list[Key]]:
    """The epoch's batches in order; every row once.

    A last batch of a single image joins the one before: BatchNorm can't train on one.
    """
    order = np.random.default_rng((seed, epoch)).permutation(num_rows)
    batches = [
        [(epoch, int(row)) for row in order[start : start + batch_size]]
        for start in range(0, num_rows, batch_size)
    ]
    if len(batches) > 1 and len(batches[-1]) == 1:
        single = batches.pop()
        batches[-1] += single
    return batches


class EpochBatches:
    """A batch sampler that is told the epoch and the batch to start from.

    Args:
        num_rows: Rows of the training set.
        batch_size: Images a batch.
        seed: Of the order.
    """

    def __init__(self, num_rows: int, *, batch_size: int, seed: int) -> None:
        self._num_rows = num_rows
        self._batch_size = batch_size
        self._seed = seed
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
            self._num_rows, batch_size=self._batch_size, seed=self._seed, epoch=self._epoch
        )
