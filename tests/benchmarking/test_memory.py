"""High water."""

import resource

import pytest
import torch

from csi_predictor.benchmarking.memory import (
    peak_memory_mib,
    read_high_water_mib,
    start_counting,
)

CPU = torch.device("cpu")


def test_the_mark_is_read_in_kib() -> None:
    status = "Name:\tpython\nVmPeak:\t 900000 kB\nVmHWM:\t  524288 kB\nVmRSS:\t 1024 kB\n"
    assert read_high_water_mib(status) == 512
    assert read_high_water_mib("Name:\tpython\n") is None


def test_a_cpu_process_remembers_its_largest_resident_set() -> None:
    start_counting(CPU)
    before = peak_memory_mib(CPU)
    assert before is not None
    size = int(before) + 64
    ballast = torch.ones(size, 2**18)  # `size` MiB, written, so resident
    during = peak_memory_mib(CPU)
    del ballast
    after = peak_memory_mib(CPU)
    assert during is not None
    assert after is not None
    assert during >= size
    assert after >= during - 1  # the kernel's counters lag by some pages
    known = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # the same by another way
    assert after == pytest.approx(known, rel=0.02)


def test_on_a_gpu_it_is_what_torch_has_allocated(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", asked.append)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: 3 * 2**20)
    gpu = torch.device("cuda:0")
    start_counting(gpu)
    assert asked == [gpu]
    assert peak_memory_mib(gpu) == 3


def test_where_nobody_says_it_there_is_none() -> None:
    assert peak_memory_mib(torch.device("mps")) is None
