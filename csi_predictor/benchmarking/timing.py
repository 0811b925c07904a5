"""How long one call takes, and what many calls say together."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

Call = Callable[[], object]


@dataclass(frozen=True)
class Sample:
    """One timed call.

    Attributes:
        wall_s: From its start to its end; on a GPU, between two CUDA events.
        cpu_s: CPU time of all threads of this process meanwhile.
    """

    wall_s: float
    cpu_s: float


@dataclass(frozen=True)
class Latency:
    """What the samples of one row say, milliseconds."""

    median_ms: float
    p95_ms: float
    cpu_ms: float


def time_call(call: Call, device: torch.device) -> Sample:
    """Run it once and wait for its end, on the device too."""
    if device.type == "cuda":
        return _time_on_cuda(call, device)
    started_s, cpu_started_s = time.perf_counter(), time.process_time()
    call()
    if device.type == "mps":
        torch.mps.synchronize()
    return Sample(time.perf_counter() - started_s, time.process_time() - cpu_started_s)


def _time_on_cuda(call: Call, device: torch.device) -> Sample:
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
    torch.cuda.synchronize(device)
    cpu_started_s = time.process_time()
    start.record()
    call()
    end.record()
    end.synchronize()
    return Sample(start.elapsed_time(end) / 1000, time.process_time() - cpu_started_s)


def summarise(samples: Sequence[Sample]) -> Latency:
    """Median and 95th percentile (linear between ranks) of the wall time, median CPU time."""
    wall_ms = [1000 * sample.wall_s for sample in samples]
    cpu_ms = [1000 * sample.cpu_s for sample in samples]
    return Latency(
        median_ms=float(np.median(wall_ms)),
        p95_ms=float(np.percentile(wall_ms, 95)),
        cpu_ms=float(np.median(cpu_ms)),
    )
