"""A network layer by layer, as torchinfo prints it: `--mode models --summary NAME`."""

from collections import namedtuple
from dataclasses import fields, is_dataclass
from typing import Any

import torch
import torchinfo
from torch import nn

from csi_predictor.architectures import Architecture
from csi_predictor.models.create import create_model

_DEPTH = 4
_COLUMNS = ("input_size", "output_size", "kernel_size", "num_params")
_WRONG = "Total mult-adds"


def summarize(architecture: Architecture) -> str:
    """Layers, shapes and parameters, for one input and with the published outputs.

    A network that is published without a head is shown with the one that it gets by default.
    Multiply-adds are left out: torchinfo 1.8 counts a linear layer once, not once a token, which
    is wrong by a factor of 2049 for `vit_large_3d`. `--mode benchmark` counts them.

    Raises:
        ConfigError: timm has no such network.
    """
    with torch.device("meta"):  # where nothing is computed
        model = create_model(architecture.name, num_classes=architecture.outputs or None).eval()
        spec = model.input_spec
        image = torch.zeros(1, spec.channels, *spec.size)
    for module in model.modules():
        module.register_forward_hook(_as_named_tuple)
    found = torchinfo.summary(
        model,
        input_data=[image] * architecture.num_images,
        device="meta",
        depth=_DEPTH,
        col_names=_COLUMNS,
        row_settings=("var_names",),
        verbose=0,
    )
    lines = [line for line in str(found).splitlines() if not line.startswith(_WRONG)]
    return "\n".join(lines) + "\n"


def _as_named_tuple(module: nn.Module, inputs: Any, output: Any) -> Any:
    """Our records as named tuples, because torchinfo measures only tensors in known containers."""
    if not is_dataclass(output) or isinstance(output, type):
        return None  # leaves the output as it is
    names = [field.name for field in fields(output)]
    return namedtuple(type(output).__name__, names)(*(getattr(output, name) for name in names))
