"""TensorBoard events of a training: a choice, since the package is an extra."""

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from csi_predictor.errors import ConfigError


def check_tensorboard() -> None:
    """Make sure that events can be written.

    Raises:
        ConfigError: The package isn't installed.
    """
    if find_spec("tensorboard") is None:
        raise ConfigError(
            "[TRAINING] TENSORBOARD = true: the package tensorboard isn't installed: "
            'pip install "csi-predictor[tracking]", or set it to false'
        )


def add_tensorboard_events(figures: Mapping[str, float], folder: Path) -> None:
    """Add an epoch's figures to `folder/tensorboard`."""
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(folder / "tensorboard") as writer:
        for name, value in figures.items():
            if name != "epoch":
                writer.add_scalar(name, value, int(figures["epoch"]))
