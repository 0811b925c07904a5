"""Samples and what they say together."""

import time

import pytest
import torch

from csi_predictor.benchmarking.timing import Sample, summarise, time_call

CPU = torch.device("cpu")


def test_median_and_95th_percentile_by_hand() -> None:
    """1 to 20 ms: the median lies between 10 and 11, rank 0.95 * 19 = 18.05 between 19 and 20."""
    samples = [Sample(wall_s=n / 1000, cpu_s=n / 2000) for n in range(20, 0, -1)]
    latency = summarise(samples)
    assert latency.median_ms == pytest.approx(10.5)
    assert latency.p95_ms == pytest.approx(19.05)
    assert latency.cpu_ms == pytest.approx(5.25)


def test_sleeping_takes_wall_time_and_no_cpu_time() -> None:
    sample = time_call(lambda: time.sleep(0.05), CPU)
    assert 0.05 <= sample.wall_s < 5
    assert sample.cpu_s < 0.04


def test_work_takes_cpu_time() -> None:
    def work() -> None:
        end = time.process_time() + 0.03
        while time.process_time() < end:
            pass

    assert time_call(work, CPU).cpu_s >= 0.03


def test_on_a_gpu_the_time_lies_between_two_events_in_milliseconds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No GPU here: the events are played; what is shown is their order and their unit."""
    told: list[str] = []

    class Event:
        def __init__(self, *, enable_timing: bool) -> None:
            assert enable_timing

        def record(self) -> None:
            told.append("record")

        def synchronize(self) -> None:
            told.append("wait")

        def elapsed_time(self, other: "Event") -> float:
            return 12.5

    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: told.append("settle"))
    sample = time_call(lambda: told.append("call"), torch.device("cuda:0"))
    assert told == ["settle", "record", "call", "record", "wait"]
    assert sample.wall_s == pytest.approx(0.0125)
