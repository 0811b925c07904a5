"""A fold's labels are called from thresholds of its own validation rows alone."""

from pathlib import Path

import numpy as np

from csi_predictor.inference.label_predictions import LabelPredictions, concatenate_labels
from csi_predictor.metrics.thresholds import best_f1_thresholds
from csi_predictor.specs import TargetSpec
from csi_predictor.workflows.examination import _with_own_thresholds
from csi_predictor.workflows.trust import SplitAnswers


def labels(seed: int, *, task: str = "multilabel") -> LabelPredictions:
    rng = np.random.default_rng(seed)
    names = tuple(f"{seed}-{index}" for index in range(40))
    probs = rng.random((40, 2))
    truth = (rng.random((40, 2)) < probs).astype(np.float64)
    return LabelPredictions(
        file_ids=names,
        patient_ids=names,
        paths=tuple(map(Path, names)),
        target_spec=TargetSpec(task=task, names=("a", "b"), num_classes=2),  # type: ignore[arg-type]
        targets=truth if task == "multilabel" else truth[:, :1],
        probs=probs,
        thresholds=(0.9, 0.9) if task == "multilabel" else (),  # of all folds together
    )


def test_a_folds_thresholds_are_those_of_its_validation_rows() -> None:
    validation, test = labels(0), labels(1)
    own = _with_own_thresholds(SplitAnswers(validation=validation, test=test)).test
    assert isinstance(own, LabelPredictions)
    assert own.thresholds == best_f1_thresholds(validation.targets, validation.probs)
    np.testing.assert_array_equal(own.called, test.probs >= np.array(own.thresholds))


def test_a_fold_without_validation_rows_calls_from_a_half_on() -> None:
    own = _with_own_thresholds(SplitAnswers(validation=None, test=labels(1))).test
    assert isinstance(own, LabelPredictions)
    assert own.thresholds == ()


def test_classes_have_no_thresholds_to_choose() -> None:
    part = SplitAnswers(validation=None, test=labels(1, task="multiclass"))
    assert _with_own_thresholds(part) is part


def test_pooled_folds_of_different_thresholds_keep_their_calls_and_tell_none() -> None:
    parts = []
    for seed in (0, 2):
        own = _with_own_thresholds(SplitAnswers(validation=labels(seed), test=labels(seed + 1)))
        assert isinstance(own.test, LabelPredictions)
        parts.append(own.test)
    joined = concatenate_labels(parts)
    assert np.isnan(joined.thresholds).all()
    np.testing.assert_array_equal(joined.called[40:], parts[1].called)
