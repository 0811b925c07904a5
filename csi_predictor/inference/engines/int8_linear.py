"""Dynamic int8: linear layers whose products are of whole numbers, the rest as it was.

Weights are rounded once, with one scale an output; what comes in is rounded at each call, with one
scale a row. So an image's answer never depends on the images beside it in a batch, as it would with
the one scale a tensor of `torch.ao.quantization`, which torch has deprecated.

Source:
    Dettmers et al. 2022, arXiv:2208.07339, section 3: vector-wise absmax quantization.
"""

from copy import deepcopy

import torch
from torch import Tensor, nn

LARGEST = 127
"""-128 is left out, so that a number and its negative round alike."""
_TINY = 1e-30  # a row of zeros keeps its zeros


class Int8Linear(nn.Module):
    """A linear layer's int8 twin; on the CPU.

    Args:
        linear: Stays as it is.

    Attributes:
        int8_weight: (F_out, F_in).
        weight_scale: (F_out,) float32; the weight is about `int8_weight * weight_scale`.
        bias: (F_out,) float32 or None.
    """

    int8_weight: Tensor
    weight_scale: Tensor
    bias: Tensor | None

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        int8_weight, scale = round_rows(linear.weight.detach())
        self.register_buffer("int8_weight", int8_weight)
        self.register_buffer("weight_scale", scale[:, 0])
        self.register_buffer("bias", None if linear.bias is None else linear.bias.detach().clone())

    @property
    def weight(self) -> Tensor:
        """(F_out, F_in) float32, for code that reads a layer's weight instead of calling it."""
        return self.int8_weight * self.weight_scale[:, None]

    def forward(self, features: Tensor) -> Tensor:
        """(..., F_in) -> (..., F_out)."""
        int8_rows, scale = round_rows(features.reshape(-1, features.shape[-1]))
        sums = torch._int_mm(int8_rows, self.int8_weight.t())  # exact, in int32
        outputs = sums.float().mul_(scale).mul_(self.weight_scale)
        if self.bias is not None:
            outputs.add_(self.bias)
        return outputs.reshape(*features.shape[:-1], -1)


def round_rows(values: Tensor) -> tuple[Tensor, Tensor]:
    """(R, F) -> int8 (R, F) and float32 scales (R, 1), whose product is about the values."""
    scale = values.abs().amax(dim=1, keepdim=True).clamp_min(_TINY) / LARGEST
    return (values / scale).round_().to(torch.int8), scale


def quantize_linears(model: nn.Module) -> nn.Module:
    """A copy in evaluation mode whose linear layers are int8.

    A subclass of `nn.Linear` stays as it is: it may compute something else.
    """
    copy = deepcopy(model).eval()
    twins: dict[int, Int8Linear] = {}  # a layer that stands in two places stays one
    for parent in list(copy.modules()):
        for name, child in parent.named_children():
            if type(child) is nn.Linear:
                setattr(parent, name, twins.setdefault(id(child), Int8Linear(child)))
    return copy


def count_int8(model: nn.Module) -> int:
    """Weights that are int8."""
    return sum(m.int8_weight.numel() for m in model.modules() if isinstance(m, Int8Linear))
