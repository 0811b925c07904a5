"""RadDINO's official processor: its file in the cache, read and checked value by value."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from csi_predictor.architectures import Architecture
from csi_predictor.errors import ConfigError
from csi_predictor.models.input_spec import published_input_spec
from csi_predictor.specs import InputSpec

PROCESSOR_FILE = "preprocessor_config.json"
OFFICIAL_VALUES: dict[str, Any] = {
    "crop_size": {"height": 518, "width": 518},
    "do_center_crop": True,
    "do_convert_rgb": True,
    "do_normalize": True,
    "do_rescale": True,
    "do_resize": True,
    "image_mean": [0.5307, 0.5307, 0.5307],
    "image_processor_type": "BitImageProcessor",
    "image_std": [0.2583, 0.2583, 0.2583],
    "resample": 3,
    "rescale_factor": 0.00392156862745098,
    "size": {"shortest_edge": 518},
}
"""Source: preprocessor_config.json of microsoft/rad-dino. `resample` 3 is bicubic."""

_CLASS_KEY = "image_processor_type"
_FAST = "Fast"
"""transformers 4 wrote the class's torchvision form so; transformers 5 has only that form."""
_WITHOUT_EFFECT = frozenset({"processor_class", "feature_extractor_type"})
_DEFAULTS = {"data_format": "channels_first", "default_to_square": False, "do_pad": False}
"""What newer versions of transformers write beside the official values, to the same effect."""


def official_input_spec(architecture: Architecture, models_cache: Path) -> InputSpec:
    """The picture as the official processor makes it, with the processor's file by value.

    Args:
        architecture: RadDINO's row.
        models_cache: `rad-dino/preprocessor_config.json` lies in it.

    Raises:
        ConfigError: The network has no official processor, or its file is missing, damaged or not
            the official one.
    """
    source = architecture.weights
    if source is None or PROCESSOR_FILE not in source.files:
        raise ConfigError(
            f"[MODEL] USE_OFFICIAL_PROCESSOR = true: {architecture.name} has none: expected "
            "false, or MODEL_ARCH = raddino"
        )
    values = _read_values(models_cache / source.folder / PROCESSOR_FILE, page=source.page)
    crop = values["crop_size"]
    return replace(
        published_input_spec(architecture),
        size=(crop["height"], crop["width"]),
        mean=tuple(values["image_mean"]),
        std=tuple(values["image_std"]),
        processor=json.dumps(values, sort_keys=True),
    )


def _read_values(path: Path, *, page: str) -> dict[str, Any]:
    """The official keys with the file's values, which are checked to be the official ones."""
    found = _read_json(path, page=page)
    differences = [*_differing(found), *_unknown(found)]
    if differences:
        raise ConfigError(
            f"{path}: not the official processor: {'; '.join(differences)}: {_advice(page)}"
        )
    name = found[_CLASS_KEY].removesuffix(_FAST)
    return {**{key: found[key] for key in OFFICIAL_VALUES}, _CLASS_KEY: name}


def _read_json(path: Path, *, page: str) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(
            f"[MODEL] USE_OFFICIAL_PROCESSOR = true: {path}: no such file: put {path.name} of "
            f"{page} there, or set USE_OFFICIAL_PROCESSOR = false"
        ) from error
    except (OSError, ValueError) as error:  # damaged UTF-8 and JSON are ValueErrors
        raise ConfigError(
            f"{path}: can't be read as JSON ({type(error).__name__}): {_advice(page)}"
        ) from error
    if not isinstance(values, dict):
        raise ConfigError(
            f"{path}: holds a {type(values).__name__}: expected an object: {_advice(page)}"
        )
    return values


def _differing(found: Mapping[str, Any]) -> list[str]:
    differences = []
    for key, official in OFFICIAL_VALUES.items():
        accepted = (official, f"{official}{_FAST}") if key == _CLASS_KEY else (official,)
        if key not in found:
            differences.append(f"{key} is missing (expected {json.dumps(official)})")
        elif found[key] not in accepted:
            differences.append(
                f"{key} = {json.dumps(found[key])} (expected {json.dumps(official)})"
            )
    return differences


def _unknown(found: Mapping[str, Any]) -> list[str]:
    """Further keys that are set to something else than what transformers does without them."""
    return [
        f"{key} = {json.dumps(value)} (expected none)"
        for key, value in found.items()
        if key not in OFFICIAL_VALUES
        and key not in _WITHOUT_EFFECT
        and not key.startswith("_")
        and value is not None
        and not (key in _DEFAULTS and value == _DEFAULTS[key])
    ]


def _advice(page: str) -> str:
    return f"fetch it again from {page}, or set [MODEL] USE_OFFICIAL_PROCESSOR = false"
