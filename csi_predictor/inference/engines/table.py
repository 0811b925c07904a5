"""The engines by name."""

from collections.abc import Callable, Mapping
from typing import cast

from torch import Tensor, nn

from csi_predictor.inference.engines.onnx_engine import prepare_onnx
from csi_predictor.inference.engines.openvino_engine import prepare_openvino
from csi_predictor.inference.engines.torch_engine import (
    Precision,
    Run,
    prepare_channels_last,
    prepare_compiled,
    prepare_eager,
)

Prepare = Callable[[nn.Module, Tensor, Precision], Run]
"""(model, example, precision) -> a function from pixels of the example's shape to float32 logits.

The model gives one tensor for one tensor, is in evaluation mode and on the example's device, and is
not changed. The number of threads is torch's own, `torch.get_num_threads()`.
"""

ENGINES: Mapping[str, Prepare] = {
    "eager": prepare_eager,
    "channels_last": prepare_channels_last,
    "compile": prepare_compiled,
    "openvino": prepare_openvino,
    "onnx": prepare_onnx,
}
BF16_SUFFIX = "-bf16"


def split_engine(word: str) -> tuple[str, Precision]:
    """`openvino-bf16` -> `openvino`, `bf16`; without a suffix it is fp32."""
    precision = "bf16" if word.endswith(BF16_SUFFIX) else "fp32"
    return word.removesuffix(BF16_SUFFIX), cast(Precision, precision)
