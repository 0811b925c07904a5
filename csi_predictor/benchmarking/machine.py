"""What the figures were measured on."""

import os
import platform
from importlib.metadata import version
from pathlib import Path

import torch

from csi_predictor.benchmarking.plan import Settings

_CPU_INFO = Path("/proc/cpuinfo")
_PACKAGES = ("torch", "timm", "transformers", "openvino", "onnxruntime")


def describe_machine(settings: Settings) -> dict[str, str]:
    """Device, cores, threads, load and versions, for the head of a table."""
    device = torch.device(settings.device)
    facts = {"Processor": _processor_name(), "Cores that may be used": str(_count_cores())}
    if device.type == "cuda":
        facts["GPU"] = torch.cuda.get_device_name(device)
    facts["Threads of each engine"] = str(settings.num_threads)
    if hasattr(os, "getloadavg"):
        load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
        facts["Load at the start (1, 5, 15 minutes)"] = load
    facts["Rounds"] = str(settings.runs)
    facts["Software"] = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
    return facts


def _count_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _processor_name() -> str:
    if _CPU_INFO.is_file():
        for line in _CPU_INFO.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
