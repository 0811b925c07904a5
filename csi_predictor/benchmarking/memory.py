"""The most memory that this process has held."""

from pathlib import Path

import torch

_STATUS = Path("/proc/self/status")
_HIGH_WATER = "VmHWM:"
_KIB_PER_MIB = 1024


def start_counting(device: torch.device) -> None:
    """Forget what was allocated on a GPU before; a CPU process can only be started anew."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def peak_memory_mib(device: torch.device) -> float | None:
    """MiB: of the resident set since the process began, or of the GPU's tensors.

    None where the system doesn't say: no Linux, or an MPS device.

    Source:
        proc(5), VmHWM: peak resident set size ("high water mark"), in kB of 1024 bytes.
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    if device.type != "cpu" or not _STATUS.is_file():
        return None
    return read_high_water_mib(_STATUS.read_text(encoding="ascii", errors="replace"))


def read_high_water_mib(status: str) -> float | None:
    """The high-water mark in the text of /proc/PID/status, MiB; None where it isn't there."""
    for line in status.splitlines():
        if line.startswith(_HIGH_WATER):
            return int(line.removeprefix(_HIGH_WATER).split()[0]) / _KIB_PER_MIB
    return None
