from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from csi_predictor.evaluation.evaluate import Evaluation, evaluate
from csi_predictor.inference.predictions import Predictions


@dataclass(frozen=True)
class Case:
    """An evaluation and what it is of."""

    evaluation: Evaluation
    predictions: Predictions


@pytest.fixture(scope="session")
def case() -> Case:
    """Forty images with some zones ungradable, one image wholly so, and a second reader."""
    rng = np.random.default_rng(8)
    targets = rng.integers(0, 4, (40, 6)).astype(float)
    targets[rng.random((40, 6)) < 0.05] = np.nan
    targets[3] = np.nan
    probs = rng.dirichlet(np.ones(4), (40, 6)) + 0.4 * np.eye(4)[np.nan_to_num(targets).astype(int)]
    predictions = Predictions(
        file_ids=tuple(f"cxr{index:02d}" for index in range(40)),
        patient_ids=tuple(f"SECRET{index // 2}" for index in range(40)),
        paths=tuple(Path(f"cxr{index:02d}.dcm") for index in range(40)),
        targets=targets,
        grade_probs=probs / probs.sum(axis=-1, keepdims=True),
        p_ungradable=np.clip(np.isnan(targets) * 0.5 + rng.random((40, 6)) * 0.3, 0, 1),
    )
    second = np.clip(np.nan_to_num(targets) + rng.integers(-1, 2, (40, 6)), 0, 3)
    evaluation = evaluate(
        predictions, rounds=60, second_reader=second, baseline_grades=[1, 1, 1, 1, 2, 2]
    )
    return Case(evaluation, predictions)
