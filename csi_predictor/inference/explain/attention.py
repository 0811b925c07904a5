"""Attention rollout: along which patches the information comes that the answer is read from."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from transformers.models.dinov2.modeling_dinov2 import Dinov2Attention

from csi_predictor.errors import CsiError
from csi_predictor.models.assemble import CsiModel
from csi_predictor.models.encoders2d.raddino import RadDino

_RESIDUAL = 0.5
"""Of a token that the way around a block passes on. Source: Abnar and Zuidema 2020, section 3."""


def roll_out(attention: Sequence[Tensor], reading: Tensor) -> Tensor:
    """(B, N) how much of what is read comes from each token of the first layer.

    Source: Abnar and Zuidema 2020, Quantifying Attention Flow in Transformers, arXiv:2005.00928,
    section 3: the product of the layers' (A + I) / 2, A the mean over the heads. It knows nothing
    of what the values say, so that evidence for and against the answer look alike.

    Args:
        attention: A layer (B, N, N) each, the first layer first; its rows sum to 1.
        reading: (B, N) how much is read from each token of the last layer.
    """
    flow = reading
    for weights in reversed(attention):
        flow = _RESIDUAL * flow + (1 - _RESIDUAL) * torch.einsum("bn,bnm->bm", flow, weights)
    return flow


@contextmanager
def recorded_attention(model: CsiModel) -> Iterator[list[Tensor]]:
    """Fills the list with each layer's attention (B', N, N), the heads' mean, in each pass.

    Inside, attention is computed step by step, for fused kernels never hold its weights.

    Raises:
        CsiError: The network has no attention between tokens.
    """
    recorded: list[Tensor] = []

    def keep(weights: Tensor) -> None:
        recorded.append(weights.detach().float().mean(dim=1))

    with ExitStack() as stack:
        if isinstance(model.backbone, RadDino):
            _record_transformers(model.backbone, keep, stack)
        else:
            _record_timm(model, keep, stack)
        yield recorded


def check_attention(recorded: Sequence[Tensor], num_tokens: int, architecture: str) -> None:
    """Refuse layers that don't show each token all others.

    Args:
        recorded: A layer each.
        num_tokens: That the last stage gives; 0 = it gives a map.
        architecture: Named in the message.

    Raises:
        CsiError: As of windows, or of a class token that alone attends.
    """
    expected = (num_tokens, num_tokens)
    for found in (tuple(weights.shape[1:]) for weights in recorded):
        if found != expected:
            raise CsiError(
                f"heat map of {architecture}: a layer attends from {found[0]} to {found[1]} tokens "
                f"and the last stage gives {num_tokens or 'a map'}: attention_rollout expects all "
                "tokens to attend to all: take auto"
            )


def _record_transformers(
    backbone: RadDino, keep: Callable[[Tensor], None], stack: ExitStack
) -> None:
    net: Any = backbone.net  # transformers doesn't declare types here
    before = net.config._attn_implementation
    net.set_attn_implementation("eager")
    stack.callback(net.set_attn_implementation, before)

    def read(_: nn.Module, __: Any, output: tuple[Tensor, Tensor]) -> None:
        keep(output[1])

    for part in backbone.modules():
        if isinstance(part, Dinov2Attention):
            stack.callback(part.register_forward_hook(read).remove)


def _record_timm(model: CsiModel, keep: Callable[[Tensor], None], stack: ExitStack) -> None:
    def read(_: nn.Module, __: Any, output: Tensor) -> None:
        keep(output)

    layers = [part for part in model.backbone.modules() if hasattr(part, "fused_attn")]
    if not layers or not all(hasattr(layer, "attn_drop") for layer in layers):
        raise CsiError(
            f"heat map of {model.spec.architecture}: it has no attention whose weights can be "
            "read: attention_rollout is for plain vision transformers: take auto"
        )
    for layer in layers:
        stack.callback(setattr, layer, "fused_attn", layer.fused_attn)
        layer.fused_attn = False  # type: ignore[assignment]  # nn.Module declares modules alone
        # In evaluation mode dropout hands on the softmax's weights as they are.
        dropout = layer.get_submodule("attn_drop")
        stack.callback(dropout.register_forward_hook(read).remove)
