"""Which stages learn in which epoch."""

import pytest
from torch import nn

from csi_predictor.training.fine_tuning import FineTuning


class Recorder:
    """Notes the frozen stages, as a model would freeze them."""

    def __init__(self) -> None:
        self.frozen: list[str] = []

    def stages(self) -> tuple[tuple[str, nn.Module], ...]:
        return tuple((name, nn.Identity()) for name in ("stem", "one", "two", "three", "head"))

    def freeze_stages(self, names: object) -> None:
        self.frozen = list(names)  # type: ignore[call-overload]

    def train(self, mode: bool = True) -> "Recorder":
        return self


@pytest.mark.parametrize("strategy", ["full", "layerwise"])
def test_full_and_layerwise_learn_everywhere(strategy: str) -> None:
    model = Recorder()
    FineTuning(strategy).start_epoch(model, 1)  # type: ignore[arg-type]
    assert model.frozen == []


def test_frozen_learns_in_the_head_alone() -> None:
    model = Recorder()
    FineTuning("frozen").start_epoch(model, 7)
    assert model.frozen == ["stem", "one", "two", "three"]


def test_gradual_unfreezes_from_the_output_backwards() -> None:
    fine_tuning = FineTuning("gradual", unfreeze_epochs=(2, 5), unfreeze_layers=2)
    frozen = {}
    for epoch in (1, 2, 4, 5, 9):
        model = Recorder()
        fine_tuning.start_epoch(model, epoch)
        frozen[epoch] = model.frozen
    assert frozen == {
        1: ["stem", "one", "two", "three"],
        2: ["stem", "one"],
        4: ["stem", "one"],
        5: [],
        9: [],
    }


def test_stages_at_the_input_can_be_kept_frozen() -> None:
    model = Recorder()
    FineTuning("full", frozen_stages=2).start_epoch(model, 3)
    assert model.frozen == ["stem", "one"]
