"""PyTorch as it comes, with its memory laid out for convolutions, and compiled."""

from collections.abc import Callable
from copy import deepcopy
from typing import Literal, cast

import torch
from torch import Tensor, nn

Precision = Literal["fp32", "bf16"]
Run = Callable[[Tensor], Tensor]

_IMAGE_LAYERS = (nn.Conv2d, nn.ConvTranspose2d)
_VOLUME_LAYERS = (nn.Conv3d, nn.ConvTranspose3d)


def prepare_eager(model: nn.Module, example: Tensor, precision: Precision = "fp32") -> Run:
    """The network itself, operation by operation.

    Args:
        model: Pixels to logits, in evaluation mode, on the example's device.
        example: Pixels of the shape that will come.
        precision: `bf16` computes what gains by it in bfloat16 (autocast); weights stay float32.
    """
    return _forward(model, example.device, precision)


def prepare_channels_last(model: nn.Module, example: Tensor, precision: Precision = "fp32") -> Run:
    """A copy whose convolutions keep the channels of a pixel together; see `prepare_eager`."""
    return _forward(copy_channels_last(model), example.device, precision)


def prepare_compiled(model: nn.Module, example: Tensor, precision: Precision = "fp32") -> Run:
    """A channels-last copy translated by `torch.compile`; see `prepare_eager`.

    Raises:
        torch._inductor.exc.InductorError: There is no C++ compiler, or the network can't be
            translated.
    """
    run = _forward(compile_copy(model), example.device, precision)
    run(example)  # translates now, so that what can fail fails here
    return run


def copy_channels_last(model: nn.Module) -> nn.Module:
    """A copy with the weights of its convolutions in channels-last order; the outputs follow."""
    copy = deepcopy(model)
    for module in copy.modules():
        if isinstance(module, _IMAGE_LAYERS):
            module.to(memory_format=torch.channels_last)
        elif isinstance(module, _VOLUME_LAYERS):
            module.to(memory_format=torch.channels_last_3d)
    return copy


def compile_copy(model: nn.Module) -> nn.Module:
    """A channels-last copy that is translated at its first call, for one shape."""
    return cast(nn.Module, torch.compile(copy_channels_last(model), dynamic=False))


def autocast(device: torch.device, precision: Precision) -> torch.autocast:
    """A context for the forward pass; does nothing for fp32."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16")


def _forward(model: nn.Module, device: torch.device, precision: Precision) -> Run:
    def run(pixels: Tensor) -> Tensor:
        with torch.inference_mode(), autocast(device, precision):
            logits: Tensor = model(pixels)
        return logits.float()

    return run
