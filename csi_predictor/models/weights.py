"""Weights of encoders: found in the cache or fetched into it, read safely, fitted key by key."""

import pickle
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import hf_hub_download
from loguru import logger
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from csi_predictor.architectures import Architecture
from csi_predictor.errors import WeightsError
from csi_predictor.models.encoder import Encoder, WeightsLayout

WEIGHTS_FILE = "model.safetensors"
_PREFIXES = ("module.", "model.", "backbone.", "encoder.", "net.")
_STATE_KEYS = ("state_dict", "model_state_dict", "model")
_BATCH_COUNTER = "num_batches_tracked"
_MOST_NAMED = 5
_RGB_CHANNELS = 3


def load_encoder_weights(encoder: Encoder, path: Path) -> None:
    """Load a published file, or an encoder of an earlier training, into an encoder.

    The file's classifier is left out by name and logged. A stem of another number of channels is
    adapted: three become one by their sum, one becomes three of a third each.

    Args:
        encoder: Receives the weights.
        path: safetensors, or a PyTorch checkpoint of tensors only.

    Raises:
        WeightsError: The file is missing, damaged, unsafe or of another network.
    """
    layout = encoder.weights_layout()
    wanted = layout.module.state_dict()
    state = _rename(read_state(path), wanted)
    state = _without_classifier(state, wanted, layout, path)
    if layout.stem in state and layout.stem in wanted:
        channels = wanted[layout.stem].shape[1]
        state[layout.stem] = adapt_stem(state[layout.stem], channels)
    state = encoder.fit_weights(state)
    _check_match(state, wanted, path)
    layout.module.load_state_dict(state, strict=False)  # only BatchNorm counters may be absent
    logger.info("Loaded {} tensors of {}", len(state), path)


def find_pretrained(architecture: Architecture, *, models_cache: Path, offline: bool) -> Path:
    """The published weights file of a row: in the cache, or downloaded into it.

    Args:
        architecture: The row.
        models_cache: Holds one folder a network, named as timm names it with its tag.
        offline: True = never ask the network.

    Raises:
        WeightsError: There are none, or the file isn't in the cache and can't be fetched.
    """
    if architecture.timm_name is None:
        raise WeightsError(
            f"{architecture.name} has no published weights: set [MODEL] PRETRAINED = false, or "
            "WEIGHTS to a file of your own"
        )
    from csi_predictor.models.encoders2d.timm_encoder import read_pretrained_source

    source = read_pretrained_source(architecture)
    path = models_cache / source.name / WEIGHTS_FILE
    if path.is_file():
        return path
    advice = (
        f"put {WEIGHTS_FILE} (about {source.size_mib:.0f} MiB) of "
        f"https://huggingface.co/{source.repo_id} there"
    )
    if offline:
        raise WeightsError(f"{path}: no such file, and [RUNTIME] OFFLINE = true: {advice}")
    try:
        _download(source.repo_id, path)
    except Exception as error:  # the hub's client raises errors of four libraries
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise WeightsError(
            f"{path}: no such file, and the download failed: {reason}: {advice}"
        ) from error
    return path


def read_state(path: Path) -> dict[str, Tensor]:
    """The tensors of a file by their names, on the CPU.

    Raises:
        WeightsError: The file is missing, damaged, or asks to run code.
    """
    if not path.is_file():
        raise WeightsError(
            f"{path}: no such weights file: expected a .safetensors, .pt or .pth file; "
            "check [MODEL] WEIGHTS"
        )
    with path.open("rb") as file:
        start = file.read(9)
    if start[:2] == b"PK" or start[:1] == b"\x80":
        return _read_checkpoint(path)
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise WeightsError(
            f"{path}: neither whole safetensors nor a PyTorch checkpoint ({_size(path)}; {error}): "
            "it may be cut short: fetch it again"
        ) from error


def adapt_stem(weight: Tensor, channels: int) -> Tensor:
    """A first layer's weight (F, C, ...) for another number of channels.

    Three to one is the sum, so that a grey picture gives what it gave as three equal channels; one
    to three repeats a third each, the inverse. Source: timm, adapt_input_conv.
    """
    given = weight.shape[1]
    if given == _RGB_CHANNELS and channels == 1:
        return weight.sum(dim=1, keepdim=True)
    if given == 1 and channels == _RGB_CHANNELS:
        return weight.repeat_interleave(_RGB_CHANNELS, dim=1) / _RGB_CHANNELS
    return weight


def _read_checkpoint(path: Path) -> dict[str, Tensor]:
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"{path}: refused: it isn't a checkpoint of tensors alone and loading it could run "
            f"code ({_first_reason(error)}): save its state_dict as safetensors and use that file"
        ) from error
    except (RuntimeError, EOFError, ValueError, OSError) as error:
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
            f"{path}: holds no named tensors, only {_some(map(str, loaded))}: expected a "
            f"state dict, alone or under {', '.join(_STATE_KEYS)}"
        )
    return tensors


def _rename(state: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Names without the prefixes of wrappers (`module.`, `backbone.`), unless they are wanted."""
    renamed = {}
    for key, tensor in state.items():
        name = key
        while name not in wanted and name.startswith(_PREFIXES):
            name = name.partition(".")[2]
        renamed[name] = tensor
    return renamed


def _without_classifier(
    state: dict[str, Tensor], wanted: Mapping[str, Tensor], layout: WeightsLayout, path: Path
) -> dict[str, Tensor]:
    heads = tuple(f"{name}." for name in (*layout.classifier, "classifier"))
    left_out = [key for key in state if key not in wanted and key.startswith(heads)]
    if left_out:
        logger.info("Left out of {}, not part of the encoder: {}", path, ", ".join(left_out))
    return {key: tensor for key, tensor in state.items() if key not in left_out}


def _check_match(state: Mapping[str, Tensor], wanted: Mapping[str, Tensor], path: Path) -> None:
    common = state.keys() & wanted.keys()
    if len(common) < len(wanted) / 2:
        raise WeightsError(
            f"{path}: of another network: it holds {len(common)} of the {len(wanted)} tensors of "
            f"this one; found {_some(state)}; expected {_some(wanted)}: check [MODEL] MODEL_ARCH"
        )
    reshaped = [
        f"{key} {_shape(state[key])} instead of {_shape(wanted[key])}"
        for key in wanted
        if key in common and state[key].shape != wanted[key].shape
    ]
    # Files older than PyTorch 0.4.1 have no counters, and inference doesn't read them.
    missing = [key for key in wanted if key not in common and not key.endswith(_BATCH_COUNTER)]
    problems = [
        f"{title} {_some(keys)}"
        for title, keys in (
            ("missing", missing),
            ("unknown", [key for key in state if key not in common]),
            ("of another shape", reshaped),
        )
        if keys
    ]
    if problems:
        raise WeightsError(
            f"{path}: doesn't fit this network: {'; '.join(problems)}: check [MODEL] MODEL_ARCH, "
            "VARIANT and IMAGE_SIZE"
        )


def _download(repo_id: str, path: Path) -> None:
    """Fetch beside the cache's folders, where a broken download resumes, then move at once."""
    folder = path.parents[1] / ".download" / path.parent.name
    folder.mkdir(parents=True, exist_ok=True)
    logger.info("Downloading {} of {} to {}", WEIGHTS_FILE, repo_id, path)
    fetched = Path(hf_hub_download(repo_id, WEIGHTS_FILE, local_dir=folder))
    path.parent.mkdir(parents=True, exist_ok=True)
    fetched.replace(path)
    shutil.rmtree(folder)


def _some(names: Iterable[str]) -> str:
    """The first few names and how many more there are."""
    listed = list(names)
    more = f" and {len(listed) - _MOST_NAMED} more" if len(listed) > _MOST_NAMED else ""
    return ", ".join(listed[:_MOST_NAMED]) + more


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape))


def _size(path: Path) -> str:
    return f"{path.stat().st_size} bytes"


def _first_reason(error: BaseException) -> str:
    """What torch refused, without its advice of several lines to load the file unsafely."""
    lines = [line.strip() for line in str(error).splitlines()]
    reasons = [line for line in lines if "GLOBAL" in line or "Unsupported" in line]
    return (reasons or lines)[0].partition(" was not an allowed")[0]
