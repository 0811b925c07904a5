"""How the longitudinal networks start."""

import math

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from csi_predictor.models.longitudinal.constants import INIT_STD


def initialise_weights(module: nn.Module) -> None:
    """Draw every weight anew from torch's global generator.

    Convolutions: Kaiming normal by fan-in for ReLU. Norms: scale 1, shift 0. A transformer's
    matrices: normal with `INIT_STD`. Biases: 0. Position embeddings draw themselves.

    Source: the description of the longitudinal system; Kaiming: He et al. 2015, arXiv:1502.01852.
    """
    for part in module.modules():
        if isinstance(part, nn.ConvTranspose2d):
            _draw_transposed(part)
        elif isinstance(part, nn.Conv2d):
            nn.init.kaiming_normal_(part.weight, mode="fan_in", nonlinearity="relu")
        elif isinstance(part, nn.Linear):
            nn.init.normal_(part.weight, std=INIT_STD)
        elif isinstance(part, nn.GroupNorm | nn.LayerNorm | _BatchNorm):
            nn.init.ones_(part.weight)
        else:
            continue
        if part.bias is not None:
            nn.init.zeros_(part.bias)


def _draw_transposed(part: nn.ConvTranspose2d) -> None:
    """By the inputs that one output place sums; torch's fan-in of a transposed kernel isn't it."""
    overlaps = [
        kernel / stride for kernel, stride in zip(part.kernel_size, part.stride, strict=True)
    ]
    fan_in = part.in_channels // part.groups * math.prod(overlaps)
    nn.init.normal_(part.weight, std=math.sqrt(2 / fan_in))
