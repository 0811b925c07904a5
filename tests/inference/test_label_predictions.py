"""Answers about labels and classes beside their truth."""

from pathlib import Path

import numpy as np

from csi_predictor.inference.label_predictions import LabelPredictions, concatenate_labels
from csi_predictor.specs import TargetSpec

NAN = float("nan")


def labels(thresholds: tuple[float, ...] = ()) -> LabelPredictions:
    return LabelPredictions(
        file_ids=("a", "b", "c"),
        patient_ids=("P", "P", "Q"),
        paths=(Path("a"), Path("b"), Path("c")),
        target_spec=TargetSpec(task="multilabel", names=("edema", "mass"), num_classes=2),
        targets=np.array([[1, 0], [NAN, 1], [0, NAN]]),
        probs=np.array([[0.5, 0.2], [0.49, 0.8], [0.1, 0.3]]),
        thresholds=thresholds,
    )


def classes() -> LabelPredictions:
    return LabelPredictions(
        file_ids=("a", "b", "c"),
        patient_ids=("P", "P", "Q"),
        paths=(Path("a"), Path("b"), Path("c")),
        target_spec=TargetSpec(task="multiclass", names=("x", "y", "z"), num_classes=3),
        targets=np.array([[2], [NAN], [0]]),
        probs=np.array([[0.2, 0.2, 0.6], [0.4, 0.4, 0.2], [0.1, 0.8, 0.1]]),
    )


def test_the_truth_of_labels_is_their_targets() -> None:
    made = labels()
    assert not made.is_multiclass
    assert made.names == ("edema", "mass")
    np.testing.assert_array_equal(made.truth, made.targets)
    assert len(made) == 3


def test_the_truth_of_a_class_is_one_hot_and_an_unknown_one_is_nowhere_0() -> None:
    np.testing.assert_array_equal(classes().truth, [[0, 0, 1], [NAN] * 3, [1, 0, 0]])


def test_a_label_is_called_from_its_threshold_on() -> None:
    np.testing.assert_array_equal(labels().called, [[True, False], [False, True], [False, False]])
    np.testing.assert_array_equal(
        labels((0.1, 0.9)).called, [[True, False], [True, False], [True, False]]
    )


def test_exactly_one_class_is_called_the_first_of_equals() -> None:
    np.testing.assert_array_equal(
        classes().called, [[False, False, True], [True, False, False], [False, True, False]]
    )


def test_taken_images_keep_together_what_belongs_together() -> None:
    taken = labels((0.3, 0.4)).take(np.array([2, 0]))
    assert (taken.file_ids, taken.patient_ids) == (("c", "a"), ("Q", "P"))
    assert taken.paths == (Path("c"), Path("a"))
    np.testing.assert_array_equal(taken.targets, [[0, NAN], [1, 0]])
    np.testing.assert_array_equal(taken.probs, [[0.1, 0.3], [0.5, 0.2]])
    np.testing.assert_array_equal(taken.called, [[False, False], [True, False]])
    assert taken.thresholds == (0.3, 0.4)


def test_folds_come_after_each_other() -> None:
    whole = labels((0.3, 0.4))
    parts = [whole.take(np.array([1])), whole.take(np.array([2, 0]))]
    joined = concatenate_labels(parts)
    assert joined.file_ids == ("b", "c", "a")
    assert joined.patient_ids == ("P", "Q", "P")
    np.testing.assert_array_equal(joined.probs, whole.probs[[1, 2, 0]])
    np.testing.assert_array_equal(joined.targets, whole.targets[[1, 2, 0]])
    assert (joined.thresholds, joined.target_spec) == ((0.3, 0.4), whole.target_spec)
