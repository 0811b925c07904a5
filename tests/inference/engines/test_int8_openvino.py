"""Calibrated int8 in OpenVINO against the network that it was made from."""

import io
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from csi_predictor.errors import ConfigError
from csi_predictor.inference.engines import int8_openvino
from csi_predictor.inference.engines.int8_openvino import (
    OpenVinoNetwork,
    convert_fp32,
    count_weights,
    load_openvino,
    write_int8,
)
from csi_predictor.inference.engines.logits import LogitsModel
from csi_predictor.models.create import create_model

SIZE = (3, 64, 64)


@dataclass
class One:
    """A batch as the calibration reads it."""

    pixels: Tensor
    targets: Tensor
    indices: Tensor


def batches() -> list[One]:
    generator = torch.Generator().manual_seed(8)
    nothing = torch.zeros(1)
    return [One(torch.randn(1, *SIZE, generator=generator), nothing, nothing) for _ in range(6)]


@pytest.fixture(scope="module")
def network() -> nn.Module:
    """resnet18 in which no block is silent, as untrained ones are: equal weights share a file."""
    torch.manual_seed(3)
    model = LogitsModel(create_model("resnet18", num_classes=7, image_size=64))
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
    with torch.no_grad():
        model.train()(torch.randn(4, *SIZE))
    return model.eval()


@pytest.fixture(scope="module")
def expected(network: nn.Module, pixels: Tensor) -> Tensor:
    with torch.no_grad():
        logits: Tensor = network(pixels)
    return logits


@pytest.fixture(scope="module")
def written(network: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The int8 network's file, and what making it printed."""
    path, shown = tmp_path_factory.mktemp("int8") / "member0.xml", io.StringIO()
    with redirect_stdout(shown):
        write_int8(network, batches(), path, size=SIZE)
    return path, shown.getvalue()


def test_int8_answers_nearly_as_fp32_but_not_equally(
    written: tuple[Path, str], pixels: Tensor, expected: Tensor
) -> None:
    found = load_openvino(written[0])(pixels).logits
    difference = (found - expected).abs().max()
    assert 0 < difference < 0.05 * expected.abs().max()


def test_nearly_every_weight_of_a_cnn_is_int8_and_the_file_a_quarter__weakness_001_12(
    written: tuple[Path, str], network: nn.Module
) -> None:
    num_int8, total = count_weights(written[0])
    matrices = sum(p.numel() for p in network.parameters() if p.dim() > 1)
    assert num_int8 == matrices
    assert num_int8 / total > 0.99
    weights_bytes = written[0].with_suffix(".bin").stat().st_size
    assert num_int8 < weights_bytes < 1.03 * num_int8  # one byte each, and the scales


def test_an_image_answers_the_same_alone_and_in_a_batch(
    written: tuple[Path, str], pixels: Tensor
) -> None:
    run = load_openvino(written[0])
    assert torch.equal(run(pixels).logits[1:], run(pixels[1:]).logits)


def test_fp32_in_openvino_is_the_network_itself(
    network: nn.Module, pixels: Tensor, expected: Tensor
) -> None:
    run = convert_fp32(network, size=SIZE)
    assert isinstance(run, OpenVinoNetwork)
    first = run(pixels).logits
    run(pixels + 1)
    torch.testing.assert_close(first, expected, rtol=0, atol=1e-5)  # not written over


def test_its_progress_bars_do_not_reach_the_standard_output(written: tuple[Path, str]) -> None:
    assert written[1] == ""


def test_a_missing_nncf_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(int8_openvino, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"nncf isn't installed: pip install .*\[quantize\]"):
        write_int8(nn.ReLU(), batches(), Path("unwritten.xml"), size=SIZE)
