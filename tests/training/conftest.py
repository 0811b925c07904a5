"""Tiny sets that a whole loop trains on."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from csi_predictor.config import Config
from csi_predictor.data.cache import PreparedCache
from csi_predictor.data.manifest import Row
from csi_predictor.models.build import build_input_spec
from csi_predictor.runtime import Compute, seed_everything
from csi_predictor.specs import InputSpec, TargetSpec
from csi_predictor.training.build import build_loop
from csi_predictor.training.loop import Loop
from csi_predictor.training.run import Place

CPU = Compute(torch.device("cpu"), torch.float32)


@dataclass(frozen=True)
class Picture:
    """What a cache keeps."""

    pixels: NDArray[np.float32]


def _draw(path: Path, spec: InputSpec) -> Picture:
    """Noise that the path's number alone decides."""
    rng = np.random.default_rng(int(path.name))
    return Picture(rng.random(spec.size, dtype=np.float32))


def _make_rows(targets: Sequence[Sequence[float]], start: int = 0) -> tuple[Row, ...]:
    """One row a target vector, each its own patient."""
    return tuple(
        Row(f"{number}", f"P{number}", Path(f"{number}"), tuple(map(float, values)))
        for number, values in enumerate(targets, start=start)
    )


MakeLoop = Callable[..., Loop]


@pytest.fixture
def draw() -> Callable[[Path, InputSpec], Picture]:
    """`draw(path, spec)` -> what a cache keeps of the image of that number."""
    return _draw


@pytest.fixture
def make_rows() -> Callable[..., tuple[Row, ...]]:
    """`make_rows(targets)` -> a row a target vector, its path a number."""
    return _make_rows


@pytest.fixture
def make_loop() -> MakeLoop:
    """`make_loop(config, folder, targets=..., train=..., val=...)` -> a seeded new loop."""

    def make(
        config: Config,
        folder: Path,
        *,
        targets: TargetSpec,
        train: Sequence[Sequence[float]],
        val: Sequence[Sequence[float]] = (),
        on_epoch: Callable[[list[Any]], None] = lambda history: None,
    ) -> Loop:
        seed_everything(config.runtime.seed)
        cache = PreparedCache("none", folder, build_input_spec(config), prepare=_draw)
        return build_loop(
            config,
            Place(0, config.runtime.seed, folder, ""),
            targets=targets,
            train=_make_rows(train),
            val=_make_rows(val, start=100),
            cache=cache,
            compute=CPU,
            on_epoch=on_epoch,
        )

    return make
