"""The best epoch's weights, and the user's wish to stop."""

import signal

import pytest
import torch
from torch import nn

from csi_predictor.training.stopping import BestWeights, StopRequest


def test_the_best_weights_are_a_copy__weakness_10() -> None:
    model = nn.Linear(2, 1)
    best = BestWeights("val_loss", min_delta=0.0)
    assert best.offer(1.0, 1, model)
    kept = model.weight.detach().clone()
    with torch.no_grad():
        model.weight.add_(5.0)  # later epochs go on training the same tensors
    assert best.weights is not None
    assert torch.equal(best.weights["weight"], kept)


def test_lower_or_higher_is_better_by_the_figures_name() -> None:
    model = nn.Linear(1, 1)
    lower = BestWeights("val_zone_mae", min_delta=0.0)
    assert [lower.offer(v, e, model) for e, v in enumerate([0.9, 0.8, 0.85])] == [True, True, False]
    higher = BestWeights("val_zone_qwk", min_delta=0.0)
    assert [higher.offer(v, e, model) for e, v in enumerate([0.1, 0.3, 0.2])] == [True, True, False]
    assert higher.epoch == 1


def test_a_change_within_min_delta_or_an_undefined_figure_is_not_better() -> None:
    model = nn.Linear(1, 1)
    best = BestWeights("val_loss", min_delta=0.1)
    assert not best.offer(float("nan"), 1, model)
    assert best.offer(1.0, 2, model)
    assert not best.offer(0.95, 3, model)
    assert best.offer(0.85, 4, model)


def test_a_signal_is_noted_once_and_obeyed_at_once_the_second_time() -> None:
    before = signal.getsignal(signal.SIGINT)
    with StopRequest() as stop:
        signal.raise_signal(signal.SIGINT)
        assert stop.is_set
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before
