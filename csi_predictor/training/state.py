"""The exact-resume checkpoint of a training: `state/checkpoint.pt`."""

import pickle
import time
import zipfile
from pathlib import Path
from typing import Any

import torch

from csi_predictor.errors import TrainingError
from csi_predictor.files import replaced

CHECKPOINT_NAME = "checkpoint.pt"


class StateStore:
    """Saves and finds the checkpoint of one run.

    Args:
        folder: `RUN_DIR/state`.
        interval_s: Seconds between two checkpoints within an epoch.
    """

    def __init__(self, folder: Path, *, interval_s: float) -> None:
        self.path = folder / CHECKPOINT_NAME
        self._interval_s = interval_s
        self._saved_s = time.monotonic()

    def is_due(self) -> bool:
        """Whether the interval has passed since the last checkpoint."""
        return time.monotonic() - self._saved_s >= self._interval_s

    def save(self, state: dict[str, Any]) -> None:
        """Replace the checkpoint by tensors, numbers, texts and containers of them."""
        with replaced(self.path) as temporary:
            torch.save(state, temporary)
        self._saved_s = time.monotonic()

    def load(self) -> dict[str, Any] | None:
        """The saved state, or `None` where there is none.

        Raises:
            TrainingError: The file is damaged.
        """
        if not self.path.is_file():
            return None
        damaged = TrainingError(
            f"{self.path}: not a readable training state: delete it, or set "
            "[TRAINING] RESUME = never, to start from the beginning"
        )
        if not zipfile.is_zipfile(self.path):
            raise damaged
        try:
            state: dict[str, Any] = torch.load(self.path, map_location="cpu", weights_only=True)
        except (RuntimeError, EOFError, OSError, pickle.UnpicklingError) as error:
            raise damaged from error
        return state


def random_state() -> dict[str, Any]:
    """The states of torch's global generators, which only dropout and stochastic depth use."""
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return {"cpu": torch.get_rng_state(), "cuda": cuda}


def set_random_state(state: dict[str, Any]) -> None:
    """Take over generator states of `random_state`."""
    torch.set_rng_state(state["cpu"])
    if state["cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["cuda"])
