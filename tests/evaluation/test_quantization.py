"""Two sets of answers about the same images, the figures from scikit-learn."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, cohen_kappa_score, roc_auc_score

from csi_predictor.evaluation.quantization import compare_int8, holds, main_figure
from csi_predictor.inference.label_predictions import LabelPredictions
from csi_predictor.inference.predictions import Predictions
from csi_predictor.specs import TargetSpec

RNG = np.random.default_rng(4)


def label_answers(task: str, targets: np.ndarray, probs: np.ndarray) -> LabelPredictions:
    ids = tuple(f"i{index}" for index in range(len(probs)))
    names = tuple("abcdef"[: probs.shape[1]])
    spec = TargetSpec(task=task, names=names, num_classes=len(names) if task == "multiclass" else 2)  # type: ignore[arg-type]
    return LabelPredictions(
        file_ids=ids,
        patient_ids=ids,
        paths=tuple(map(Path, ids)),
        target_spec=spec,
        targets=targets.astype(np.float64),
        probs=probs,
    )


def test_zones_are_judged_by_their_quadratic_kappa(
    make_predictions: Callable[..., Predictions],
) -> None:
    targets = RNG.integers(0, 4, (30, 6)).astype(float)
    targets[0, 0] = np.nan
    exact_grades = np.clip(np.nan_to_num(targets) + RNG.integers(-1, 2, (30, 6)), 0, 3)
    rounded_grades = exact_grades.copy()
    rounded_grades[:4, 1] = 3 - rounded_grades[:4, 1]
    exact, rounded = (make_predictions(targets, g) for g in (exact_grades, rounded_grades))
    found = compare_int8(exact, rounded, rounds=50, seed=0)
    known = np.isfinite(targets)
    before, after = (
        cohen_kappa_score(targets[known].astype(int), g[known].astype(int), weights="quadratic")
        for g in (exact_grades, rounded_grades)
    )
    assert found["figure"] == "zone_qwk"
    assert found["fp32"] == pytest.approx(before)
    assert found["int8"] == pytest.approx(after)
    assert found["fall"] == pytest.approx(before - after)
    assert found["fall_ci_low"] <= found["fall"] <= found["fall_ci_high"]
    assert (found["n_calls"], found["n_calls_changed"]) == (180, 4)
    assert found["largest_probability_difference"] == 1.0
    # 4 zones move two of their four probabilities by 1; each zone has five, one the ungradable
    assert found["mean_probability_difference"] == pytest.approx(8 / (180 * 5))


def test_a_zone_that_turns_ungradable_has_changed(
    make_predictions: Callable[..., Predictions],
) -> None:
    exact = make_predictions(np.ones((3, 6)), np.ones((3, 6)))
    p_ungradable = np.zeros((3, 6))
    p_ungradable[2, 5] = 0.6
    found = compare_int8(exact, replace(exact, p_ungradable=p_ungradable), rounds=0, seed=0)
    assert found["n_calls_changed"] == 1


def test_labels_are_judged_by_their_macro_auroc() -> None:
    targets = np.tile([[0, 1], [1, 0], [1, 1], [0, 0]], (8, 1))
    probs, moved = RNG.random((32, 2)), RNG.random((32, 2))
    exact, rounded = (label_answers("multilabel", targets, p) for p in (probs, moved))
    found = compare_int8(exact, rounded, rounds=0, seed=0)
    assert main_figure(exact) == found["figure"] == "auroc_macro"
    assert found["fp32"] == pytest.approx(roc_auc_score(targets, probs, average="macro"))
    assert found["int8"] == pytest.approx(roc_auc_score(targets, moved, average="macro"))
    assert found["n_calls_changed"] == int(((probs >= 0.5) != (moved >= 0.5)).sum())


def test_classes_are_judged_by_their_accuracy() -> None:
    targets = RNG.integers(0, 3, 40)
    probs, moved = (RNG.dirichlet(np.ones(3), 40) for _ in range(2))
    exact, rounded = (label_answers("multiclass", targets[:, None], p) for p in (probs, moved))
    found = compare_int8(exact, rounded, rounds=0, seed=0)
    assert found["figure"] == "accuracy"
    assert found["fp32"] == pytest.approx(accuracy_score(targets, probs.argmax(1)))
    assert found["int8"] == pytest.approx(accuracy_score(targets, moved.argmax(1)))
    assert (found["n_calls"], found["fall_ci_low"]) == (40, None)


def test_the_fall_is_that_of_the_same_draws_so_equal_answers_have_none() -> None:
    targets = RNG.integers(0, 3, 40)
    exact = label_answers("multiclass", targets[:, None], RNG.dirichlet(np.ones(3), 40))
    found = compare_int8(exact, exact, rounds=100, seed=0)
    assert (found["fall"], found["fall_ci_low"], found["fall_ci_high"]) == (0, 0, 0)
    assert found["fp32_ci_low"] < found["fp32_ci_high"]


def test_answers_about_other_images_are_refused() -> None:
    one = label_answers("multiclass", np.zeros((2, 1)), np.full((2, 2), 0.5))
    other = replace(one, file_ids=("i1", "i0"))
    with pytest.raises(ValueError, match="about different images"):
        compare_int8(one, other, rounds=0, seed=0)


@pytest.mark.parametrize(
    ("fall", "expected"), [(0.01, True), (0.011, False), (-0.2, True), (None, False)]
)
def test_a_fall_up_to_the_allowed_one_holds_and_an_unknown_one_does_not(
    fall: float | None, expected: bool
) -> None:
    assert holds({"fall": fall}, max_drop=0.01) is expected
