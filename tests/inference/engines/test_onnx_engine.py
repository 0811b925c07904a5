"""ONNX Runtime against the network called by hand."""

import tempfile
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from csi_predictor.errors import CsiError
from csi_predictor.inference.engines.onnx_engine import prepare_onnx


def test_it_gives_the_same_logits_and_leaves_no_file(
    network: nn.Module,
    pixels: Tensor,
    expected: Tensor,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    run = prepare_onnx(network, pixels)
    torch.testing.assert_close(run(pixels), expected, rtol=0, atol=1e-5)
    turned = pixels.to(memory_format=torch.channels_last)
    torch.testing.assert_close(run(turned), expected, rtol=0, atol=1e-5)
    assert list(tmp_path.iterdir()) == []


def test_bf16_is_refused_with_what_can_do_it(network: nn.Module, pixels: Tensor) -> None:
    with pytest.raises(CsiError, match=r"no bf16 convolution: expected onnx .*openvino-bf16"):
        prepare_onnx(network, pixels, "bf16")


def test_a_device_that_is_not_the_cpu_is_refused(network: nn.Module) -> None:
    with pytest.raises(CsiError, match="runs on the CPU here: found DEVICE = meta"):
        prepare_onnx(network, torch.empty(1, 3, 64, 64, device="meta"))
