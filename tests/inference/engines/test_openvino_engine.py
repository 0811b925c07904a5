"""OpenVINO against the network called by hand."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from csi_predictor.errors import CsiError
from csi_predictor.inference.engines.logits import LogitsModel
from csi_predictor.inference.engines.openvino_engine import _check_precision, prepare_openvino
from csi_predictor.models.create import create_model


def test_fp32_gives_the_same_logits(network: nn.Module, pixels: Tensor, expected: Tensor) -> None:
    run = prepare_openvino(network, pixels)
    first = run(pixels)
    torch.testing.assert_close(first, expected, rtol=0, atol=1e-5)
    second = run(pixels + 1)
    assert not torch.equal(first, second)
    torch.testing.assert_close(first, expected, rtol=0, atol=1e-5)  # not written over


def test_it_never_computes_in_bf16_unasked(network: nn.Module, pixels: Tensor) -> None:
    class Compiled:
        def get_property(self, name: str) -> "Compiled":
            assert name == "INFERENCE_PRECISION_HINT"
            return self

        def get_type_name(self) -> str:
            return "f32"

    _check_precision(Compiled(), "fp32")
    with pytest.raises(CsiError, match="OpenVINO computes in f32 on this processor: expected bf16"):
        _check_precision(Compiled(), "bf16")


def test_pixels_in_another_memory_layout_give_the_same(
    network: nn.Module, pixels: Tensor, expected: Tensor
) -> None:
    run = prepare_openvino(network, pixels)
    turned = pixels.to(memory_format=torch.channels_last)
    torch.testing.assert_close(run(turned), expected, rtol=0, atol=1e-5)


def test_a_vision_transformer_at_another_size_converts() -> None:
    torch.manual_seed(1)
    model = LogitsModel(create_model("vit_tiny_patch16_224", num_classes=3, image_size=64)).eval()
    pixels = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        expected = model(pixels)
    torch.testing.assert_close(prepare_openvino(model, pixels)(pixels), expected, rtol=0, atol=1e-5)


def test_another_shape_than_the_prepared_one_is_refused(network: nn.Module, pixels: Tensor) -> None:
    run = prepare_openvino(network, pixels)
    with pytest.raises(RuntimeError, match="shape"):
        run(pixels[:1])


def test_a_device_that_is_not_the_cpu_is_refused(network: nn.Module) -> None:
    with pytest.raises(CsiError, match="runs on the CPU here: found DEVICE = meta"):
        prepare_openvino(network, torch.empty(1, 3, 64, 64, device="meta"))


def test_its_telemetry_is_never_loaded_and_leaves_no_id_in_the_home_folder(tmp_path: Path) -> None:
    code = (
        "import sys, torch\n"
        "from csi_predictor.inference.engines.openvino_engine import prepare_openvino\n"
        "prepare_openvino(torch.nn.ReLU().eval(), torch.rand(1, 3))\n"
        "from openvino.tools.ovc import telemetry_utils\n"
        "assert telemetry_utils.tm.__name__.endswith('telemetry_stub'), telemetry_utils.tm\n"
        "assert not [n for n in sys.modules if n.startswith('openvino_telemetry.')]\n"
    )
    home = {**os.environ, "HOME": str(tmp_path), "USERPROFILE": str(tmp_path)}
    home.pop("CI", None)  # its presence alone would silence it
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=home
    )
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "intel").exists()
