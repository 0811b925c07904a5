"""Prediction sets, against MAPIE, against growing intervals one by one, and by simulation."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from mapie.classification import SplitConformalClassifier
from sklearn.base import BaseEstimator, ClassifierMixin

from csi_predictor.inference.questions import Questions
from csi_predictor.uncertainty.conformal import Conformal, fit_conformal, strangeness


def asked(probs, targets, *, is_ordered: bool = False, patient_ids=None) -> Questions:
    """(N, Q, C) and (N, Q); the likeliest answer is given."""
    probs, targets = np.asarray(probs, dtype=float), np.asarray(targets, dtype=float)
    return Questions(
        names=tuple(f"question {q}" for q in range(probs.shape[1])),
        answers=tuple(f"answer {c}" for c in range(probs.shape[2])),
        is_ordered=is_ordered,
        patient_ids=patient_ids or tuple(f"p{i}" for i in range(len(probs))),
        probs=probs,
        targets=targets,
        given=probs.argmax(axis=-1),
    )


def simulated(rng, num_images: int, num_answers: int, *, num_questions: int = 1) -> Questions:
    """Answers drawn from other probabilities than the model's, which is too sure."""
    true = rng.dirichlet(np.ones(num_answers), (num_images, num_questions))
    draws = rng.random((num_images, num_questions, 1))
    targets = (np.cumsum(true, axis=-1) < draws).sum(axis=-1)
    model = true**1.7 + 0.05
    probs = model / model.sum(axis=-1, keepdims=True)
    return asked(probs, targets, is_ordered=num_answers == 4)


def coverage_of(conformal: Conformal, questions: Questions) -> float:
    sets = conformal.sets(questions.probs)
    rows, columns = np.nonzero(questions.is_known)
    return float(sets[rows, columns, questions.targets[rows, columns].astype(int)].mean())


class Table(ClassifierMixin, BaseEstimator):
    """A fitted classifier for MAPIE, whose probabilities are its input."""

    def __init__(self, num_answers: int) -> None:
        self.num_answers = num_answers
        self.classes_ = np.arange(num_answers)

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def predict_proba(self, values):
        return values

    def predict(self, values):
        return values.argmax(axis=1)


@pytest.mark.parametrize("num_answers", [2, 3, 7])
@pytest.mark.parametrize("coverage", [0.6, 0.8, 0.9])
def test_sets_without_an_order_are_mapies(num_answers: int, coverage: float) -> None:
    """Where MAPIE's are empty ours hold the likeliest answer."""
    rng = np.random.default_rng(num_answers)
    true = rng.integers(0, num_answers, 400)
    probs = rng.dirichlet(np.ones(num_answers), 400) + 0.3 * np.eye(num_answers)[true]
    probs /= probs.sum(axis=1, keepdims=True)
    fitted, unseen = probs[:153], probs[153:]
    mapie = SplitConformalClassifier(Table(num_answers), confidence_level=coverage)
    mapie.conformalize(fitted, true[:153])
    expected = mapie.predict_set(unseen)[1][:, :, 0]
    conformal = fit_conformal(asked(fitted[:, None], true[:153, None]), coverage=coverage)
    found = conformal.sets(unseen[:, None])[:, 0]
    is_empty = ~expected.any(axis=1)
    np.testing.assert_array_equal(found[~is_empty], expected[~is_empty])
    np.testing.assert_array_equal(found[is_empty], np.eye(num_answers)[unseen.argmax(1)][is_empty])
    assert is_empty.any() or (num_answers, coverage) != (2, 0.6)


def test_the_threshold_is_the_ordered_score_of_the_finite_sample() -> None:
    """Of 9 patients and 80 %: the ceil(10 * 0.8) = 8th lowest of 1 - p."""
    right = np.array([0.95, 0.9, 0.85, 0.8, 0.7, 0.6, 0.55, 0.4, 0.1])
    probs = np.stack([1 - right, right], axis=-1)[:, None]
    conformal = fit_conformal(asked(probs, np.ones((9, 1))), coverage=0.8)
    assert conformal.threshold == 1 - 0.4
    assert (conformal.num_calibration, conformal.num_patients) == (9, 9)


def test_an_interval_grows_from_the_likeliest_grade_by_hand() -> None:
    probs = np.array([[0.1, 0.5, 0.3, 0.1], [0.4, 0.05, 0.2, 0.35], [0.25, 0.25, 0.25, 0.25]])
    expected = [
        [0.9, 0.0, 0.5, 0.8],  # 1, then 2, then of equal ends the higher grade 3, then 0
        [0.0, 0.4, 0.45, 0.65],  # 0, and from an end only upwards
        [0.0, 0.25, 0.5, 0.75],
    ]
    np.testing.assert_allclose(strangeness(probs, is_ordered=True), expected, atol=1e-12)


def test_intervals_are_those_grown_one_by_one() -> None:
    """Lu et al. 2022: grow from the mode by the likelier neighbour until the mass is reached."""
    rng = np.random.default_rng(0)
    probs = rng.dirichlet(np.ones(5) * 0.6, (300, 1))
    for threshold in (0.0, 0.35, 0.8, 0.999):
        made = Conformal(
            coverage=0.9,
            is_ordered=True,
            threshold=threshold,
            num_calibration=1,
            num_patients=1,
        ).sets(probs)
        for row, found in zip(probs[:, 0], made[:, 0], strict=True):
            low = high = int(row.argmax())
            while row[low : high + 1].sum() <= threshold and high - low < 4:
                below = row[low - 1] if low > 0 else -1
                above = row[high + 1] if high < 4 else -1
                low, high = (low - 1, high) if below > above else (low, high + 1)
            assert np.flatnonzero(found).tolist() == list(range(low, high + 1))


@pytest.mark.parametrize("coverage", [0.9, 0.8])
@pytest.mark.parametrize("num_answers", [2, 3, 4])  # binary, classes, ordered grades
def test_coverage_on_exchangeable_data_is_that_asked_for(num_answers: int, coverage: float) -> None:
    """Within 3.5 standard errors of 3,000 validation and 6,000 unseen answers."""
    rng = np.random.default_rng(17)
    conformal = fit_conformal(simulated(rng, 3000, num_answers), coverage=coverage)
    found = coverage_of(conformal, simulated(rng, 6000, num_answers))
    error = math.sqrt(coverage * (1 - coverage) * (1 / 3000 + 1 / 6000))
    assert found == pytest.approx(coverage, abs=3.5 * error)


@pytest.mark.parametrize("num_answers", [3, 4])
def test_coverage_holds_on_average_with_few_validation_patients(num_answers: int) -> None:
    """Of 19 patients the 18th lowest score covers 18/20; the plain 90 % quantile would not."""
    rng = np.random.default_rng(3)
    found = [
        coverage_of(
            fit_conformal(simulated(rng, 19, num_answers), coverage=0.9),
            simulated(rng, 20, num_answers),
        )
        for _ in range(600)
    ]
    assert np.mean(found) == pytest.approx(0.9, abs=3.5 * np.std(found) / math.sqrt(600))


def test_dependent_zones_of_a_patient_do_not_count_as_independent() -> None:
    """Six zones that are copies of each other tell no more than one.

    Of 12 patients the 12th is needed for 90 % (11/13 would be covered by the 11th): 72 zones taken
    for independent would stop at the ceil(73 * 0.9) = 66th, which is of the 11th.
    """
    rng = np.random.default_rng(5)
    one = simulated(rng, 12, 4)
    copies = asked(one.probs.repeat(6, axis=1), one.targets.repeat(6, axis=1), is_ordered=True)
    conformal = fit_conformal(copies, coverage=0.9)
    assert conformal.threshold == fit_conformal(one, coverage=0.9).threshold
    scores = strangeness(one.probs, is_ordered=True)[
        np.arange(12), 0, one.targets[:, 0].astype(int)
    ]
    assert conformal.threshold == scores.max()
    assert (conformal.num_calibration, conformal.num_patients) == (72, 12)


def test_a_patient_with_many_images_weighs_as_much_as_one_with_one() -> None:
    """By hand: nine patients with score 0.1 and one with ninety images of score 0.9."""
    scores = np.array([0.1] * 9 + [0.9] * 90)
    probs = np.stack([scores, 1 - scores], axis=-1)[:, None]
    ids = tuple([f"p{i}" for i in range(9)] + ["many"] * 90)
    questions = asked(probs, np.ones((99, 1)), patient_ids=ids)
    # 11 * 0.8 = 8.8 patients are reached by the nine; 11 * 0.85 = 9.35 needs the tenth
    assert fit_conformal(questions, coverage=0.8).threshold == pytest.approx(0.1)
    assert fit_conformal(questions, coverage=0.85).threshold == pytest.approx(0.9)


def test_unknown_answers_count_nowhere() -> None:
    rng = np.random.default_rng(8)
    questions = simulated(rng, 40, 3, num_questions=2)
    targets = questions.targets.copy()
    targets[:, 1] = np.nan
    targets[30:] = np.nan
    known = asked(questions.probs[:30, :1], questions.targets[:30, :1])
    found = fit_conformal(replace(questions, targets=targets), coverage=0.8)
    assert found == fit_conformal(known, coverage=0.8)


@pytest.mark.parametrize("num_patients", [0, 1, 8])
def test_with_too_few_patients_every_set_holds_all_answers(num_patients: int) -> None:
    """9 patients are the fewest for 90 %: 9 / (9 + 1)."""
    rng = np.random.default_rng(2)
    conformal = fit_conformal(simulated(rng, num_patients, 4), coverage=0.9)
    assert conformal.has_too_few
    assert conformal.fewest_patients == 9
    assert conformal.sets(simulated(rng, 5, 4).probs).all()
    assert not fit_conformal(simulated(rng, 9, 4), coverage=0.9).has_too_few


def test_no_set_is_empty_and_no_interval_has_a_gap() -> None:
    rng = np.random.default_rng(6)
    for num_answers in (2, 4, 6):
        questions = simulated(rng, 200, num_answers, num_questions=3)
        is_ordered = num_answers == 4
        for threshold in (-1.0, 0.0, 0.3, 0.7):
            conformal = Conformal(
                coverage=0.9,
                is_ordered=is_ordered,
                threshold=threshold,
                num_calibration=1,
                num_patients=1,
            )
            sets = conformal.sets(questions.probs)
            assert sets.any(axis=-1).all()
            if is_ordered:
                assert (np.abs(np.diff(sets.astype(int), axis=-1)).sum(axis=-1) <= 2).all()
                edges = sets[..., 0].astype(int) + sets[..., -1]
                assert (np.abs(np.diff(sets.astype(int), axis=-1)).sum(axis=-1) + edges <= 2).all()


def test_the_answer_given_belongs_to_its_set_and_intervals_stay_whole() -> None:
    conformal = Conformal(
        coverage=0.9, is_ordered=True, threshold=0.0, num_calibration=1, num_patients=1
    )
    probs = np.array([[[0.45, 0.1, 0.05, 0.4]]])
    assert conformal.sets(probs).tolist() == [[[True, False, False, False]]]
    assert conformal.sets(probs, np.array([[2]])).tolist() == [[[True, True, True, False]]]
    unordered = replace(conformal, is_ordered=False)
    assert unordered.sets(probs, np.array([[2]])).tolist() == [[[False, False, True, False]]]


def test_probabilities_of_exactly_0_and_1_are_handled() -> None:
    sure = np.eye(4)[np.arange(20) % 4][:, None]
    conformal = fit_conformal(
        asked(sure, np.arange(20)[:, None] % 4, is_ordered=True), coverage=0.9
    )
    assert conformal.threshold == 0
    np.testing.assert_array_equal(conformal.sets(sure), sure.astype(bool))


@pytest.mark.parametrize("num_images", [40, 5])
def test_a_conformal_returns_from_json_to_the_bit(num_images: int) -> None:
    rng = np.random.default_rng(1)
    conformal = fit_conformal(simulated(rng, num_images, 3), coverage=0.9)
    text = json.dumps(conformal.to_dict(), allow_nan=False)
    assert Conformal.from_dict(json.loads(text)) == conformal


@pytest.mark.parametrize("coverage", [0.0, 1.0, -1, float("nan")])
def test_a_coverage_outside_0_to_1_is_refused(coverage: float) -> None:
    questions = simulated(np.random.default_rng(1), 5, 3)
    with pytest.raises(ValueError, match=r"prediction sets: coverage = .*: expected between 0 and"):
        fit_conformal(questions, coverage=coverage)


def test_damaged_values_are_refused() -> None:
    values = fit_conformal(simulated(np.random.default_rng(1), 50, 3), coverage=0.9).to_dict()
    with pytest.raises(ValueError, match="threshold = NaN: expected a number, or None"):
        Conformal.from_dict(values | {"threshold": float("nan")})
    with pytest.raises(ValueError, match="coverage = 2: expected between 0 and 1"):
        Conformal.from_dict(values | {"coverage": 2})
    values.pop("num_patients")
    with pytest.raises(KeyError, match="num_patients"):
        Conformal.from_dict(values)
