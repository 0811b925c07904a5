"""What features are worth: plain readers that learn from some images and are measured on others.

Two readers, both of scikit-learn and without anything to tune by hand. `linear`: logistic
regression for labels and classes, ridge regression with its strength chosen by leave-one-out for
grades, on features standardised with the training images alone. `knn`: the mean truth of the five
nearest training images by cosine, on the features as they are. A figure without a meaning is NaN.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.neighbors import NearestNeighbors
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from csi_predictor.metrics.counts import Floats
from csi_predictor.metrics.labels import mean_of_defined
from csi_predictor.metrics.ranking import auroc
from csi_predictor.metrics.zones import zone_mae, zone_qwk
from csi_predictor.specs import MAX_GRADE, TargetSpec, Task

NUM_NEIGHBOURS = 5
LOGISTIC_C = 1.0
RIDGE_ALPHAS = tuple(10.0**power for power in range(-1, 6))
_MAX_STEPS = 5000  # scikit-learn's 100 doesn't suffice for thousands of features

Index = NDArray[np.int64]
Values = NDArray[np.float32]
Figures = dict[str, float | dict[str, float]]
Reader = Callable[[Values, Floats, Values], Floats]
"""Training features (M, F), their truth (M,) and other features (L, F) -> scores (L, S)."""


@dataclass(frozen=True)
class Fold:
    """Rows that a probe learns from and rows that it is measured on, as indices."""

    train: Index
    measured: Index


def measure_probes(
    features: Values, targets: Floats, spec: TargetSpec, folds: Sequence[Fold]
) -> dict[str, Figures]:
    """The figures of `linear` and of `knn`, over the measured rows of all folds together.

    Args:
        features: (N, F).
        targets: (N, T), NaN = ungradable or unknown: left out, on both sides.
        spec: What the targets mean.
        folds: Their measured rows are disjoint. Where a fold's training rows all have the same
            answer, logistic regression has nothing to learn and isn't measured.

    Returns:
        Of classes `accuracy` and `auroc_macro`, of labels `auroc_macro`, both with `auroc` by
        name; of six zones `zone_mae` and `zone_qwk` of the rounded mean.
    """
    if spec.task == "multiclass":
        truth = _one_hot(targets[:, 0], len(spec.names))
        linear = _class_scores(features, targets[:, 0], folds, num_classes=len(spec.names))
        nearest = nearest_means(features, truth, folds)
        return {
            "linear": _class_figures(truth, linear, spec.names),
            "knn": _class_figures(truth, nearest, spec.names),
        }
    if spec.task == "multilabel":
        linear = _each_column(features, targets, folds, _logistic)
        nearest = nearest_means(features, targets, folds)
        return {
            "linear": _ranked_figures(targets, linear, spec.names),
            "knn": _ranked_figures(targets, nearest, spec.names),
        }
    linear = _each_column(features, targets, folds, _ridge)
    nearest = nearest_means(features, targets, folds)
    return {"linear": _zone_figures(targets, linear), "knn": _zone_figures(targets, nearest)}


def describe_probes(task: Task) -> dict[str, str]:
    """Each probe in words."""
    linear = f"logistic regression, C = {LOGISTIC_C:g}"
    if task == "csi":
        linear = "ridge regression, alpha by leave-one-out, rounded"
    nearest = "rounded mean grade" if task == "csi" else "share"
    return {
        "linear": f"{linear}, on features standardised with the training images",
        "knn": f"{nearest} of the {NUM_NEIGHBOURS} nearest training images by cosine",
    }


def nearest_means(features: Values, truth: Floats, folds: Sequence[Fold]) -> Floats:
    """(N, K) mean truth of the five nearest training rows; NaN where nothing is measured or known.

    Only training rows whose truth is known count as neighbours, of each column by itself.

    Args:
        features: (N, F).
        truth: (N, K), NaN = unknown.
        folds: Their measured rows are disjoint.

    Source:
        Cosine, as in Wu et al. 2018, arXiv:1805.01978, and Caron et al. 2021, arXiv:2104.14294;
        every neighbour counts alike.
    """
    means = np.full(truth.shape, np.nan)
    is_known = np.isfinite(truth)
    patterns, of_column = np.unique(is_known, axis=1, return_inverse=True)
    for number, pattern in enumerate(patterns.T):  # one search serves all columns known alike
        columns = np.flatnonzero(of_column == number)
        for fold in folds:
            train, measured = fold.train[pattern[fold.train]], fold.measured[pattern[fold.measured]]
            if not (len(train) and len(measured)):
                continue
            count = min(NUM_NEIGHBOURS, len(train))
            search = NearestNeighbors(n_neighbors=count, metric="cosine", algorithm="brute")
            search.fit(features[train])
            neighbours = train[search.kneighbors(features[measured], return_distance=False)]
            means[np.ix_(measured, columns)] = truth[neighbours][..., columns].mean(axis=1)
    return means


def linear_classifier() -> Pipeline:
    """Logistic regression on standardised features."""
    return make_pipeline(StandardScaler(), LogisticRegression(C=LOGISTIC_C, max_iter=_MAX_STEPS))


def linear_grader() -> Pipeline:
    """Ridge regression on standardised features, its strength chosen by leave-one-out."""
    return make_pipeline(StandardScaler(), RidgeCV(alphas=RIDGE_ALPHAS))


def _class_scores(
    features: Values, classes: Floats, folds: Sequence[Fold], *, num_classes: int
) -> Floats:
    """(N, K) probabilities; a class that no training row has gets 0."""

    def read(known: Values, truth: Floats, asked: Values) -> Floats:
        if len(np.unique(truth)) < 2:
            return np.full((len(asked), num_classes), np.nan)
        fitted = linear_classifier().fit(known, truth)
        scores = np.zeros((len(asked), num_classes))
        scores[:, fitted.classes_.astype(np.int64)] = fitted.predict_proba(asked)
        return scores

    return _out_of_fold(features, classes, folds, read, num_scores=num_classes)


def _logistic(known: Values, truth: Floats, asked: Values) -> Floats:
    if len(np.unique(truth)) < 2:
        return np.full((len(asked), 1), np.nan)
    return np.asarray(linear_classifier().fit(known, truth).predict_proba(asked)[:, 1:])


def _ridge(known: Values, truth: Floats, asked: Values) -> Floats:
    """Of one grade alone it says that grade, as the neighbours do."""
    if len(np.unique(truth)) < 2:
        return np.full((len(asked), 1), truth[0])
    return np.asarray(linear_grader().fit(known, truth).predict(asked)[:, None], dtype=np.float64)


def _each_column(features: Values, targets: Floats, folds: Sequence[Fold], read: Reader) -> Floats:
    columns = [_out_of_fold(features, column, folds, read) for column in targets.T]
    return np.concatenate(columns, axis=1)


def _out_of_fold(
    features: Values, truth: Floats, folds: Sequence[Fold], read: Reader, *, num_scores: int = 1
) -> Floats:
    """(N, S) scores of the measured rows; NaN elsewhere, and where nothing is known to learn."""
    scores = np.full((len(features), num_scores), np.nan)
    for fold in folds:
        train = fold.train[np.isfinite(truth[fold.train])]
        measured = fold.measured[np.isfinite(truth[fold.measured])]
        if len(measured) and len(train):
            scores[measured] = read(features[train], truth[train], features[measured])
    return scores


def _one_hot(classes: Floats, num_classes: int) -> Floats:
    truth: Floats = (classes[:, None] == np.arange(num_classes)).astype(np.float64)
    truth[~np.isfinite(classes)] = np.nan
    return truth


def _class_figures(truth: Floats, scores: Floats, names: Sequence[str]) -> Figures:
    is_measured = np.isfinite(truth).all(axis=1) & np.isfinite(scores).all(axis=1)
    right = truth[is_measured].argmax(axis=1) == scores[is_measured].argmax(axis=1)
    accuracy = float(right.mean()) if len(right) else float("nan")
    return {"accuracy": accuracy, **_ranked_figures(truth, scores, names)}


def _ranked_figures(truth: Floats, scores: Floats, names: Sequence[str]) -> Figures:
    areas = np.array([_area(*column) for column in zip(truth.T, scores.T, strict=True)])
    by_name = dict(zip(names, areas.tolist(), strict=True))
    return {"auroc_macro": float(mean_of_defined(areas)), "auroc": by_name}


def _area(truth: Floats, scores: Floats) -> float:
    is_measured = np.isfinite(truth) & np.isfinite(scores)
    once = np.ones((1, int(is_measured.sum())))
    return float(auroc(truth[is_measured] == 1, scores[is_measured], once)[0])


def _zone_figures(targets: Floats, means: Floats) -> Figures:
    grades = np.clip(np.floor(means + 0.5), 0, MAX_GRADE)
    return {"zone_mae": zone_mae(targets, grades), "zone_qwk": zone_qwk(targets, grades)}
