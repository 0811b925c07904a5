"""What a network costs on paper: multiplications, activations, parameters."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

_FLOPS_PER_MAC = 2
_ATEN = torch.ops.aten
_COUNTED = frozenset({_ATEN.convolution, _ATEN.mm, _ATEN.addmm, _ATEN.bmm, _ATEN.baddbmm})


@dataclass(frozen=True)
class Cost:
    """Of one image.

    Attributes:
        gmacs: 10^9 multiplications with addition, in convolutions and matrix products.
        macts: 10^6 numbers that these give.
        params_m: 10^6 parameters.
    """

    gmacs: float
    macts: float
    params_m: float


def count_cost(model: nn.Module, example: Tensor) -> Cost:
    """Count what one forward pass does; on the meta device nothing is computed.

    The two products of attention are counted, as in timm's newer tables (its older ones leave them
    out: 16.9 instead of 17.6 GMACs for vit_base_patch16_224). Norms, activation functions and
    pooling are not; fvcore, which timm asks, adds up to 2 % for them.

    Args:
        model: In evaluation mode, on the example's device.
        example: Pixels of one image, batch 1.

    Source:
        Activations are the outputs of convolutions and matrix products, as in fvcore's
        ActivationCountAnalysis; Radosavovic et al. 2020, arXiv:2003.13678, section 3.
    """
    activations = _ActivationCounter()
    # attention written out, so that its products are seen whatever kernel the device would choose
    operations = FlopCounterMode(display=False)
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), activations, operations:
        model(example)
    return Cost(
        gmacs=operations.get_total_flops() / _FLOPS_PER_MAC / 1e9,
        macts=activations.count / 1e6,
        params_m=sum(parameter.numel() for parameter in model.parameters()) / 1e6,
    )


class _ActivationCounter(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's hook
    """Counts the numbers that convolutions and matrix products give, wherever they are called."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.count = 0

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        output = func(*args, **(kwargs or {}))
        if func.overloadpacket in _COUNTED:
            self.count += output.numel()
        return output
