"""Probes against scikit-learn called by hand."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.metrics import (
    accuracy_score,
    cohen_kappa_score,
    mean_absolute_error,
    roc_auc_score,
)
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.preprocessing import StandardScaler

from csi_predictor.metrics.probes import Fold, describe_probes, measure_probes, nearest_means
from csi_predictor.specs import TargetSpec

NAN = float("nan")
CLASSES = TargetSpec(task="multiclass", names=("a", "b", "c"), num_classes=3)
LABELS = TargetSpec(task="multilabel", names=("Edema", "Mass"), num_classes=2)


def features_of(seed: int = 0, count: int = 60) -> np.ndarray:
    """(N, 7) of very different scales, none about zero."""
    rng = np.random.default_rng(seed)
    scales = np.array([1, 5, 100, 0.1, 2, 3, 10])
    return (rng.normal(size=(count, 7)) * scales + 2 * scales).astype(np.float32)


def one_fold(count: int = 60) -> Fold:
    return Fold(np.arange(count - 20), np.arange(count - 20, count))


def halves(count: int = 60) -> list[Fold]:
    first, second = np.arange(0, count, 2), np.arange(1, count, 2)
    return [Fold(first, second), Fold(second, first)]


def standardised(features: np.ndarray, fold: Fold) -> tuple[np.ndarray, np.ndarray]:
    scaler = StandardScaler().fit(features[fold.train])
    return scaler.transform(features[fold.train]), scaler.transform(features[fold.measured])


def test_classes_have_scikit_learns_figures() -> None:
    features, fold = features_of(), one_fold()
    rng = np.random.default_rng(1)
    truth = np.digitize(features[:, 1] + 4 * rng.normal(size=60), [7, 12]).astype(float)
    found = measure_probes(features, truth[:, None], CLASSES, [fold])
    train, measured = standardised(features, fold)
    linear = LogisticRegression(C=1, max_iter=5000).fit(train, truth[fold.train])
    nearest = KNeighborsClassifier(5, metric="cosine").fit(features[fold.train], truth[fold.train])
    for name, fitted, inputs in (
        ("linear", linear, measured),
        ("knn", nearest, features[fold.measured]),
    ):
        expected = truth[fold.measured]
        probs = fitted.predict_proba(inputs)
        area = roc_auc_score(expected, probs, multi_class="ovr", average="macro")
        assert found[name]["accuracy"] == accuracy_score(expected, fitted.predict(inputs))
        assert found[name]["auroc_macro"] == pytest.approx(area, abs=1e-12)
        of_b = roc_auc_score(expected == 1, probs[:, 1])
        assert found[name]["auroc"]["b"] == pytest.approx(of_b, abs=1e-12)


def test_labels_have_scikit_learns_figures_and_unknown_ones_are_left_out_on_both_sides() -> None:
    features = features_of()
    rng = np.random.default_rng(2)
    truth = (features[:, :2] / [1, 5] + rng.normal(size=(60, 2)) > 2).astype(float)
    truth[rng.random((60, 2)) < 0.2] = NAN
    found = measure_probes(features, truth, LABELS, halves())
    for column, name in enumerate(LABELS.names):
        scores = {"linear": np.full(60, NAN), "knn": np.full(60, NAN)}
        for fold in halves():
            train = fold.train[~np.isnan(truth[fold.train, column])]
            known = Fold(train, fold.measured)
            inputs, asked = standardised(features, known)
            linear = LogisticRegression(C=1, max_iter=5000).fit(inputs, truth[train, column])
            scores["linear"][fold.measured] = linear.predict_proba(asked)[:, 1]
            nearest = KNeighborsClassifier(5, metric="cosine")
            nearest.fit(features[train], truth[train, column])
            scores["knn"][fold.measured] = nearest.predict_proba(features[fold.measured])[:, 1]
        is_known = ~np.isnan(truth[:, column])
        for probe, each in scores.items():
            expected = roc_auc_score(truth[is_known, column], each[is_known])
            assert found[probe]["auroc"][name] == pytest.approx(expected, abs=1e-12)
    macro = np.mean(list(found["linear"]["auroc"].values()))
    assert found["linear"]["auroc_macro"] == pytest.approx(macro)


def test_zones_have_scikit_learns_figures_of_the_rounded_mean() -> None:
    features, fold = features_of(), one_fold()
    rng = np.random.default_rng(3)
    grades = np.clip(np.round(features[:, :6] / [1, 5, 100, 0.1, 2, 3] + rng.normal()), 0, 3)
    grades[rng.random((60, 6)) < 0.1] = NAN
    spec = TargetSpec()
    found = measure_probes(features, grades, spec, [fold])
    given = {"linear": [], "knn": []}
    true = []
    for zone in grades.T:
        train = fold.train[~np.isnan(zone[fold.train])]
        asked = fold.measured[~np.isnan(zone[fold.measured])]
        inputs, others = standardised(features, Fold(train, asked))
        ridge = RidgeCV(alphas=[0.1, 1, 10, 100, 1e3, 1e4, 1e5]).fit(inputs, zone[train])
        nearest = KNeighborsRegressor(5, metric="cosine").fit(features[train], zone[train])
        given["linear"] += np.clip(np.floor(ridge.predict(others) + 0.5), 0, 3).tolist()
        given["knn"] += np.floor(nearest.predict(features[asked]) + 0.5).tolist()
        true += zone[asked].tolist()
    for probe, answers in given.items():
        kappa = cohen_kappa_score(true, answers, weights="quadratic", labels=[0, 1, 2, 3])
        assert found[probe]["zone_mae"] == pytest.approx(mean_absolute_error(true, answers))
        assert found[probe]["zone_qwk"] == pytest.approx(kappa)


def test_neighbours_are_near_by_angle_and_not_by_distance() -> None:
    features = np.array([[1, 0], [50, 1], [0, 1], [1, 30], [2, 60], [9, 1], [0, 2]], dtype=float)
    truth = np.array([[1.0], [NAN], [0], [0], [0], [1], [0]])
    fold = Fold(np.array([0, 2, 3, 4, 5, 6]), np.array([1, 0]))
    assert np.isnan(nearest_means(features, truth, [fold])[1:, 0]).tolist() == [True] * 6
    known = np.nan_to_num(truth)
    means = nearest_means(
        features.astype(np.float32), known, [Fold(np.arange(1, 7), np.array([0]))]
    )
    # by angle: rows 1 (unknown taken as 0), 5, then 4 and 3 and a row of the other axis
    assert means[0, 0] == pytest.approx(1 / 5)
    assert np.isnan(means[1:]).all()


def test_a_measured_row_takes_no_part_in_learning_or_standardising() -> None:
    features, fold = features_of(), one_fold()
    truth = (features[:, :1] > 2).astype(float)
    spec = TargetSpec(task="multilabel", names=("x",), num_classes=2)
    before = measure_probes(features, truth, spec, [fold])
    shifted = features.copy()
    shifted[fold.measured[:-1]] += 1e6 * np.random.default_rng(0).normal(size=(19, 7))
    kept = Fold(fold.train, fold.measured[-10:])
    alone = measure_probes(features, truth, spec, [kept])
    moved = features.copy()
    moved[fold.measured[:10]] *= 1e6
    assert measure_probes(moved, truth, spec, [kept]) == alone
    assert measure_probes(shifted, truth, spec, [fold]) != before


def test_what_cannot_be_learnt_or_measured_is_nan_and_never_a_number() -> None:
    features, fold = features_of(), one_fold()
    truth = np.zeros((60, 2))
    truth[::2, 1] = 1
    found = measure_probes(features, truth, LABELS, [fold])
    for probe in ("linear", "knn"):
        assert np.isnan(found[probe]["auroc"]["Edema"])
        assert found[probe]["auroc_macro"] == found[probe]["auroc"]["Mass"]
    nothing = measure_probes(features, truth[:, :1], CLASSES, [])
    assert np.isnan([nothing["linear"]["accuracy"], nothing["knn"]["auroc_macro"]]).all()
    zones = measure_probes(features, np.full((60, 6), NAN), TargetSpec(), [fold])
    assert np.isnan([zones["linear"]["zone_mae"], zones["knn"]["zone_qwk"]]).all()


def test_a_class_that_no_training_row_has_gets_no_probability() -> None:
    features, fold = features_of(), one_fold()
    truth = np.tile([0.0, 2.0], 30)
    truth[-3:] = 1
    found = measure_probes(features, truth[:, None], CLASSES, [fold])
    for probe in ("linear", "knn"):
        assert found[probe]["auroc"]["b"] == 0.5  # every row has the same 0
        assert found[probe]["accuracy"] <= 17 / 20


def test_each_probe_is_named_with_its_settings() -> None:
    assert "logistic regression, C = 1," in describe_probes("multilabel")["linear"]
    assert "ridge regression" in describe_probes("csi")["linear"]
    assert "5 nearest training images by cosine" in describe_probes("multiclass")["knn"]
