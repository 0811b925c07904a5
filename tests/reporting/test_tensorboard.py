"""TensorBoard events, read back with TensorBoard's own reader."""

from pathlib import Path

import pytest

from csi_predictor.errors import ConfigError
from csi_predictor.reporting import tensorboard
from csi_predictor.reporting.tensorboard import add_tensorboard_events, check_tensorboard


def test_each_epochs_figures_can_be_read_back(tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    for epoch, loss in ((1, 0.5), (2, 0.25)):
        add_tensorboard_events({"epoch": epoch, "train_loss": loss}, tmp_path)
    steps = {}
    for path in (tmp_path / "tensorboard").iterdir():
        events = accumulator.EventAccumulator(str(path)).Reload()
        steps |= {event.step: event.value for event in events.Scalars("train_loss")}
    assert steps == {1: 0.5, 2: 0.25}


def test_a_missing_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensorboard, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install .csi-predictor\[tracking\]"):
        check_tensorboard()
