"""A transformer's attention weights, which fused kernels never hold."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import Tensor, nn
from transformers.models.dinov2.modeling_dinov2 import Dinov2Attention

from csi_predictor.errors import CsiError
from csi_predictor.models.assemble import CsiModel
from csi_predictor.models.encoders2d.raddino import RadDino
from csi_predictor.models.encoders3d.vit3d import Vit3d

_PREFIX_TOKENS = "num_prefix_tokens"
"""What timm's vision transformers have, and its windowed and pooled relatives haven't."""


def is_plain_transformer(model: CsiModel) -> bool:
    """Whether its tokens all see each other in every block, so that attention can be followed."""
    backbone = model.backbone
    if isinstance(backbone, RadDino | Vit3d):
        return True
    return hasattr(getattr(backbone, "net", None), _PREFIX_TOKENS)


@contextmanager
def recorded_attention(model: CsiModel) -> Iterator[dict[nn.Module, Tensor]]:
    """Fills the table, from input to output, with each layer's weights (B', heads, N, N).

    They are those of the latest pass inside.

    Raises:
        CsiError: The network has no attention between tokens.
    """
    recorded: dict[nn.Module, Tensor] = {}
    with ExitStack() as stack:
        if isinstance(model.backbone, RadDino):
            _record_transformers(model.backbone, recorded, stack)
        else:
            _record_timm(model, recorded, stack)
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
    for found in (tuple(weights.shape[-2:]) for weights in recorded):
        if found != expected:
            raise CsiError(
                f"heat map of {architecture}: a layer attends from {found[0]} to {found[1]} tokens "
                f"and the last stage gives {num_tokens or 'a map'}: rollout expects all tokens to "
                "attend to all: take grad_cam or token_grad_cam"
            )


def _record_transformers(
    backbone: RadDino, recorded: dict[nn.Module, Tensor], stack: ExitStack
) -> None:
    net: Any = backbone.net  # transformers doesn't declare types here
    before = net.config._attn_implementation
    net.set_attn_implementation("eager")
    stack.callback(net.set_attn_implementation, before)

    def read(layer: nn.Module, _: Any, output: tuple[Tensor, Tensor]) -> None:
        recorded[layer] = output[1]

    for part in backbone.modules():
        if isinstance(part, Dinov2Attention):
            stack.callback(part.register_forward_hook(read).remove)


def _record_timm(model: CsiModel, recorded: dict[nn.Module, Tensor], stack: ExitStack) -> None:
    def read(dropout: nn.Module, _: Any, output: Tensor) -> None:
        recorded[dropout] = output

    layers = [part for part in model.backbone.modules() if hasattr(part, "fused_attn")]
    if not layers or not all(hasattr(layer, "attn_drop") for layer in layers):
        raise CsiError(
            f"heat map of {model.spec.architecture}: it has no attention whose weights can be "
            "read: rollout is for plain vision transformers: take grad_cam or token_grad_cam"
        )
    for layer in layers:
        stack.callback(setattr, layer, "fused_attn", layer.fused_attn)
        layer.fused_attn = False  # type: ignore[assignment]  # nn.Module declares modules alone
        # In evaluation mode dropout hands on the softmax's weights as they are.
        dropout = layer.get_submodule("attn_drop")
        stack.callback(dropout.register_forward_hook(read).remove)
