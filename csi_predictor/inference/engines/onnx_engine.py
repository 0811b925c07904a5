"""ONNX Runtime on the CPU: the network exported to a temporary file and loaded from it."""

from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor, nn

from csi_predictor.errors import CsiError
from csi_predictor.inference.engines.torch_engine import Precision, Run


def prepare_onnx(model: nn.Module, example: Tensor, precision: Precision = "fp32") -> Run:
    """The network in ONNX Runtime, with as many threads as torch has.

    Args:
        model: Pixels to logits, in evaluation mode, on the CPU.
        example: Pixels of the one shape that will come.
        precision: fp32.

    Raises:
        CsiError: The pixels aren't on the CPU, or bf16 is asked for.
        torch.onnx.errors.OnnxExporterError: The network can't be exported.
    """
    if example.device.type != "cpu":
        raise CsiError(f"ONNX Runtime runs on the CPU here: found DEVICE = {example.device}")
    if precision != "fp32":
        raise CsiError(
            f"ONNX Runtime's CPU kernels have no {precision} convolution: expected onnx (fp32), or "
            f"openvino-{precision}"
        )
    import onnxruntime  # type: ignore[import-untyped]

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    # its threads would go on spinning after a call and take the cores from whoever comes next
    options.add_session_config_entry("session.force_spinning_stop", "1")
    with TemporaryDirectory(prefix="csi_onnx_") as folder:
        path = Path(folder) / "network.onnx"
        torch.onnx.export(model, (example,), path, dynamo=True, verbose=False)
        session = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )
    name = session.get_inputs()[0].name

    def run(pixels: Tensor) -> Tensor:
        return torch.from_numpy(session.run(None, {name: pixels.contiguous().numpy()})[0])

    return run
