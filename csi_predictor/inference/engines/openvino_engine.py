"""OpenVINO on the CPU: the network converted in memory and compiled for one shape."""

import sys
import warnings
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn

from csi_predictor.errors import CsiError
from csi_predictor.inference.engines.torch_engine import Precision, Run

_HINTS = {"fp32": "f32", "bf16": "bf16"}


def prepare_openvino(model: nn.Module, example: Tensor, precision: Precision = "fp32") -> Run:
    """The network in OpenVINO, for the least time an image, with as many threads as torch has.

    Args:
        model: Pixels to logits, in evaluation mode, on the CPU.
        example: Pixels of the one shape that will come.
        precision: Of the arithmetic; OpenVINO's own choice would be bf16 where the CPU has it.

    Raises:
        CsiError: The pixels aren't on the CPU, or it can't compute in this precision.
        RuntimeError: OpenVINO can't convert the network.
    """
    if example.device.type != "cpu":
        raise CsiError(f"OpenVINO runs on the CPU here: found DEVICE = {example.device}")
    openvino = import_openvino()
    converted = convert_network(model, example)
    compiled = openvino.Core().compile_model(converted, "CPU", settings_of(precision))
    _check_precision(compiled, precision)
    request = compiled.create_infer_request()

    def run(pixels: Tensor) -> Tensor:
        inputs = [pixels.contiguous().numpy()]
        outputs = request.infer(inputs, share_inputs=True, share_outputs=True)
        return torch.from_numpy(outputs[0]).clone()  # the next call writes over the buffer

    return run


def convert_network(model: nn.Module, example: Tensor) -> Any:
    """OpenVINO's model of a network, for the one shape of the example.

    Raises:
        RuntimeError: OpenVINO can't convert the network.
    """
    with warnings.catch_warnings():
        # It converts by tracing, which torch calls deprecated; and a trace warns of each size that
        # it takes for a constant, which is right here: only one shape will come.
        warnings.simplefilter("ignore", FutureWarning)
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", torch.jit.TracerWarning)  # type: ignore[attr-defined]
        converted = import_openvino().convert_model(model, example_input=example)
    converted.reshape(list(example.shape))
    return converted


def import_openvino() -> Any:
    """OpenVINO without its telemetry.

    Importing it would send an event to the maker's analytics service unless a file in the user's
    home forbids it; it does without where the package `openvino_telemetry` can't be imported.
    Source: openvino/tools/ovc/telemetry_utils.py, `except ImportError`.
    """
    if "openvino" not in sys.modules:
        sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
    return import_module("openvino")


def settings_of(precision: Precision) -> dict[str, Any]:
    """How a model is compiled: for the least time an image, in this precision."""
    return {
        "INFERENCE_PRECISION_HINT": _HINTS[precision],
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "ENABLE_CPU_PINNING": False,  # a thread bound to a core waits when another process is there
    }


def _check_precision(compiled: Any, precision: Precision) -> None:
    """It takes a hint that the processor can't follow without a word."""
    found = compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
    if found != _HINTS[precision]:
        raise CsiError(f"OpenVINO computes in {found} on this processor: expected {precision}")
