"""Passes with dropout left on: how much a network's answer hangs on any one of its features."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from csi_predictor.errors import BundleError
from csi_predictor.inference.evaluation_mode import evaluation_mode
from csi_predictor.models.assemble import CsiModel

_BY_VALUE = nn.Dropout
_BY_CHANNEL = (nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)


@torch.inference_mode()
def dropout_passes(model: CsiModel, pixels: Tensor, *, num_passes: int, seed: int) -> Tensor:
    """Logits (T, B, ...) of T passes, each with its own dropout masks; float32, on the CPU.

    Only dropout layers drop: all else stays in evaluation mode, so that BatchNorm neither takes the
    batch's statistics nor changes its own. A pass has one mask for all images, drawn from the seed,
    the pass and the layer alone: it is one network that answers for all of them, and no image's
    answer hangs on its neighbours or on the batch size. Where only the head drops, the encoder runs
    once a batch.

    Args:
        model: In any mode, which it has again afterwards.
        pixels: Normalised (B, C, H, W) or (B, C, D, H, W), on the model's device.
        num_passes: T, at least 1.
        seed: Of the masks, at least 0.

    Raises:
        BundleError: The network has no dropout layer with a rate above 0, or runs none of them.
        ValueError: Fewer than 1 pass.

    Source: Gal and Ghahramani 2016, arXiv:1506.02142; one mask for all inputs of a pass: Kirsch et
    al. 2019, BatchBALD, arXiv:1906.08158, section 4.
    """
    if num_passes < 1:
        raise ValueError(f"num_passes = {num_passes}: expected at least 1")
    layers = _dropout_layers(model)
    if not layers:
        raise BundleError(_no_dropout(model, "no dropout layer has a rate above 0"))
    with evaluation_mode([model]):
        run = _pass_of(model, pixels)
        passes = []
        for index in range(num_passes):
            with _masks(layers, seed=seed, pass_index=index) as num_drawn:
                passes.append(run())
            if not any(num_drawn):
                raise BundleError(_no_dropout(model, "it has dropout layers but runs none of them"))
    return torch.stack(passes).float().cpu()


def has_dropout(model: nn.Module) -> bool:
    """Whether passes can differ: a dropout layer with a rate above 0."""
    return bool(_dropout_layers(model))


def drops_only_in_head(model: CsiModel) -> bool:
    """Whether T passes cost little more than one: the encoder, which never drops, runs once."""
    in_head = set(model.classifier.modules())
    return all(layer in in_head for layer in _dropout_layers(model))


def _dropout_layers(model: nn.Module) -> list[nn.Module]:
    """Layers that would drop in training. Stochastic depth drops no features and isn't counted."""
    kinds = (_BY_VALUE, *_BY_CHANNEL)
    return [part for part in model.modules() if isinstance(part, kinds) and part.p > 0]


def _pass_of(model: CsiModel, pixels: Tensor) -> Callable[[], Tensor]:
    """What has to run again in every pass."""
    if drops_only_in_head(model):
        return partial(model.classifier, model.encode_for_head(pixels))

    def run() -> Tensor:
        logits: Tensor = model(pixels).logits
        return logits

    return run


@contextmanager
def _masks(layers: Sequence[nn.Module], *, seed: int, pass_index: int) -> Iterator[list[int]]:
    """Dropout on inside; yields how many masks each layer has drawn so far.

    The layers stay in evaluation mode, where they pass values on, and a hook multiplies those.
    """
    num_drawn = [0] * len(layers)

    def hook_of(position: int) -> Callable[[nn.Module, Any, Tensor], Tensor]:
        rng = np.random.default_rng([seed, pass_index, position])

        def drop(layer: nn.Module, _: Any, values: Tensor) -> Tensor:
            num_drawn[position] += 1
            return values * _mask(layer, values, rng)

        return drop

    handles = [
        layer.register_forward_hook(hook_of(position)) for position, layer in enumerate(layers)
    ]
    try:
        yield num_drawn
    finally:
        for handle in handles:
            handle.remove()


def _mask(layer: nn.Module, values: Tensor, rng: np.random.Generator) -> Tensor:
    """(1, ...) of values (B, ...): 0, or 1 / (1 - p); of channels (1, C, 1, ...)."""
    shape = values.shape[1:]
    if isinstance(layer, _BY_CHANNEL):
        shape = torch.Size([shape[0], *[1] * (len(shape) - 1)])
    p = float(layer.p)  # type: ignore[arg-type]  # nn.Module tells nothing of its attributes
    # Drawn on the CPU, so that every device drops the same.
    is_kept = rng.random(tuple(shape), dtype=np.float32) >= p
    scale = 1 / (1 - p) if p < 1 else 0.0
    return torch.from_numpy(is_kept * np.float32(scale))[None].to(values)


def _no_dropout(model: CsiModel, found: str) -> str:
    return (
        f"{model.spec.architecture}, UNCERTAINTY = mc_dropout: {found}, so that every pass would "
        "be the same: expected one that drops: train with [MODEL] DROPOUT_RATE above 0, or set "
        "[EVALUATION] UNCERTAINTY = none or ensemble"
    )
