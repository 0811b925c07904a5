import csv
import importlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from sklearn.metrics import (
    average_precision_score,
    balanced_accuracy_score,
    brier_score_loss,
    f1_score,
    precision_score,
    recall_score,
    roc_auc_score,
)

from csi_predictor.errors import LabelsError
from csi_predictor.evaluation.labels import evaluate_labels
from csi_predictor.inference.label_predictions import LabelPredictions
from csi_predictor.specs import TargetSpec

NAN = float("nan")


def make_labels(targets, probs, *, patient_ids=None, thresholds=(), names=None) -> LabelPredictions:
    table = np.asarray(probs, dtype=float)
    ids = tuple(f"image{index:03d}" for index in range(len(table)))
    chosen = names or tuple(f"label{k}" for k in range(table.shape[1]))
    return LabelPredictions(
        file_ids=ids,
        patient_ids=patient_ids or ids,
        paths=tuple(Path(f"{name}.png") for name in ids),
        target_spec=TargetSpec(task="multilabel", names=chosen, num_classes=2),
        targets=np.asarray(targets, dtype=float),
        probs=table,
        thresholds=thresholds,
    )


def make_classes(targets, probs, **changes) -> LabelPredictions:
    column = np.asarray(targets, dtype=float).reshape(-1, 1)
    made = make_labels(column, probs, **changes)
    spec = TargetSpec(task="multiclass", names=made.names, num_classes=len(made.names))
    return replace(made, target_spec=spec)


@pytest.fixture(scope="module")
def labels() -> LabelPredictions:
    """120 images of 60 patients, four labels of different frequency, a tenth unknown."""
    rng = np.random.default_rng(9)
    targets = (rng.random((120, 4)) < [0.12, 0.3, 0.5, 0.8]).astype(float)
    probs = np.clip(0.25 * targets + 0.6 * rng.random((120, 4)), 0, 1).round(2)
    targets[rng.random((120, 4)) < 0.1] = NAN
    patients = tuple(f"p{index // 2}" for index in range(120))
    return make_labels(targets, probs, patient_ids=patients, thresholds=(0.3, 0.45, 0.6, 0.2))


@pytest.fixture(scope="module")
def classes() -> LabelPredictions:
    rng = np.random.default_rng(11)
    targets = rng.choice(4, 150, p=[0.5, 0.3, 0.15, 0.05]).astype(float)
    probs = rng.dirichlet(np.ones(4), 150) + 0.5 * np.eye(4)[targets.astype(int)]
    return make_classes(targets, probs / probs.sum(axis=1, keepdims=True))


@pytest.fixture(scope="module")
def medmnist(tmp_path_factory) -> Iterator[ModuleType]:
    """The official evaluator's file; its package makes a folder in the home on import."""
    with pytest.MonkeyPatch.context() as patch:
        home = str(tmp_path_factory.mktemp("home"))
        patch.setenv("HOME", home)
        patch.setenv("USERPROFILE", home)
        pytest.importorskip("medmnist", reason="the package medmnist is of the test extra")
        yield importlib.import_module("medmnist.evaluator")


def official(module: ModuleType, made: LabelPredictions, task: str) -> tuple[float, float]:
    """Its AUC and accuracy, of tables as MedMNIST's files hold them."""
    truth = made.targets.astype(int)
    return module.getAUC(truth, made.probs, task), module.getACC(truth, made.probs, task)


@pytest.mark.parametrize("task", ["multi-class", "ordinal-regression"])
def test_several_classes_agree_with_medmnists_evaluator(medmnist, classes, task: str) -> None:
    found = evaluate_labels(classes, rounds=0).metrics
    expected = official(medmnist, classes, task)
    assert (found["auroc_macro"], found["accuracy"]) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("decimals", [1, 8])
def test_two_classes_agree_with_medmnists_evaluator(medmnist, decimals: int) -> None:
    rng = np.random.default_rng(3)
    targets = rng.random(90) < 0.4
    second = np.clip(0.2 * targets + 0.7 * rng.random(90), 0, 1).round(decimals)  # 0.5 too
    made = make_classes(targets, np.stack([1 - second, second], axis=1))
    found = evaluate_labels(made, rounds=0).metrics
    expected = official(medmnist, made, "binary-class")
    assert (found["auroc_macro"], found["accuracy"]) == pytest.approx(expected, abs=1e-6)


def test_of_two_classes_the_areas_are_those_of_the_second() -> None:
    rng = np.random.default_rng(12)
    targets = (rng.random(60) < 0.2).astype(float)
    second = np.clip(0.2 * targets + 0.8 * rng.random(60), 0, 1)
    made = make_classes(targets, np.stack([1 - second, second], axis=1))
    found = evaluate_labels(made, rounds=0).metrics
    assert found["auroc_macro"] == pytest.approx(roc_auc_score(targets, second))
    assert found["auprc_macro"] == pytest.approx(average_precision_score(targets, second))


def test_labels_agree_with_medmnists_evaluator_whatever_the_thresholds(medmnist, labels) -> None:
    known = replace(labels, targets=np.nan_to_num(labels.targets))
    found = evaluate_labels(known, rounds=0).metrics
    expected = official(medmnist, known, "multi-label, binary-class")
    assert (found["auroc_macro"], found["accuracy"]) == pytest.approx(expected, abs=1e-6)


def test_pneumoniamnists_test_split_agrees_with_medmnists_evaluator(medmnist, shared_data) -> None:
    with np.load(shared_data / "medmnist" / "pneumoniamnist.npz") as arrays:
        targets, images = arrays["test_labels"], arrays["test_images"]
    second = 1 - images.reshape(len(images), -1).mean(axis=1) / 255
    made = make_classes(targets, np.stack([1 - second, second], axis=1))
    found = evaluate_labels(made, rounds=0).metrics
    assert found["n_images"] == 624
    expected = official(medmnist, made, "binary-class")
    assert (found["auroc_macro"], found["accuracy"]) == pytest.approx(expected, abs=1e-6)


def test_each_label_equals_scikit_learns_figures_over_its_known_rows__weakness_004_06(
    labels,
) -> None:
    metrics = evaluate_labels(labels, rounds=0).metrics
    for k, (name, threshold) in enumerate(zip(labels.names, labels.thresholds, strict=True)):
        known = ~np.isnan(labels.targets[:, k])
        truth, probs = labels.targets[known, k], labels.probs[known, k]
        called = probs >= threshold
        expected = {
            "n_known": known.sum(),
            "n_positive": truth.sum(),
            "n_called": (labels.probs[:, k] >= threshold).sum(),
            "prevalence": truth.mean(),
            "threshold": threshold,
            "auroc": roc_auc_score(truth, probs),
            "auprc": average_precision_score(truth, probs),
            "f1": f1_score(truth, called),
            "sensitivity": recall_score(truth, called),
            "specificity": recall_score(1 - truth, ~called),
            "precision": precision_score(truth, called),
            "brier": brier_score_loss(truth, probs),
        }
        found = {key: metrics["labels"][name][key] for key in expected}
        assert found == pytest.approx(expected, abs=1e-12)
    for name in ("auroc", "auprc", "f1"):
        each = [metrics["labels"][label][name] for label in labels.names]
        assert metrics[f"{name}_macro"] == pytest.approx(np.mean(each))


def test_micro_figures_pool_every_known_answer(labels) -> None:
    metrics = evaluate_labels(labels, rounds=0).metrics
    known = ~np.isnan(labels.targets)
    truth, probs = labels.targets[known], labels.probs[known]
    assert metrics["auroc_micro"] == pytest.approx(roc_auc_score(truth, probs))
    assert metrics["auprc_micro"] == pytest.approx(average_precision_score(truth, probs))
    assert (metrics["n_known"], metrics["n_unknown"]) == (known.sum(), (~known).sum())


def test_classes_equal_scikit_learns_figures(classes) -> None:
    metrics = evaluate_labels(classes, rounds=0).metrics
    truth, given = classes.targets[:, 0].astype(int), classes.probs.argmax(axis=1)
    one_hot = np.eye(4)[truth]
    expected = {
        "accuracy": (truth == given).mean(),
        "balanced_accuracy": balanced_accuracy_score(truth, given),
        "auroc_macro": roc_auc_score(truth, classes.probs, multi_class="ovr"),
        "auprc_macro": average_precision_score(one_hot, classes.probs, average="macro"),
        "f1_macro": f1_score(truth, given, average="macro"),
        "brier": ((classes.probs - one_hot) ** 2).sum(axis=1).mean(),
    }
    assert {key: metrics[key] for key in expected} == pytest.approx(expected, abs=1e-12)
    recalls = recall_score(truth, given, average=None)
    assert [metrics["classes"][name]["recall"] for name in classes.names] == pytest.approx(recalls)
    assert np.array(metrics["confusion"]).sum() == 150
    assert metrics["confusion"][0][1] == ((truth == 0) & (given == 1)).sum()


def test_ece_of_labels_is_the_gap_in_each_bin_of_all_answers__weakness_001_05() -> None:
    # bins of 1/15: (0.6, 0.667] holds 0.65 twice, one present: |0.65 - 0.5|; (14/15, 1] holds 1.0,
    # present: 0; an unknown answer and its 0.2 are in none: (2 * 0.15 + 0) / 3
    made = make_labels([[1, 0], [1, NAN]], [[0.65, 0.65], [1.0, 0.2]])
    metrics = evaluate_labels(made, rounds=0).metrics
    assert metrics["ece"] == pytest.approx(0.1)
    assert metrics["calibration"]["bins"][14] == {
        "low": pytest.approx(14 / 15),
        "high": 1.0,
        "count": 1,
        "confidence": 1.0,
        "accuracy": 1.0,
    }
    # of the first label alone: 0.65, present, and 1.0, present
    assert metrics["labels"]["label0"]["ece"] == pytest.approx(0.175)


def test_ece_of_classes_is_that_of_the_class_named__weakness_001_05() -> None:
    # named with 0.6 (right), 1.0 (right) and 0.9 (wrong): (0.4 + 0 + 0.9) / 3
    made = make_classes([0, 1, 1], [[0.6, 0.4], [0.0, 1.0], [0.9, 0.1]])
    metrics = evaluate_labels(made, rounds=0).metrics
    assert metrics["ece"] == pytest.approx(1.3 / 3)
    assert metrics["brier"] == pytest.approx((2 * 0.16 + 0 + 2 * 0.81) / 3)


def test_unknown_answers_change_no_figure__weakness_004_07(labels) -> None:
    worse = np.where(np.isnan(labels.targets), 0.99, labels.probs)
    changed = evaluate_labels(replace(labels, probs=worse), rounds=20).metrics
    before = evaluate_labels(labels, rounds=20).metrics
    for name in ("auroc_macro", "auprc_micro", "f1_macro", "accuracy", "ece", "brier"):
        assert changed[name] == before[name]
        assert changed[f"{name}_ci_low"] == before[f"{name}_ci_low"]


def test_an_image_of_unknown_class_changes_no_figure(classes) -> None:
    some = classes.targets.copy()
    some[:20] = NAN
    found = evaluate_labels(replace(classes, targets=some), rounds=0).metrics
    kept = evaluate_labels(classes.take(np.arange(20, 150)), rounds=0).metrics
    for name in ("accuracy", "balanced_accuracy", "auroc_macro", "f1_macro", "ece", "brier"):
        assert found[name] == pytest.approx(kept[name], abs=1e-12)
    assert (found["n_known"], found["n_unknown"]) == (130, 20)


def test_a_label_of_one_kind_is_left_out_of_the_macro_and_named() -> None:
    targets = [[1, 0, 1], [0, 0, 1], [1, 0, NAN], [0, NAN, 1]]
    probs = [[0.9, 0.2, 0.5], [0.1, 0.3, 0.6], [0.3, 0.9, 0.1], [0.4, 0.5, 0.7]]
    names = ("Effusion", "Hernia", "Mass")
    result = evaluate_labels(make_labels(targets, probs, names=names), rounds=0)
    blocks = result.metrics["labels"]
    assert [blocks[name]["auroc"] for name in names] == [0.75, None, None]
    assert blocks["Hernia"]["f1"] is None
    assert result.metrics["auroc_macro"] == 0.75
    assert any("counts them: Hernia, Mass." in note for note in result.notes)
    rare = next(note for note in result.notes if "Fewer than 10 positives" in note)
    assert "Effusion (2), Mass (3)." in rare


def test_every_main_figure_has_an_interval_that_holds_it__weakness_004_06(labels, classes) -> None:
    for made in (labels, classes):
        metrics = evaluate_labels(made, rounds=200).metrics
        main = [name for name in metrics if f"{name}_ci_low" in metrics]
        assert {"auroc_macro", "f1_macro", "ece", "accuracy", "brier"} <= set(main)
        for name in set(main) - {"ece"}:  # resampling biases the ECE upwards
            low, high = metrics[f"{name}_ci_low"], metrics[f"{name}_ci_high"]
            assert low <= metrics[name] <= high
            assert high > low


def test_intervals_resample_patients_not_images(labels) -> None:
    own = evaluate_labels(replace(labels, patient_ids=labels.file_ids), rounds=50).metrics
    double = labels.take(np.repeat(np.arange(120), 2))
    ids = tuple(name for name in labels.file_ids for _ in range(2))
    doubled = evaluate_labels(replace(double, patient_ids=ids), rounds=50).metrics
    for name in ("auroc_macro", "auroc_macro_ci_low", "auroc_macro_ci_high"):
        assert doubled[name] == pytest.approx(own[name])


def test_equal_seeds_give_equal_figures(labels) -> None:
    first, second, third = (evaluate_labels(labels, rounds=30, seed=s).metrics for s in (1, 1, 2))
    assert first == second
    assert first["auroc_macro_ci_low"] != third["auroc_macro_ci_low"]


def test_the_baseline_of_labels_knows_the_prevalence_alone(labels) -> None:
    metrics = evaluate_labels(labels, rounds=50, train_prevalence=[0.1, 0.3, None, 0.9]).metrics
    baseline = metrics["baseline"]
    assert baseline["prevalence"] == [0.1, 0.3, 0.5, 0.9]
    assert baseline["source"] == "training rows"
    assert baseline["auroc_macro"] == 0.5
    shares = [metrics["labels"][name]["prevalence"] for name in labels.names]
    assert baseline["auprc_macro"] == pytest.approx(np.mean(shares))
    known = ~np.isnan(labels.targets)
    constant = np.broadcast_to([0.1, 0.3, 0.5, 0.9], labels.targets.shape)
    expected = roc_auc_score(labels.targets[known], constant[known])
    assert baseline["auroc_micro"] == pytest.approx(expected)
    gain = metrics["gain_over_baseline"]
    assert gain["auroc_macro"] == pytest.approx(metrics["auroc_macro"] - 0.5)
    assert gain["brier"] == pytest.approx(baseline["brier"] - metrics["brier"])
    assert gain["auroc_macro_ci_low"] > 0


def test_the_baseline_of_classes_names_the_commonest(classes) -> None:
    result = evaluate_labels(classes, rounds=50, train_prevalence=[0.2, 0.7, 0.1, None])
    baseline = result.metrics["baseline"]
    assert sum(baseline["prevalence"]) == pytest.approx(1)
    assert baseline["accuracy"] == pytest.approx((classes.targets == 1).mean())
    assert baseline["balanced_accuracy"] == 0.25
    assert not any("favours the baseline" in note for note in result.notes)


def test_a_baseline_of_the_evaluated_rows_is_said_to_be_one(labels) -> None:
    result = evaluate_labels(labels, rounds=0)
    shares = [result.metrics["labels"][name]["prevalence"] for name in labels.names]
    assert result.metrics["baseline"]["prevalence"] == pytest.approx(shares)
    assert any("favours the baseline" in note for note in result.notes)


def test_thresholds_that_nobody_chose_are_said_to_be_one_half__weakness_004_06(labels) -> None:
    unchosen = evaluate_labels(replace(labels, thresholds=()), rounds=0)
    assert any("called from 0.5 on" in note for note in unchosen.notes)
    assert not any("0.5 on" in note for note in evaluate_labels(labels, rounds=0).notes)


def test_exact_match_takes_only_images_with_every_label_known() -> None:
    targets = [[1, 0], [1, 0], [1, NAN]]
    made = make_labels(targets, [[0.9, 0.1], [0.9, 0.8], [0.9, 0.1]])
    assert evaluate_labels(made, rounds=0).metrics["exact_match"] == 0.5


def test_the_worst_images_come_first_and_only_known_ones() -> None:
    targets = [[1, 0], [1, 0], [NAN, NAN], [0, NAN]]
    probs = [[0.9, 0.1], [0.1, 0.6], [0.5, 0.5], [0.6, 0.0]]
    # (0.81 + 0.36) / 2 = 0.585, 0.36 and 0.01
    assert evaluate_labels(make_labels(targets, probs), rounds=0).worst == (1, 3, 0)


def test_few_patients_are_told(labels) -> None:
    few = evaluate_labels(labels.take(np.arange(10)), rounds=0)
    assert any("Only 5 patients: no interval" in note for note in few.notes)


def test_real_radiographs_with_the_prevalence_as_answer_are_chance(shared_data: Path) -> None:
    with (shared_data / "nih_chest14" / "labels.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    names = tuple(rows[0])[-14:]
    targets = np.array([[float(row[name]) for name in names] for row in rows])
    patients = tuple(row["PatientID"] for row in rows)
    probs = np.broadcast_to(targets.mean(axis=0), targets.shape)
    made = make_labels(targets, probs, patient_ids=patients, names=names)
    metrics = evaluate_labels(made, rounds=20, train_prevalence=list(targets.mean(axis=0))).metrics
    assert metrics["auroc_macro"] == 0.5
    assert metrics["gain_over_baseline"]["brier"] == 0
    assert metrics["ece"] == pytest.approx(0, abs=1e-12)


def test_a_set_without_a_known_answer_is_refused() -> None:
    with pytest.raises(LabelsError, match="2 images and no known answer among them"):
        evaluate_labels(make_labels(np.full((2, 1), NAN), np.full((2, 1), 0.5)))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"targets": np.zeros((3, 1))}, r"targets has shape \(3, 1\): expected \(3, 2\)"),
        ({"probs": np.zeros((3, 5))}, r"probs has shape \(3, 5\): expected \(3, 2\)"),
        ({"thresholds": (0.5,)}, r"thresholds has shape \(1,\): expected \(2,\)"),
        ({"probs": np.full((3, 2), 1.01)}, "probs holds a value that is no probability"),
        ({"probs": np.full((3, 2), NAN)}, "probs holds a value that is no probability"),
        ({"targets": np.full((3, 2), 2.0)}, "targets holds 2: expected 0 to 1, or NaN"),
        ({"target_spec": TargetSpec(names=("a", "b"))}, "task = csi: expected multilabel or multi"),
    ],
)
def test_wrong_tables_are_refused(changes: dict, told: str) -> None:
    made = make_labels(np.zeros((3, 2)), np.full((3, 2), 0.5))
    with pytest.raises(ValueError, match=told):
        evaluate_labels(replace(made, **changes))


def test_a_class_out_of_range_and_a_short_prevalence_are_refused(classes) -> None:
    with pytest.raises(ValueError, match="targets holds 7: expected 0 to 3, or NaN for unknown"):
        evaluate_labels(replace(classes, targets=np.full((150, 1), 7.0)))
    with pytest.raises(ValueError, match=r"train_prevalence has shape \(2,\): expected \(4,\)"):
        evaluate_labels(classes, train_prevalence=[0.5, 0.5])
