from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from scipy.special import expit, softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from csi_predictor.inference.questions import Questions
from csi_predictor.metrics.calibration import mean_score, nll_sums
from csi_predictor.uncertainty.calibrator_fit import MIN_KNOWN, fit_calibrator
from csi_predictor.zone_logits import zone_probabilities

METHODS = ("temperature", "vector", "isotonic")
KINDS = ("classes", "labels", "grades")


def questions(probs: np.ndarray, targets: np.ndarray, *, is_ordered: bool = False) -> Questions:
    num_images, num_questions, num_answers = probs.shape
    return Questions(
        names=tuple(f"question {q}" for q in range(num_questions)),
        answers=tuple(f"answer {c}" for c in range(num_answers)),
        is_ordered=is_ordered,
        patient_ids=tuple(map(str, range(num_images))),
        probs=probs,
        targets=targets,
        given=probs.argmax(axis=-1),
    )


def drawn(probs: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One answer a question, as likely as its probability."""
    chosen = rng.random(probs.shape[:-1])[..., None] > probs.cumsum(axis=-1)[..., :-1]
    return chosen.sum(axis=-1).astype(np.float64)


def network(kind: str, num_images: int, *, times: float, seed: int = 0) -> Questions:
    """Truth drawn from honest logits, answers of a network whose logits are `times` as large."""
    rng = np.random.default_rng(seed)
    if kind == "classes":
        logits = 1.5 * rng.normal(size=(num_images, 1, 5))
        return questions(softmax(times * logits, axis=-1), drawn(softmax(logits, axis=-1), rng))
    if kind == "labels":
        logits = 2 * rng.normal(size=(num_images, 3)) - 1
        p = expit(times * logits)
        targets = (rng.random(p.shape) < expit(logits)).astype(float)
        return questions(np.stack([1 - p, p], axis=-1), targets)
    scores = torch.from_numpy(2 * rng.normal(size=(num_images, 2, 1)))
    falling = scores - torch.tensor([-2.0, 0.0, 1.5])
    logits = torch.cat([falling, torch.zeros(num_images, 2, 1)], dim=-1)
    honest, made = (
        zone_probabilities(each, "ordinal").grades.double().numpy()
        for each in (logits, times * logits)
    )
    return questions(made, drawn(honest, rng), is_ordered=True)


def nll_of(asked: Questions, probs: np.ndarray) -> float:
    return float(mean_score(nll_sums(probs, asked.targets).sum(axis=(0, 1))))


@pytest.mark.parametrize("kind", KINDS)
def test_logits_times_3_have_the_temperature_3(kind) -> None:
    calibrator = fit_calibrator(network(kind, 60_000, times=3), method="temperature", scope="head")
    assert calibrator.parameters[0][0][0] == pytest.approx(3, abs=0.05)
    assert calibrator.num_fitted == 60_000 * len(calibrator.names)


def test_the_temperature_moves_also_where_torch_keeps_no_gradient__weakness_001_04() -> None:
    with torch.inference_mode():
        calibrator = fit_calibrator(
            network("classes", 60_000, times=3), method="temperature", scope="head"
        )
    assert calibrator.parameters[0][0][0] == pytest.approx(3, abs=0.05)


@pytest.mark.parametrize("kind", KINDS)
def test_too_cautious_logits_have_a_temperature_below_1(kind) -> None:
    asked = network(kind, 60_000, times=0.5)
    calibrator = fit_calibrator(asked, method="temperature", scope="head")
    assert calibrator.parameters[0][0][0] == pytest.approx(0.5, abs=0.02)


def test_each_question_has_its_own_temperature() -> None:
    one, other = (network("labels", 20_000, times=times) for times in (3, 0.8))
    probs = np.concatenate([one.probs[:, :1], other.probs[:, 1:]], axis=1)
    asked = replace(
        one, probs=probs, targets=np.stack([one.targets[:, 0], *other.targets.T[1:]], 1)
    )
    calibrator = fit_calibrator(asked, method="temperature", scope="question")
    found = [parameters[0][0] for parameters in calibrator.parameters]
    np.testing.assert_allclose(found, [3, 0.8, 0.8], rtol=0.05)
    assert calibrator.borrowed == ()


class Probabilities(ClassifierMixin, BaseEstimator):
    """A classifier whose features are its probabilities."""

    def fit(self, features, targets):
        self.classes_ = np.unique(targets)
        return self

    def predict_proba(self, features):
        return features

    def predict(self, features):
        return self.classes_[features.argmax(axis=1)]


def test_temperature_equals_scikit_learns() -> None:
    asked = network("classes", 1500, times=2)
    probs, targets = asked.probs[:, 0], asked.targets[:, 0]
    theirs = CalibratedClassifierCV(
        FrozenEstimator(Probabilities().fit(probs, targets)), method="temperature"
    ).fit(probs, targets)
    calibrator = fit_calibrator(asked, method="temperature", scope="head")
    ours = calibrator.apply(asked.probs)[:, 0]
    np.testing.assert_allclose(ours, theirs.predict_proba(probs), atol=1e-5)
    assert log_loss(targets, ours) == pytest.approx(log_loss(targets, theirs.predict_proba(probs)))


def test_temperature_of_grades_equals_an_independent_search() -> None:
    asked = network("grades", 800, times=2)
    above = asked.probs[..., ::-1].cumsum(axis=-1)[..., -2::-1]
    odds = np.log(above) - np.log1p(-above)

    def nll(value: float) -> float:
        falling = expit(odds / value)
        edges = np.concatenate([np.ones((800, 2, 1)), falling, np.zeros((800, 2, 1))], axis=-1)
        return nll_of(asked, -np.diff(edges, axis=-1))

    found = minimize_scalar(nll, bounds=(0.1, 10), method="bounded", options={"xatol": 1e-8})
    calibrator = fit_calibrator(asked, method="temperature", scope="head")
    assert calibrator.parameters[0][0][0] == pytest.approx(found.x, rel=1e-4)


def test_vector_scaling_of_two_answers_equals_logistic_regression() -> None:
    asked = network("labels", 2000, times=2)
    logits = np.log(asked.probs[..., 1] / asked.probs[..., 0]).reshape(-1, 1)
    theirs = LogisticRegression(C=np.inf, tol=1e-10).fit(logits, asked.targets.ravel())
    ((scale,), (offset,)) = fit_calibrator(asked, method="vector", scope="head").parameters[0]
    assert scale == pytest.approx(theirs.coef_[0, 0], rel=1e-4)
    assert offset == pytest.approx(theirs.intercept_[0], abs=1e-4)


def test_vector_scaling_takes_a_shift_of_one_class_away() -> None:
    asked = network("classes", 60_000, times=1)
    shifted = softmax(np.log(asked.probs) * 2 + [1, 0, 0, 0, 0], axis=-1)
    calibrator = fit_calibrator(replace(asked, probs=shifted), method="vector", scope="head")
    scales, offsets = (np.array(each) for each in calibrator.parameters[0])
    np.testing.assert_allclose(scales, 0.5, atol=0.03)
    np.testing.assert_allclose(offsets, [-0.4, 0.1, 0.1, 0.1, 0.1], atol=0.06)


def test_vector_scaling_of_grades_takes_a_shift_of_one_threshold_away() -> None:
    asked = network("grades", 30_000, times=2)
    above = asked.probs[..., ::-1].cumsum(axis=-1)[..., -2::-1]
    falling = expit(np.log(above) - np.log1p(-above) + [1.0, 0.0, 0.0])
    edges = np.concatenate([np.ones_like(above[..., :1]), falling, 0 * above[..., :1]], axis=-1)
    shifted = replace(asked, probs=-np.diff(edges, axis=-1))
    ((scale,), offsets) = fit_calibrator(shifted, method="vector", scope="head").parameters[0]
    assert scale == pytest.approx(0.5, abs=0.02)
    np.testing.assert_allclose(offsets, [-0.5, 0, 0], atol=0.05)


def test_isotonic_equals_scikit_learns_for_two_answers() -> None:
    asked = network("labels", 400, times=2)
    p, truth = asked.probs[..., 1].ravel(), asked.targets.ravel()
    theirs = IsotonicRegression(out_of_bounds="clip").fit(p, truth)
    new = np.random.default_rng(3).random((50, 3))
    ours = fit_calibrator(asked, method="isotonic", scope="head").apply(
        np.stack([1 - new, new], axis=-1)
    )
    expected = (len(p) * theirs.predict(new.ravel()) + 1) / (len(p) + 2)
    np.testing.assert_allclose(ours[..., 1].ravel(), expected)


def test_isotonic_equals_scikit_learns_for_classes_each_against_the_rest() -> None:
    asked = network("classes", 600, times=2)
    probs, targets = asked.probs[:, 0], asked.targets[:, 0]
    each = [
        IsotonicRegression(out_of_bounds="clip").fit(probs[:, c], targets == c).predict(probs[:, c])
        for c in range(5)
    ]
    seen = 600 * np.stack(each, axis=1) + 1
    ours = fit_calibrator(asked, method="isotonic", scope="head").apply(asked.probs)[:, 0]
    np.testing.assert_allclose(ours, seen / seen.sum(axis=1, keepdims=True))


def test_isotonic_equals_scikit_learns_for_each_threshold_of_grades() -> None:
    asked = network("grades", 500, times=2)
    above = asked.probs[..., ::-1].cumsum(axis=-1)[..., -2::-1]
    each = [
        IsotonicRegression(out_of_bounds="clip")
        .fit(above[..., k].ravel(), asked.targets.ravel() > k)
        .predict(above[..., k].ravel())
        for k in range(3)
    ]
    falling = np.minimum.accumulate(np.stack(each, axis=1), axis=1)
    edges = np.concatenate([np.ones((1000, 1)), falling, np.zeros((1000, 1))], axis=1)
    expected = (1000 * -np.diff(edges, axis=1) + 1) / 1004
    ours = fit_calibrator(asked, method="isotonic", scope="head").apply(asked.probs)
    np.testing.assert_allclose(ours.reshape(-1, 4), expected, atol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scope", ["head", "question"])
@pytest.mark.parametrize("times", [0.3, 1.0, 6.0])
def test_nll_never_rises_on_the_images_fitted(kind, scope, times) -> None:
    for seed in range(3):
        asked = network(kind, 120, times=times, seed=seed)
        before = nll_of(asked, asked.probs)
        for method in ("temperature", "vector"):
            calibrator = fit_calibrator(asked, method=method, scope=scope)
            assert nll_of(asked, calibrator.apply(asked.probs)) <= before + 1e-12


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", KINDS)
def test_every_method_gives_distributions_of_certain_answers_too(method, kind) -> None:
    asked = network(kind, 200, times=2)
    num_answers = asked.probs.shape[-1]
    certain = np.eye(num_answers)[asked.probs.argmax(axis=-1)]
    after = fit_calibrator(replace(asked, probs=certain), method=method, scope="head").apply(
        np.concatenate([certain, asked.probs])
    )
    assert np.isfinite(after).all()
    assert (after >= 0).all()
    np.testing.assert_allclose(after.sum(axis=-1), 1)
    assert after[: len(certain)].max() < 1


def test_unknown_answers_teach_nothing() -> None:
    asked = network("labels", 300, times=2)
    targets = asked.targets.copy()
    targets[::3] = np.nan
    known = asked.take(np.flatnonzero(np.arange(300) % 3))
    for method in METHODS:
        one = fit_calibrator(replace(asked, targets=targets), method=method, scope="head")
        assert one == fit_calibrator(known, method=method, scope="head")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("scope", ["head", "question"])
def test_answers_of_one_kind_or_none_teach_nothing_at_all(method, scope) -> None:
    asked = network("labels", 40, times=2)
    few = "2 kinds of answer, found 1 among 120 known answers"
    for value, found in ((1.0, few), (np.nan, f"{MIN_KNOWN} known answers, found 0")):
        same = replace(asked, targets=np.full((40, 3), value))
        calibrator = fit_calibrator(same, method=method, scope=scope)
        assert calibrator.method == "none"
        np.testing.assert_array_equal(calibrator.apply(asked.probs), asked.probs)
        assert calibrator.describe() == (
            f"none: probabilities as the networks give them ({method} asks for {found})"
        )


def test_no_image_teaches_nothing() -> None:
    nobody = network("grades", 10, times=2).take(np.zeros(0, dtype=np.int64))
    assert fit_calibrator(nobody, method="temperature", scope="question").method == "none"


def test_vector_and_isotonic_ask_for_every_answer_temperature_for_two() -> None:
    asked = network("grades", 100, times=2)
    without_3 = replace(asked, targets=np.minimum(asked.targets, 2))
    methods = {m: fit_calibrator(without_3, method=m, scope="head").method for m in METHODS}
    assert methods == {"temperature": "temperature", "vector": "none", "isotonic": "none"}


@pytest.mark.parametrize("method", METHODS)
def test_a_question_with_too_few_known_answers_borrows_those_of_all(method) -> None:
    asked = network("labels", 200, times=2)
    targets = asked.targets.copy()
    targets[MIN_KNOWN - 1 :, 1] = np.nan
    targets[:, 2] = 0
    few = replace(asked, targets=targets)
    calibrator = fit_calibrator(few, method=method, scope="question")
    of_all = fit_calibrator(few, method=method, scope="head")
    assert calibrator.borrowed == ("question 1", "question 2")
    assert calibrator.parameters[1:] == of_all.parameters * 2
    assert calibrator.parameters[0] != of_all.parameters[0]
    assert calibrator.describe().endswith("all questions together: question 1, question 2")


@pytest.mark.parametrize(("is_right", "bound"), [(True, 0.2), (False, 20.0)])
def test_a_temperature_ends_at_its_bounds(is_right, bound) -> None:
    p = np.tile([0.4, 0.6], 20)
    targets = (p > 0.5) == is_right
    asked = questions(np.stack([1 - p, p], axis=-1)[:, None], targets[:, None].astype(float))
    calibrator = fit_calibrator(asked, method="temperature", scope="head")
    assert calibrator.parameters[0][0][0] == pytest.approx(bound)


def test_none_fits_nothing() -> None:
    calibrator = fit_calibrator(network("labels", 50, times=2), method="none", scope="question")
    assert calibrator.describe() == "none: probabilities as the networks give them"
    assert calibrator.parameters == ()
