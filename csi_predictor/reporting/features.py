"""The files of `--mode features`: arrays, a table, the probes' figures and the pictures."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from csi_predictor.files import replaced, write_bytes, write_text
from csi_predictor.inference.features import ImageFeatures
from csi_predictor.metrics.probes import Figures
from csi_predictor.reporting.feature_map import draw_maps


def write_features(features: ImageFeatures, folder: Path) -> None:
    """Write `features.npz` and `features.parquet`, each whole or not at all.

    The arrays are `features` (N, F) float32, `file_ids`, `patient_ids`, `parts` (N,), `targets`
    (N, T), NaN = ungradable or unknown, and `names`: of the targets, of TASK = multiclass of the
    classes that they count.

    Args:
        features: Of all images.
        folder: Made if absent.

    Raises:
        ResourceError: The disk is full.
    """
    with replaced(folder / "features.npz") as temporary, temporary.open("wb") as file:
        np.savez(
            file,
            features=features.values,
            file_ids=np.array(features.file_ids),
            patient_ids=np.array(features.patient_ids),
            parts=np.array(features.parts),
            targets=features.targets,
            names=np.array(features.target_spec.names),
        )
    with replaced(folder / "features.parquet") as temporary:
        as_table(features).to_parquet(temporary, engine="pyarrow", index=False)


def as_table(features: ImageFeatures) -> pd.DataFrame:
    """FileID, PatientID, split, the truth as in `predictions.csv`, then `f0000` and so on.

    The truth is `{zone}_true` or `{label}_true`, or of classes `label_true`, the class's name.
    """
    names = [f"f{index:04d}" for index in range(features.values.shape[1])]
    columns: dict[str, Any] = {
        "FileID": [_as_utf8(text) for text in features.file_ids],
        "PatientID": [_as_utf8(text) for text in features.patient_ids],
        "split": [part or None for part in features.parts],
        **_truth(features),
    }
    values = pd.DataFrame(features.values, columns=names)
    return pd.concat([pd.DataFrame(columns), values], axis=1)


def write_probes(figures: Mapping[str, Figures], facts: Mapping[str, Any], folder: Path) -> None:
    """Write `probes.json`: what was measured on what, then each probe's figures, null = undefined.

    Args:
        figures: See `metrics.probes.measure_probes`.
        facts: Plain JSON values.
        folder: Made if absent.

    Raises:
        ResourceError: The disk is full.
    """
    content = {**facts, **{name: _without_nan(block) for name, block in figures.items()}}
    write_text(folder / "probes.json", json.dumps(content, indent=2, allow_nan=False) + "\n")


def write_maps(features: ImageFeatures, folder: Path, *, seed: int) -> None:
    """Write `tsne.png`, and `umap.png` where umap-learn is installed.

    Args:
        features: Of the images to show.
        folder: Made if absent.
        seed: Of the draw of points and of the maps.

    Raises:
        ResourceError: The disk is full.
    """
    for name, content in draw_maps(features, seed=seed).items():
        write_bytes(folder / name, content)


def _truth(features: ImageFeatures) -> dict[str, Any]:
    spec = features.target_spec
    if spec.task != "multiclass":
        return {f"{name}_true": features.targets[:, k] for k, name in enumerate(spec.names)}
    classes = features.targets[:, 0]
    return {"label_true": [None if np.isnan(c) else spec.names[int(c)] for c in classes]}


def _as_utf8(text: str) -> str:
    """A file's name that isn't UTF-8 is written with its bytes as escapes, as in every table."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _without_nan(block: Figures) -> dict[str, Any]:
    return {
        name: _without_nan(dict(value)) if isinstance(value, Mapping) else _or_null(value)
        for name, value in block.items()
    }


def _or_null(value: float) -> float | None:
    return None if math.isnan(value) else value
