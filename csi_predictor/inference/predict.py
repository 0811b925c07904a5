"""The one predict loop: pixels to logits, for validation, evaluation and scoring alike."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from csi_predictor.specs import MIRRORED_ZONE_INDEX, Task, ZoneHead
from csi_predictor.zone_logits import ZoneProbabilities, zone_probabilities

TestTime = Literal["none", "mirror"]


class PixelBatch(Protocol):
    """What the loop reads of a batch: pixels (B, C, ...), targets (B, T) and row indices (B,)."""

    pixels: Tensor
    targets: Tensor
    indices: Tensor


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
) -> Logits:
    """Every model's logits for every batch, in float32 and evaluation mode."""
    parts = [
        (run_models(models, batch.pixels, device=device, test_time=test_time, task=task), batch)
        for batch in batches
    ]
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
) -> Tensor:
    """(M, B, ...) logits of pixels (B, C, ...); `mirror` adds each model's second look.

    The mirrored picture shows the patient's left on the other side, so its answers are put back
    to the zones that they are about; labels and classes that name a side are
    refused before.
    """
    pixels = pixels.to(device)
    passes = []
    with _evaluation_mode(models):
        for model in models:
            passes.append(model(pixels).logits)
            if test_time == "mirror":
                mirrored = model(pixels.flip(-1)).logits
                passes.append(mirrored[:, list(MIRRORED_ZONE_INDEX)] if task == "csi" else mirrored)
    return torch.stack(passes).float().cpu()


def mean_probabilities(values: Tensor, *, head: ZoneHead) -> ZoneProbabilities:
    """(M, N, Z, L) logits -> the mean over the M passes of their probabilities, float64."""
    each = zone_probabilities(values, head)
    return ZoneProbabilities(each.grades.double().mean(dim=0), each.ungradable.double().mean(dim=0))


def mean_label_probabilities(values: Tensor, *, task: Task) -> Tensor:
    """(M, N, K) logits -> (N, K) the mean over the M passes of their probabilities, float64.

    Args:
        values: Logits.
        task: `multiclass` is one of K classes, `multilabel` K independent questions.

    Raises:
        ValueError: Of another task.
    """
    if task == "multiclass":
        return values.double().softmax(dim=-1).mean(dim=0)
    if task == "multilabel":
        return values.double().sigmoid().mean(dim=0)
    raise ValueError(f"task {task}: expected multiclass or multilabel")


@contextmanager
def _evaluation_mode(models: Sequence[nn.Module]) -> Iterator[None]:
    """Evaluation mode inside; afterwards each module is as it was, frozen parts included."""
    modes = {module: module.training for model in models for module in model.modules()}
    for model in models:
        model.eval()
    try:
        yield
    finally:
        for module, is_training in modes.items():
            module.training = is_training
