"""Tensors out of a weights file, without ever running code that the file brings."""

import pickle
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from csi_predictor.errors import WeightsError

_STATE_KEYS = ("state_dict", "model_state_dict", "model")
_MOST_NAMED = 5
_START_BYTES = 64
_LFS_POINTER = b"version https://git-lfs"


def read_state(path: Path) -> dict[str, Tensor]:
    """The tensors of a file by their names, on the CPU.

    The format is found by content: safetensors, or a PyTorch checkpoint of tensors alone.

    Raises:
        WeightsError: The file is missing, damaged, no weights file at all, or asks to run code.
    """
    if not path.is_file():
        raise WeightsError(
            f"{path}: no such weights file: expected a .safetensors, .pt or .pth file; "
            "check [MODEL] WEIGHTS"
        )
    with path.open("rb") as file:
        start = file.read(_START_BYTES)
    _refuse_text(start, path)
    if start[:2] == b"PK" or start[:1] == b"\x80":
        return _read_checkpoint(path)
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise WeightsError(
            f"{path}: neither whole safetensors nor a PyTorch checkpoint ({_size(path)}; {error}): "
            "it may be cut short: fetch it again"
        ) from error


def some_names(names: Iterable[str]) -> str:
    """The first few names and how many more there are."""
    listed = list(names)
    more = f" and {len(listed) - _MOST_NAMED} more" if len(listed) > _MOST_NAMED else ""
    return ", ".join(listed[:_MOST_NAMED]) + more


def _refuse_text(start: bytes, path: Path) -> None:
    """What servers and git leave in place of a large file."""
    if start.lstrip().startswith(b"<"):
        raise WeightsError(
            f"{path}: a web page ({_size(path)}), not weights: the download gave an error page "
            "under the file's name: fetch the file itself"
        )
    if start.startswith(_LFS_POINTER):
        raise WeightsError(
            f"{path}: a Git LFS pointer ({_size(path)}), not weights: run `git lfs pull` there, or "
            "fetch the file itself"
        )


def _read_checkpoint(path: Path) -> dict[str, Tensor]:
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"{path}: refused: it isn't a checkpoint of tensors alone and loading it could run "
            f"code ({_first_reason(error)}): save its state_dict as safetensors and use that file"
        ) from error
    except Exception as error:  # damaged bytes raise whatever the instruction read from them raises
        raise WeightsError(
            f"{path}: a damaged PyTorch checkpoint ({_size(path)}): it may be cut short: "
            "fetch it again"
        ) from error
    return _find_tensors(loaded, path)


def _find_tensors(loaded: Any, path: Path) -> dict[str, Tensor]:
    """The state dict in a checkpoint, which may stand under one of the usual names."""
    for key in _STATE_KEYS:
        if isinstance(loaded, Mapping) and isinstance(loaded.get(key), Mapping):
            loaded = loaded[key]
    if not isinstance(loaded, Mapping):
        raise WeightsError(f"{path}: holds a {type(loaded).__name__}: expected named tensors")
    tensors = {str(key): value for key, value in loaded.items() if isinstance(value, Tensor)}
    if not tensors:
        raise WeightsError(
            f"{path}: holds no named tensors, only {some_names(map(str, loaded))}: expected a "
            f"state dict, alone or under {', '.join(_STATE_KEYS)}"
        )
    return tensors


def _size(path: Path) -> str:
    return f"{path.stat().st_size} bytes"


def _first_reason(error: BaseException) -> str:
    """What torch refused, without its advice of several lines to load the file unsafely."""
    lines = [line.strip() for line in str(error).splitlines()]
    reasons = [line for line in lines if "GLOBAL" in line or "Unsupported" in line]
    return (reasons or lines)[0].partition(" was not an allowed")[0]
