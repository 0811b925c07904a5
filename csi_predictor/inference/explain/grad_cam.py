"""Class activation maps: what a stage sees, weighted by how the answer changes with it."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.checkpoint import CheckpointError

from csi_predictor.errors import CsiError
from csi_predictor.inference.explain.capture import Captured


@dataclass(frozen=True)
class RawMap:
    """A map as it was computed, in the answer's own unit.

    Attributes:
        values: (B', h, w) or (B', d, h, w): positive speaks for the answer, negative against it.
        scale: (B',) the most that any position would have if nothing cancelled, against which
            rounding can be told from evidence.
    """

    values: Tensor
    scale: Tensor


def class_activation(captured: Captured, scores: Tensor, *, averages: bool) -> RawMap:
    """What speaks for the answer at each position: sum over channels of weight x activation.

    A transformer's last tokens lead to nothing where the head reads the class token alone: then the
    map is of the tokens that the block's attention reads, as is usual for Grad-CAM.

    Args:
        captured: Of one pass.
        scores: (B,) the explained number.
        averages: True = a channel's weight is its gradient's mean over all positions, so that the
            map says where the channels that matter are active (Selvaraju et al. 2017, Grad-CAM,
            arXiv:1610.02391, equations 1 and 2, before the ReLU); False = each position keeps its
            own gradient, so that the map says what each position adds (Draelos and Carin 2020,
            HiResCAM, arXiv:2011.08891).

    Raises:
        CsiError: The stage doesn't lead to the answer.
    """
    activations, gradients = _channels_first(captured, scores)
    spatial = tuple(range(2, activations.ndim))
    weights = gradients.mean(dim=spatial, keepdim=True) if averages else gradients
    terms = weights * activations
    return RawMap(terms.sum(dim=1), terms.abs().sum(dim=1).flatten(1).amax(dim=1))


def answer_gradients(
    captured: Captured, scores: Tensor, tensors: Sequence[Tensor]
) -> tuple[Tensor, ...]:
    """Of each image's number at each tensor of the pass; zero where it leads nowhere.

    Images don't touch each other in evaluation mode, so the sum's gradient is each image's own.

    Raises:
        CsiError: The captured stage doesn't lead to the answer, or gradient checkpointing is on.
    """
    if not scores.requires_grad:
        raise CsiError(
            f"heat map: stage {captured.stage} doesn't lead to the answer: expected another stage"
        )
    try:
        found = torch.autograd.grad(scores.sum(), tuple(tensors), allow_unused=True)
    except CheckpointError as error:
        raise CsiError(
            "heat map: the network's gradient checkpointing is on, which runs its layers anew: "
            "expected it off, as in a loaded bundle: call set_gradient_checkpointing(False)"
        ) from error
    return tuple(
        torch.zeros_like(tensor) if gradient is None else gradient
        for tensor, gradient in zip(tensors, found, strict=True)
    )


def _channels_first(captured: Captured, scores: Tensor) -> tuple[Tensor, Tensor]:
    """Activations and gradients (B', F, h, w), or of volumes, that lead to the answer."""
    tensors = (captured.last, captured.first)
    of_last, of_first = answer_gradients(captured, scores, tensors)
    pair = (captured.last, of_last)
    if captured.grid:
        if not of_last[:, captured.num_prefix :].any():
            pair = (captured.first, of_first)
        activations, gradients = (_as_map(tokens, captured) for tokens in pair)
    elif captured.has_channels_last:
        activations, gradients = (values.movedim(-1, 1) for values in pair)
    else:
        activations, gradients = pair
    return activations.detach().float(), gradients.float()


def _as_map(tokens: Tensor, captured: Captured) -> Tensor:
    """(B', N, F) -> (B', F, h, w) or (B', F, d, h, w), without class and register tokens."""
    patches = tokens[:, captured.num_prefix :].transpose(1, 2)
    return patches.reshape(*patches.shape[:2], *captured.grid)
