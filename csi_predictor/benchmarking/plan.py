"""What is to be measured, and with which settings."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from csi_predictor.architectures import Architecture


@dataclass(frozen=True, kw_only=True)
class NetworkPlan:
    """One network at one size, and the engines that take turns on it.

    Attributes:
        name: Of the registry, or a bundle's `model_id`.
        bundle: Folder of a trained network; None = random weights.
        image_size: Edge, pixels or voxels; None = the network's own.
        batch_size: Images a step.
        engines: Words such as `openvino-bf16`.
        quality: Of the bundle's evaluation, by its metric's name, if there is one.
    """

    name: str
    bundle: Path | None = None
    image_size: int | None = None
    batch_size: int
    engines: tuple[str, ...]
    quality: tuple[str, float] | None = None

    @property
    def title(self) -> str:
        """For messages: `resnet50, 224, batch 1`."""
        size = "" if self.image_size is None else f", {self.image_size}"
        return f"{self.name}{size}, batch {self.batch_size}"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What holds for every network.

    Attributes:
        device: torch's name of it.
        num_threads: CPU threads of every engine.
        seed: Of weights and pixels.
        deterministic: As [RUNTIME] DETERMINISTIC.
        runs: Rounds.
        train: True = training steps too.
        timeout_s: Of a row's preparation, and of its rounds together.
        log_path: Receives what the engines print.
    """

    device: str
    num_threads: int
    seed: int
    deterministic: bool
    runs: int
    train: bool
    timeout_s: float
    log_path: Path


@dataclass(frozen=True)
class TrainedModel:
    """A bundle to measure: its folder, its `model_id` and what its evaluation found."""

    folder: Path
    name: str
    quality: tuple[str, float] | None


def plan_networks(
    architectures: Sequence[Architecture],
    trained: Sequence[TrainedModel],
    *,
    engines: Sequence[str],
    batch_sizes: Sequence[int],
    image_sizes: Sequence[int],
) -> tuple[NetworkPlan, ...]:
    """Every network at every size and batch size, each with all engines, each word once."""
    words = tuple(dict.fromkeys(engines))
    return tuple(_plans(architectures, trained, words, batch_sizes, image_sizes or (None,)))


def _plans(
    architectures: Sequence[Architecture],
    trained: Sequence[TrainedModel],
    engines: tuple[str, ...],
    batch_sizes: Sequence[int],
    image_sizes: Sequence[int | None],
) -> Iterator[NetworkPlan]:
    for row in architectures:
        for size in dict.fromkeys(image_sizes):
            for batch_size in dict.fromkeys(batch_sizes):
                yield NetworkPlan(
                    name=row.name, image_size=size, batch_size=batch_size, engines=engines
                )
    for model in trained:
        for batch_size in dict.fromkeys(batch_sizes):
            yield NetworkPlan(
                name=model.name,
                bundle=model.folder,
                batch_size=batch_size,
                engines=engines,
                quality=model.quality,
            )
