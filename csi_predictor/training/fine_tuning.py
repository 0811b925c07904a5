"""Which stages learn in which epoch."""

from collections.abc import Collection, Sequence
from typing import Literal, Protocol

from torch import nn

Strategy = Literal["full", "frozen", "layerwise", "gradual"]


class StagedModel(Protocol):
    """What fine-tuning needs of a model."""

    def stages(self) -> Sequence[tuple[str, nn.Module]]:
        """Named parts from input to output, the head last."""
        ...

    def freeze_stages(self, names: Collection[str]) -> None:
        """Fix these stages, and only these, BatchNorm's statistics and dropout included."""
        ...

    def train(self, mode: bool = True) -> object:
        """Training mode for all but what is frozen."""
        ...


class FineTuning:
    """Freezes and unfreezes a model's stages at the start of each epoch.

    Args:
        strategy: `full` and `layerwise` learn everywhere (they differ in the optimizer's rates),
            `frozen` in the head alone, `gradual` in the head and ever more stages before it.
        unfreeze_epochs: Of `gradual`: rising epochs, from 1; each unfreezes more.
        unfreeze_layers: Of `gradual`: stages unfrozen at each of them.
        frozen_stages: Stages at the input that never learn.
    """

    def __init__(
        self,
        strategy: Strategy,
        *,
        unfreeze_epochs: Sequence[int] = (),
        unfreeze_layers: int = 1,
        frozen_stages: int = 0,
    ) -> None:
        self._strategy = strategy
        self._unfreeze_epochs = tuple(unfreeze_epochs)
        self._unfreeze_layers = unfreeze_layers
        self._frozen_stages = frozen_stages

    def start_epoch(self, model: StagedModel, epoch: int) -> None:
        """Put a model into the training mode of an epoch, counted from 1."""
        encoder_stages = [name for name, _ in model.stages()[:-1]]
        num_learning = self._num_learning(epoch, len(encoder_stages))
        num_frozen = max(len(encoder_stages) - num_learning, self._frozen_stages)
        model.freeze_stages(encoder_stages[:num_frozen])
        model.train()

    def _num_learning(self, epoch: int, num_stages: int) -> int:
        if self._strategy == "frozen":
            return 0
        if self._strategy == "gradual":
            passed = sum(epoch >= start for start in self._unfreeze_epochs)
            return min(passed * self._unfreeze_layers, num_stages)
        return num_stages
