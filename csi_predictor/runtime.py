"""The machine: device, precision, seeds, determinism and threads."""

import ctypes
import os
import platform
import random
from dataclasses import dataclass

import numpy as np
import torch

from csi_predictor.errors import ConfigError

_M_TRIM_THRESHOLD = -1
_M_MMAP_MAX = -4
"""Parameters of mallopt(3) in glibc's malloc.h."""

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Compute:
    """Where and how precisely tensors are computed.

    Attributes:
        device: Of the network and its batches.
        dtype: Of autocast; float32 means no autocast.
    """

    device: torch.device
    dtype: torch.dtype

    def autocast(self) -> torch.autocast:
        """A context for the forward pass; does nothing for float32."""
        return torch.autocast(
            self.device.type,
            dtype=torch.bfloat16 if self.dtype == torch.float32 else self.dtype,
            enabled=self.dtype != torch.float32,
        )

    @property
    def precision(self) -> str:
        """`fp32`, `bf16` or `fp16`."""
        return next(name for name, dtype in _DTYPES.items() if dtype == self.dtype)


def choose_compute(device: str, precision: str) -> Compute:
    """The device and precision that RUNTIME's words mean on this machine.

    Raises:
        ConfigError: The device isn't there, or fp16 is asked of a CPU.
    """
    chosen = _choose_device(device)
    if precision == "auto":
        has_bf16 = chosen.type == "cuda" and torch.cuda.is_bf16_supported()
        return Compute(chosen, torch.bfloat16 if has_bf16 else torch.float32)
    if precision == "fp16" and chosen.type == "cpu":
        raise ConfigError(
            "[RUNTIME] PRECISION = fp16: a CPU computes it hundreds of times slower: "
            "expected auto, fp32 or bf16 with DEVICE = cpu"
        )
    return Compute(chosen, _DTYPES[precision])


def _choose_device(name: str) -> torch.device:
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    device = torch.device(name)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ConfigError(
            f"[RUNTIME] DEVICE = {name}: this machine has {torch.cuda.device_count()} CUDA devices "
            f"that torch {torch.__version__} can use: expected auto or cpu"
        )
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise ConfigError("[RUNTIME] DEVICE = mps: not available: expected auto or cpu")
    return device


def seed_everything(seed: int) -> None:
    """Seed Python's, NumPy's and torch's global generators."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def set_determinism(enabled: bool) -> None:
    """Demand algorithms that give equal bits at each run."""
    if enabled:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # required by cuBLAS >= 10.2
    torch.use_deterministic_algorithms(enabled, warn_only=True)
    torch.backends.cudnn.benchmark = not enabled
    torch.backends.cudnn.deterministic = enabled


def keep_freed_memory() -> None:
    """Let glibc keep the memory of freed tensors instead of giving it back to the kernel.

    The kernel would zero it again for the next step: measured as half of the time of a training
    step on a CPU (EfficientNet-lite0 at 320 pixels: 178 ms an image without, 89 ms with). Does
    nothing on systems without glibc.
    """
    if platform.libc_ver()[0] == "glibc":
        library = ctypes.CDLL(None)
        library.mallopt(_M_MMAP_MAX, 0)
        library.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)


def count_workers(wanted: str | int, most: int = 8) -> int:
    """The number that NUM_WORKERS or WORKERS means: `auto` is the usable cores, at most `most`."""
    if wanted != "auto":
        return int(wanted)
    return min(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1, most)
