import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from csi_predictor.inference.predictions import Predictions
from csi_predictor.specs import ZONES


def _predictions(
    targets: np.ndarray,
    grades: np.ndarray,
    *,
    p_ungradable: np.ndarray | None = None,
    patient_ids: tuple[str, ...] | None = None,
) -> Predictions:
    """A model that is sure of whole grades."""
    ids = tuple(f"image{index:03d}" for index in range(len(targets)))
    return Predictions(
        file_ids=ids,
        patient_ids=patient_ids or ids,
        paths=tuple(Path(f"{name}.png") for name in ids),
        targets=np.asarray(targets, dtype=np.float64),
        grade_probs=np.eye(4)[np.asarray(grades, dtype=int)],
        p_ungradable=np.zeros(np.shape(targets)) if p_ungradable is None else p_ungradable,
    )


@pytest.fixture
def make_predictions() -> Callable[..., Predictions]:
    return _predictions


@pytest.fixture(scope="session")
def readers(shared_data: Path) -> tuple[np.ndarray, np.ndarray]:
    """(118, 6) grades of the first and of the second reader of the real radiographs."""
    tables = []
    for name in ("labels.csv", "second_reader.csv"):
        with (shared_data / "six_zone" / name).open(encoding="utf-8") as file:
            rows = {row["FileID"]: row for row in csv.DictReader(file, delimiter=";")}
        grades = [[float(rows[key][zone] or "nan") for zone in ZONES] for key in sorted(rows)]
        tables.append(np.array(grades))
    return tables[0], tables[1]
