import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight

from csi_predictor.losses.weights import class_weights, positive_weights

NAN = np.nan


def test_a_positive_weighs_as_many_negatives_as_meet_it_and_unknowns_dont_count() -> None:
    targets = np.array([[1, 0, NAN], [0, 0, 1], [0, 1, 1], [0, NAN, 0], [NAN, NAN, NAN]])
    assert positive_weights(targets) == (3.0, 2.0, 0.5)


def test_a_rare_label_is_capped() -> None:
    targets = np.zeros((101, 1))
    targets[0] = 1
    assert positive_weights(targets) == (10.0,)
    assert positive_weights(targets, cap=1000) == (100.0,)


def test_a_label_with_one_answer_only_weighs_one() -> None:
    targets = np.array([[1.0, 0.0, NAN], [1.0, 0.0, NAN]])
    assert positive_weights(targets) == (1.0, 1.0, 1.0)


def test_class_weights_are_scikit_learns_balanced_ones() -> None:
    classes = np.array([0] * 6 + [1] * 3 + [2] * 1)
    expected = compute_class_weight("balanced", classes=np.arange(3), y=classes)
    targets = np.append(classes, NAN)[:, None]
    assert class_weights(targets, 3) == pytest.approx(tuple(expected))


def test_the_rows_mean_weight_is_one_and_a_class_without_rows_weighs_one() -> None:
    targets = np.array([[0.0], [0.0], [0.0], [3.0]])
    weights = class_weights(targets, 4)
    assert weights[1] == weights[2] == 1
    assert np.mean([weights[int(row)] for row in targets[:, 0]]) == pytest.approx(1)


def test_nothing_known_weighs_one() -> None:
    assert class_weights(np.array([[NAN]]), 2) == (1.0, 1.0)
