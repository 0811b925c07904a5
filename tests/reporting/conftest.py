from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from csi_predictor.evaluation.evaluate import Evaluation, evaluate
from csi_predictor.evaluation.labels import evaluate_labels
from csi_predictor.inference.label_predictions import LabelPredictions
from csi_predictor.inference.predictions import Predictions
from csi_predictor.specs import TargetSpec


@dataclass(frozen=True)
class Case:
    """An evaluation and what it is of."""

    evaluation: Evaluation
    predictions: Predictions


@dataclass(frozen=True)
class LabelCase:
    """An evaluation of labels or classes and what it is of."""

    evaluation: Evaluation
    predictions: LabelPredictions


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


@pytest.fixture(scope="session")
def label_case() -> LabelCase:
    """Forty images with three labels: some answers unknown, one label always absent."""
    rng = np.random.default_rng(5)
    targets = (rng.random((40, 3)) < [0.3, 0.5, 0.0]).astype(float)
    probs = np.clip(0.3 * targets + 0.6 * rng.random((40, 3)), 0, 1)
    targets[rng.random((40, 3)) < 0.1] = np.nan
    spec = TargetSpec(task="multilabel", names=("Effusion", "=Mass <b>", "Hernia"), num_classes=2)
    predictions = _label_predictions(spec, targets, probs, thresholds=(0.4, 0.45, 0.9))
    evaluation = evaluate_labels(predictions, rounds=60, train_prevalence=[0.3, 0.5, None])
    return LabelCase(evaluation, predictions)


@pytest.fixture(scope="session", params=[2, 3], ids=["two classes", "three classes"])
def class_case(request) -> LabelCase:
    """Forty images of one class each, one of them unknown."""
    names = ("normal", "pneumonia", "edema")[: request.param]
    rng = np.random.default_rng(6)
    targets = rng.integers(0, len(names), 40).astype(float)
    probs = rng.dirichlet(np.ones(len(names)), 40) + 0.4 * np.eye(len(names))[targets.astype(int)]
    targets[7] = np.nan
    spec = TargetSpec(task="multiclass", names=names, num_classes=len(names))
    predictions = _label_predictions(
        spec, targets[:, None], probs / probs.sum(axis=1, keepdims=True)
    )
    return LabelCase(evaluate_labels(predictions, rounds=60), predictions)


def _label_predictions(
    spec: TargetSpec,
    targets: np.ndarray,
    probs: np.ndarray,
    thresholds: tuple[float, ...] = (),
) -> LabelPredictions:
    return LabelPredictions(
        file_ids=tuple(f"cxr{index:02d}" for index in range(len(probs))),
        patient_ids=tuple(f"SECRET{index // 2}" for index in range(len(probs))),
        paths=tuple(Path(f"cxr{index:02d}.dcm") for index in range(len(probs))),
        target_spec=spec,
        targets=targets,
        probs=probs,
        thresholds=thresholds,
    )
