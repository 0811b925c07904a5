"""What one stage of a network gives for a batch, and the graph from there to the answer."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from math import prod
from typing import Any, Self

import torch
from torch import Tensor, nn

from csi_predictor.errors import CsiError
from csi_predictor.inference.evaluation_mode import evaluation_mode
from csi_predictor.models.assemble import CsiModel
from csi_predictor.models.encoder import Encoded

_TOKENS = 3  # dimensions of (B, N, F)


@dataclass(frozen=True, kw_only=True)
class Captured:
    """One pass over a batch; B' is B, or B * Z where each zone has its own masked picture.

    Attributes:
        stage: Its name in `stages()`.
        first: What the stage's first layer of the last one's shape gives; for a transformer's block
            the normed tokens that its attention reads.
        last: What the stage gives: maps (B', F, h, w) or (B', F, d, h, w), or tokens (B', N, F).
        grid: (h, w) or (d, h, w) of the tokens that are patches; empty = `last` is a map.
        has_channels_last: Whether maps are (B', h, w, F), as some networks of timm have them.
        logits: The answer, in which gradients flow back to the two.
    """

    stage: str
    first: Tensor
    last: Tensor
    grid: tuple[int, ...]
    has_channels_last: bool
    logits: Tensor

    @property
    def num_prefix(self) -> int:
        """Class and register tokens, which stand before the patches."""
        return self.last.shape[1] - prod(self.grid) if self.grid else 0


@contextmanager
def ready_to_explain(model: nn.Module) -> Iterator[None]:
    """Evaluation mode, gradients of activations alone; afterwards the network is as it was."""
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    with ExitStack() as stack:
        stack.enter_context(evaluation_mode([model]))
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        for parameter in learning:
            parameter.requires_grad_(False)
        try:
            yield
        finally:
            for parameter in learning:
                parameter.requires_grad_(True)


def capture(model: CsiModel, pixels: Tensor, *, stage: str | None = None) -> Captured:
    """One pass, with what a stage gives.

    The graph begins in that stage, so that the layers before it keep nothing in memory.

    Args:
        model: Inside `ready_to_explain`.
        pixels: Normalised (B, C, H, W) or (B, C, D, H, W), on the model's device.
        stage: A name of `stages()`; None = the last one before the head whose map has more than one
            position.

    Raises:
        CsiError: No such stage, or it gives no map and no tokens.
    """
    stages = dict(model.stages()[:-1])
    if stage is not None and stage not in stages:
        raise CsiError(
            f"heat map of {model.spec.architecture}: it has no stage {stage}: expected one of "
            f"{', '.join(stages)}"
        )
    for name in [stage] if stage is not None else reversed(stages):
        captured = _run(model, pixels, name, stages[name])
        if captured is not None:
            return captured
    raise CsiError(
        f"heat map of {model.spec.architecture}: no map or tokens of more than one position in "
        f"{stage or 'any stage'}: expected another stage, or a larger picture"
    )


def _run(model: CsiModel, pixels: Tensor, name: str, stage: nn.Module) -> Captured | None:
    encoded: list[Encoded] = []

    def keep_encoded(_: nn.Module, __: Any, output: Encoded) -> None:
        encoded.append(output)

    with _Recorder(stage) as recorder, ExitStack() as stack:
        stack.callback(model.backbone.register_forward_hook(keep_encoded).remove)
        logits = model(pixels).logits
    grid = tuple(encoded[0].maps[-1].shape[2:])
    has_channels_last = _has_channels_last(model)
    fitting = [each for each in recorder.outer if _fits(each, grid, has_channels_last)]
    if not fitting:
        return None
    last = fitting[-1]
    return Captured(
        stage=name,
        first=next(each for each in recorder.every if each.shape == last.shape),
        last=last,
        grid=grid if last.ndim == _TOKENS else (),
        has_channels_last=has_channels_last,
        logits=logits,
    )


class _Recorder:
    """What the layers of a stage give in one pass, in the order of computation.

    A stage may be a list of modules that others call, so every layer in it is watched. Inner layers
    give tensors of any meaning, as an attention's heads; the outermost ones give maps or tokens.

    Attributes:
        every: Of all layers.
        outer: Of those that no other layer of the stage has called.
    """

    def __init__(self, stage: nn.Module) -> None:
        self.every: list[Tensor] = []
        self.outer: list[Tensor] = []
        self._stage = stage
        self._depth = 0
        self._hooks = ExitStack()

    def __enter__(self) -> Self:
        for part in self._stage.modules():
            self._hooks.callback(part.register_forward_pre_hook(self._go_in).remove)
            self._hooks.callback(part.register_forward_hook(self._come_out).remove)
        return self

    def __exit__(self, *_: object) -> None:
        self._hooks.close()

    def _go_in(self, _: nn.Module, __: Any) -> None:
        self._depth += 1

    def _come_out(self, _: nn.Module, __: Any, output: object) -> Tensor | None:
        self._depth -= 1
        if not isinstance(output, Tensor):
            return None
        if not output.requires_grad:
            # A copy, for a ReLU that works in place can't change a tensor that gradients begin at.
            output = output.detach().requires_grad_().clone()
        self.every.append(output)
        if not self._depth:
            self.outer.append(output)
        return output


def _fits(output: Tensor, grid: tuple[int, ...], has_channels_last: bool) -> bool:
    """Whether it is a map of more than one position, or tokens of all patches."""
    if output.ndim == _TOKENS:
        return output.shape[1] >= prod(grid) > 1
    positions = output.shape[1:-1] if has_channels_last else output.shape[2:]
    return output.ndim == len(grid) + 2 and prod(positions) > 1


def _has_channels_last(model: CsiModel) -> bool:
    """What timm says of its networks."""
    return getattr(getattr(model.backbone, "net", None), "output_fmt", "") == "NHWC"
