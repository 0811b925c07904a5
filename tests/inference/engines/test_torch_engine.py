"""PyTorch in its three forms, against the network called by hand."""

import pytest
import torch
from torch import Tensor, nn

from csi_predictor.inference.engines.torch_engine import (
    compile_copy,
    copy_channels_last,
    prepare_channels_last,
    prepare_compiled,
    prepare_eager,
)


def test_eager_is_the_network_itself(network: nn.Module, pixels: Tensor, expected: Tensor) -> None:
    logits = prepare_eager(network, pixels)(pixels)
    assert torch.equal(logits, expected)
    assert not logits.requires_grad


def test_channels_last_changes_the_layout_and_not_the_answer(
    network: nn.Module, pixels: Tensor, expected: Tensor
) -> None:
    logits = prepare_channels_last(network, pixels)(pixels)
    torch.testing.assert_close(logits, expected, rtol=0, atol=1e-5)


def test_channels_last_is_a_copy(network: nn.Module, pixels: Tensor) -> None:
    copy = copy_channels_last(network)
    weights = dict(copy.named_parameters())
    name = next(n for n, p in weights.items() if p.dim() == 4 and p.shape[1] > 1)
    assert weights[name].is_contiguous(memory_format=torch.channels_last)
    assert not weights[name].is_contiguous()
    assert network.get_parameter(name).is_contiguous()


def test_volumes_get_the_layout_of_volumes_and_pairs_of_both_kinds_too() -> None:
    both = nn.ModuleDict({"flat": nn.Conv2d(4, 4, 3), "deep": nn.ConvTranspose3d(4, 4, 3)})
    copy = copy_channels_last(both)
    assert copy.get_parameter("flat.weight").is_contiguous(memory_format=torch.channels_last)
    assert copy.get_parameter("deep.weight").is_contiguous(memory_format=torch.channels_last_3d)


@pytest.mark.parametrize("prepare", [prepare_eager, prepare_channels_last])
def test_bf16_is_near_and_not_equal_and_given_as_float32(
    prepare: type, network: nn.Module, pixels: Tensor, expected: Tensor
) -> None:
    logits = prepare(network, pixels, "bf16")(pixels)
    assert logits.dtype == torch.float32
    distance = (logits - expected).abs().max().item()
    assert 0 < distance < 0.05 * expected.abs().max().item()


def test_a_compiled_network_gives_the_same_answer() -> None:
    torch.manual_seed(0)
    small = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2)).eval()
    pixels = torch.randn(1, 1, 8, 8)
    with torch.no_grad():
        expected = small(pixels)
    torch.testing.assert_close(prepare_compiled(small, pixels)(pixels), expected, rtol=0, atol=1e-6)


def test_without_a_compiler_the_reason_names_it() -> None:
    import torch._inductor.config

    small = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU()).eval()
    pixels = torch.randn(1, 1, 9, 9)
    with (
        torch._inductor.config.patch({"cpp.cxx": ("/nowhere/g++",), "fx_graph_cache": False}),
        pytest.raises(Exception, match=r"(?i)compiler|/nowhere"),
    ):
        prepare_compiled(small, pixels)


def test_compiling_a_copy_leaves_the_network_as_it_is() -> None:
    small = nn.Sequential(nn.Conv2d(2, 2, 3))
    compile_copy(small)
    assert small[0].weight.is_contiguous()
