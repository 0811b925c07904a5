"""OpenVINO int8: the whole network rounded after training, by what calibration images show."""

import io
import logging
from collections.abc import Iterable, Sequence
from contextlib import redirect_stdout
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from csi_predictor.errors import ConfigError
from csi_predictor.inference.engines.logits import LogitsModel
from csi_predictor.inference.engines.openvino_engine import (
    convert_network,
    import_openvino,
    settings_of,
)
from csi_predictor.inference.predict import PixelBatch

_WEIGHT_TYPES = ("i8", "u8", "f16", "f32")


class LogitsOutput(NamedTuple):
    """What `inference.predict.run_models` reads of a network's answer."""

    logits: Tensor


class OpenVinoNetwork(nn.Module):
    """A compiled network that answers as the one that it was made from.

    Images go through one by one: a converted graph holds the number of images that it was traced
    with, and an answer then can't depend on its neighbours.

    Args:
        compiled: Takes (1, C, ...) float32.
    """

    def __init__(self, compiled: Any) -> None:
        super().__init__()
        self._request = compiled.create_infer_request()

    def forward(self, pixels: Tensor) -> LogitsOutput:
        """(B, C, ...) -> logits (B, ...)."""
        answers = [
            self._request.infer([image[None].contiguous().numpy()], share_outputs=True)[0].copy()
            for image in pixels
        ]
        return LogitsOutput(torch.from_numpy(np.concatenate(answers)))


def check_nncf() -> None:
    """Find the library that calibrates.

    Raises:
        ConfigError: It isn't installed.
    """
    if find_spec("nncf") is None:
        raise ConfigError(
            "[EVALUATION] QUANTIZE = openvino: the package nncf isn't installed: "
            'pip install "csi-predictor[quantize]"'
        )


def write_int8(
    network: nn.Module, calibration: Iterable[PixelBatch], path: Path, *, size: Sequence[int]
) -> None:
    """Calibrate a network and write it as `path` (.xml) with its weights beside (.bin).

    Args:
        network: In evaluation mode, on the CPU.
        calibration: Batches of one image that the network will not be measured on; read more than
            once.
        path: In a folder that exists.
        size: (C, ...) of its input.

    Raises:
        ConfigError: nncf isn't installed.
        RuntimeError: OpenVINO can't convert the network.
    """
    check_nncf()
    openvino = import_openvino()  # before nncf, which would wake the telemetry
    nncf = import_module("nncf")
    nncf.set_log_level(logging.ERROR)
    converted = convert_network(LogitsModel(network).eval(), torch.zeros(1, *size))
    is_transformer = any(
        operation.get_type_name() == "ScaledDotProductAttention"
        for operation in converted.get_ops()
    )
    with redirect_stdout(io.StringIO()):  # its progress bars
        quantized = nncf.quantize(
            converted,
            nncf.Dataset(calibration, _pixels_of),
            preset=nncf.QuantizationPreset.MIXED,
            model_type=nncf.ModelType.TRANSFORMER if is_transformer else None,
            target_device=nncf.TargetDevice.CPU,
        )
    openvino.save_model(quantized, path, compress_to_fp16=False)


def load_openvino(path: Path) -> OpenVinoNetwork:
    """The network of an .xml with its .bin, with as many threads as torch has.

    Raises:
        RuntimeError: OpenVINO can't read it.
    """
    core = import_openvino().Core()
    return OpenVinoNetwork(core.compile_model(core.read_model(path), "CPU", settings_of("fp32")))


def convert_fp32(network: nn.Module, *, size: Sequence[int]) -> OpenVinoNetwork:
    """The network in OpenVINO as it is, to hold the speed of int8 against."""
    core = import_openvino().Core()
    return OpenVinoNetwork(
        core.compile_model(
            convert_network(LogitsModel(network).eval(), torch.zeros(1, *size)),
            "CPU",
            settings_of("fp32"),
        )
    )


def count_weights(path: Path) -> tuple[int, int]:
    """How many weights of a written network are int8, and how many there are."""
    counts = dict.fromkeys(_WEIGHT_TYPES, 0)
    for operation in import_openvino().Core().read_model(path).get_ops():
        kind = operation.get_element_type().to_string() if _is_constant(operation) else ""
        if kind in counts:
            counts[kind] += int(np.prod(list(operation.get_output_shape(0)), dtype=np.int64))
    return counts["i8"] + counts["u8"], sum(counts.values())


def _is_constant(operation: Any) -> bool:
    return bool(operation.get_type_name() == "Constant")


def _pixels_of(batch: PixelBatch) -> Any:
    return batch.pixels.numpy()
