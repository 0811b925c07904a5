"""Device, precision, seeds and workers."""

import pytest
import torch

from csi_predictor.errors import ConfigError
from csi_predictor.runtime import choose_compute, count_workers, keep_freed_memory, seed_everything


def test_auto_precision_is_fp32_on_a_cpu() -> None:
    compute = choose_compute("cpu", "auto")
    assert (compute.device.type, compute.precision) == ("cpu", "fp32")


def test_bf16_is_autocast_and_fp32_is_not() -> None:
    layer = torch.nn.Linear(3, 3)
    for precision, dtype in (("bf16", torch.bfloat16), ("fp32", torch.float32)):
        with choose_compute("cpu", precision).autocast():
            assert layer(torch.zeros(1, 3)).dtype == dtype


def test_fp16_on_a_cpu_and_a_missing_device_are_refused() -> None:
    with pytest.raises(ConfigError, match="hundreds of times slower: expected auto, fp32 or bf16"):
        choose_compute("cpu", "fp16")
    with pytest.raises(ConfigError, match=r"DEVICE = cuda:99: this machine has \d+ CUDA devices"):
        choose_compute("cuda:99", "auto")


def test_a_seed_repeats_the_draws() -> None:
    seed_everything(5)
    first = torch.rand(3)
    seed_everything(5)
    assert torch.equal(first, torch.rand(3))


def test_auto_workers_are_the_usable_cores_at_most() -> None:
    assert 1 <= count_workers("auto", most=3) <= 3
    assert count_workers(0) == 0
    assert count_workers("5", most=3) == 5


def test_keeping_freed_memory_leaves_results_as_they_are() -> None:
    big = torch.ones(3_000_000)
    keep_freed_memory()
    assert float((big * 2).sum()) == 6_000_000
