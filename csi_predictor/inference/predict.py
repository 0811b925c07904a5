"""The one predict loop: pixels to logits, for validation, evaluation and scoring alike."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from csi_predictor.inference.evaluation_mode import evaluation_mode
from csi_predictor.inference.mc_dropout import dropout_passes
from csi_predictor.models.assemble import CsiModel
from csi_predictor.specs import MIRRORED_ZONE_INDEX, Task, ZoneHead
from csi_predictor.zone_logits import ZoneProbabilities, zone_probabilities

TestTime = Literal["none", "mirror"]


class PixelBatch(Protocol):
    """What the loop reads of a batch: pixels (B, C, ...), targets (B, T) and row indices (B,)."""

    pixels: Tensor
    targets: Tensor
    indices: Tensor


@dataclass(frozen=True)
class DropoutPasses:
    """How often, and with which masks, each network answers under dropout (`mc_dropout`)."""

    num_passes: int
    seed: int


@dataclass(frozen=True)
class Logits:
    """The raw answers of M passes (members, times two with mirroring) over N rows.

    Attributes:
        values: (M, N, Z, L) of zones, in the patient's order in every pass, or (M, N, K) of labels
            and classes; on the CPU.
        targets: (N, Z), NaN = ungradable; or (N, T), NaN = unknown.
        indices: (N,) rows of the data set.
    """

    values: Tensor
    targets: Tensor
    indices: np.ndarray


def predict_logits(
    models: Sequence[nn.Module],
    batches: Iterable[PixelBatch],
    *,
    device: torch.device,
    test_time: TestTime = "none",
    task: Task = "csi",
    dropout: DropoutPasses | None = None,
) -> Logits:
    """Every model's logits for every batch, in float32 and evaluation mode (but for `dropout`)."""
    run = partial(
        run_models, models, device=device, test_time=test_time, task=task, dropout=dropout
    )
    parts = [(run(batch.pixels), batch) for batch in batches]
    return Logits(
        torch.cat([values for values, _ in parts], dim=1),
        torch.cat([batch.targets for _, batch in parts]).float(),
        torch.cat([batch.indices for _, batch in parts]).numpy(),
    )


@torch.inference_mode()
def run_models(
    models: Sequence[nn.Module],
    pixels: Tensor,
    *,
    device: torch.device,
    test_time: TestTime,
    task: Task = "csi",
    dropout: DropoutPasses | None = None,
) -> Tensor:
    """(M, B, ...) logits of pixels (B, C, ...); `mirror` adds each model's second look.

    With `dropout` each look is one for every mask.

    The mirrored picture shows the patient's left on the other side, so its answers are put back
    to the zones that they are about; labels and classes that name a side are
    refused before.
    """
    pixels = pixels.to(device)
    passes = []
    with evaluation_mode(models):
        for model in models:
            passes.append(_look(model, pixels, dropout))
            if test_time == "mirror":
                mirrored = _look(model, pixels.flip(-1), dropout)
                is_sided = task == "csi"
                passes.append(mirrored[:, :, list(MIRRORED_ZONE_INDEX)] if is_sided else mirrored)
    return torch.cat(passes).float().cpu()


def _look(model: nn.Module, pixels: Tensor, dropout: DropoutPasses | None) -> Tensor:
    """(T, B, ...) logits: one, or one under each mask."""
    if dropout is None:
        logits: Tensor = model(pixels).logits
        return logits[None]
    if not isinstance(model, CsiModel):
        raise TypeError(f"{type(model).__name__}: expected a network of the registry, to drop from")
    return dropout_passes(model, pixels, num_passes=dropout.num_passes, seed=dropout.seed)


def mean_probabilities(values: Tensor, *, head: ZoneHead) -> ZoneProbabilities:
    """(M, N, Z, L) logits -> the mean over the M passes of their probabilities, float64."""
    each = zone_probabilities(values.double(), head)
    return ZoneProbabilities(each.grades.mean(dim=0), each.ungradable.mean(dim=0))


def mean_label_probabilities(values: Tensor, *, task: Task) -> Tensor:
    """(M, N, K) logits -> (N, K) the mean over the M passes of their probabilities, float64."""
    return label_probabilities(values, task=task).mean(dim=0)


def label_probabilities(values: Tensor, *, task: Task) -> Tensor:
    """Logits (..., K) -> probabilities (..., K), float64.

    Args:
        values: Logits.
        task: `multiclass` is one of K classes, `multilabel` K independent questions.

    Raises:
        ValueError: Of another task.
    """
    if task == "multiclass":
        return values.double().softmax(dim=-1)
    if task == "multilabel":
        return values.double().sigmoid()
    raise ValueError(f"task {task}: expected multiclass or multilabel")
