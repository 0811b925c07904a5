import json

import numpy as np
import pytest
from scipy.special import expit, softmax
from sklearn.metrics import roc_auc_score

from csi_predictor.uncertainty.calibrators import Calibrator

LABELS = ("absent", "present")
GRADES = ("0", "1", "2", "3")
TEMPERATURES = (0.05, 0.4, 0.8, 1.0, 1.3, 3.0, 20.0)


def temperature(value: float, *, names=("a",), answers=LABELS, is_ordered=False) -> Calibrator:
    return Calibrator(
        method="temperature",
        is_ordered=is_ordered,
        names=names,
        answers=answers,
        parameters=(((value,),),),
        num_fitted=100,
    )


def pairs(p: np.ndarray) -> np.ndarray:
    """(N,) -> (N, 1, 2)."""
    return np.stack([1 - p, p], axis=-1)[:, None]


def medians(probs: np.ndarray) -> np.ndarray:
    """The first grade up to which half of the probability lies."""
    return (probs.cumsum(axis=-1) >= 0.5).argmax(axis=-1)


@pytest.mark.parametrize("value", TEMPERATURES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_temperature_leaves_ranking_and_auroc_to_the_bit(value, dtype) -> None:
    rng = np.random.default_rng(2)
    logits = 3 * rng.normal(size=3000)
    p = expit(logits.astype(dtype)).astype(np.float64)
    p = np.concatenate([p, np.round(p[:500], 2), [0, 0, 1, 1, 0.5, 0.5]])
    truth = rng.random(len(p)) < 0.2 + 0.6 * p
    before = pairs(p)
    after = temperature(value).apply(before)
    for answer in (0, 1):
        is_it = truth == (answer == 1)
        one, other = before[:, 0, answer], after[:, 0, answer]
        assert roc_auc_score(is_it, one) == roc_auc_score(is_it, other)
        ranks = [np.unique(each, return_inverse=True)[1] for each in (one, other)]
        np.testing.assert_array_equal(*ranks)
    np.testing.assert_array_equal(before.argmax(axis=-1), after.argmax(axis=-1))


def test_each_labels_auroc_is_the_same_to_the_bit_where_each_has_its_temperature() -> None:
    rng = np.random.default_rng(4)
    p = expit(rng.normal(size=(2000, 3)) * 4)
    truth = rng.random(p.shape) < p
    calibrator = Calibrator(
        method="temperature",
        scope="question",
        names=("a", "b", "c"),
        answers=LABELS,
        parameters=(((0.6,),), ((1.7,),), ((4.0,),)),
    )
    after = calibrator.apply(np.stack([1 - p, p], axis=-1))[..., 1]
    for k in range(3):
        assert roc_auc_score(truth[:, k], p[:, k]) == roc_auc_score(truth[:, k], after[:, k])
        alone = temperature(calibrator.parameters[k][0][0]).apply(pairs(p[:, k]))
        np.testing.assert_array_equal(alone[:, 0, 1], after[:, k])


@pytest.mark.parametrize("value", TEMPERATURES)
def test_a_temperature_moves_no_likeliest_answer_ties_included(value) -> None:
    rng = np.random.default_rng(5)
    probs = softmax(4 * rng.normal(size=(500, 1, 5)), axis=-1)
    near = np.full((1, 1, 5), 0.2)
    near[..., 3] = np.nextafter(0.2, 1)
    ties = np.array([[0.4, 0.1, 0.4, 0.1, 0], [0.2] * 5, [0, 0, 0.5, 0.5, 0], [0, 0, 0, 0, 1]])
    probs = np.concatenate([probs, near, ties[:, None]])
    after = temperature(value, answers=tuple("abcde")).apply(probs)
    np.testing.assert_array_equal(probs.argmax(axis=-1), after.argmax(axis=-1))
    np.testing.assert_allclose(after.sum(axis=-1), 1)
    tied = probs == probs.max(axis=-1, keepdims=True)
    np.testing.assert_array_equal(tied, after == after.max(axis=-1, keepdims=True))


@pytest.mark.parametrize("value", TEMPERATURES)
def test_a_temperature_moves_no_median_grade_ties_included(value) -> None:
    rng = np.random.default_rng(6)
    ties = [
        *([0.5, 0.5, 0, 0], [0.25] * 4, [0.5, 0, 0, 0.5], [0.25, 0.25, 0.375, 0.125]),
        *([0, 0.5, 0.5, 0], [0, 0, 0, 1], [1, 0, 0, 0], [0.125, 0.125, 0.25, 0.5]),
    ]
    probs = np.concatenate([rng.dirichlet(np.ones(4) / 2, (800, 6)).reshape(-1, 1, 4)])
    probs = np.concatenate([probs, np.array(ties, dtype=float)[:, None]])
    after = temperature(value, answers=GRADES, is_ordered=True).apply(probs)
    np.testing.assert_array_equal(medians(probs), medians(after))
    backwards = (np.flip(each, axis=-1) for each in (probs, after))
    np.testing.assert_array_equal(*(medians(each) for each in backwards))
    assert (after >= 0).all()
    np.testing.assert_array_equal(after.sum(axis=-1), 1)


def test_a_temperature_of_classes_is_the_softmax_of_divided_logits() -> None:
    logits = np.random.default_rng(7).normal(size=(50, 2, 4)) * 3
    after = temperature(1.7, names=("a", "b"), answers=GRADES).apply(softmax(logits, axis=-1))
    np.testing.assert_allclose(after, softmax(logits / 1.7, axis=-1))


def test_a_temperature_of_grades_divides_the_threshold_logits() -> None:
    # by hand: P(> 0), P(> 1), P(> 2) = 0.9, 0.5, 0.2 become odds ** (1 / 2): 3, 1, 0.5
    after = temperature(2.0, answers=GRADES, is_ordered=True).apply([[[0.1, 0.4, 0.3, 0.2]]])
    np.testing.assert_allclose(after[0, 0], [1 / 4, 3 / 4 - 1 / 2, 1 / 2 - 1 / 3, 1 / 3])


def test_a_temperature_of_one_changes_nothing() -> None:
    rng = np.random.default_rng(8)
    for answers, is_ordered in ((GRADES, True), (GRADES, False), (LABELS, False)):
        probs = rng.dirichlet(np.ones(len(answers)), (40, 1))
        after = temperature(1.0, answers=answers, is_ordered=is_ordered).apply(probs)
        np.testing.assert_allclose(after, probs, rtol=1e-12)


def test_certain_answers_are_drawn_in_alike_and_stay_the_most_certain__weakness_001_05() -> None:
    p = np.array([0.0, 1e-18, 0.3, 1 - 1e-16, 1.0])
    after = temperature(10.0).apply(pairs(p))[:, 0, 1]
    assert (np.diff(after) > 0).all()
    assert after[0] == pytest.approx(1 - after[-1])
    assert 0 < after[0] < 0.02


def test_vector_scaling_of_two_answers_is_platts() -> None:
    p = np.array([0.1, 0.5, 0.8])
    calibrator = Calibrator(
        method="vector", names=("a",), answers=LABELS, parameters=(((0.5,), (-1.0,)),)
    )
    expected = expit(0.5 * np.log(p / (1 - p)) - 1)
    np.testing.assert_allclose(calibrator.apply(pairs(p))[:, 0, 1], expected)


def test_vector_scaling_of_grades_falls_from_threshold_to_threshold() -> None:
    # offsets that would make P(> 1) larger than P(> 0): the running minimum leaves grade 1 nothing
    calibrator = Calibrator(
        method="vector",
        is_ordered=True,
        names=("a",),
        answers=GRADES,
        parameters=(((1.0,), (0.0, 5.0, 0.0)),),
    )
    after = calibrator.apply([[[0.4, 0.3, 0.2, 0.1]]])[0, 0]
    np.testing.assert_allclose(after, [0.4, 0, 0.5, 0.1], atol=1e-12)


def test_isotonic_curves_are_followed_and_one_of_each_kind_is_added() -> None:
    # by hand: 0.3 lies midway on the line from (0.2, 0) to (0.4, 1); n = 8 gives (8 / 2 + 1) / 10
    calibrator = Calibrator(
        method="isotonic",
        names=("a",),
        answers=LABELS,
        parameters=(((8.0,), (0.2, 0.4), (0.0, 1.0)),),
    )
    after = calibrator.apply(pairs(np.array([0.0, 0.3, 1.0])))
    np.testing.assert_allclose(after[:, 0, 1], [0.1, 0.5, 0.9])
    np.testing.assert_allclose(after.sum(axis=-1), 1)


def test_none_takes_any_questions_and_changes_nothing() -> None:
    probs = np.random.default_rng(9).dirichlet(np.ones(3), (4, 2)).astype(np.float32)
    after = Calibrator.identity().apply(probs)
    assert after.dtype == np.float64
    np.testing.assert_array_equal(after, probs)


def test_no_image_is_calibrated_to_no_image() -> None:
    for answers, is_ordered in ((GRADES, True), (GRADES, False), (LABELS, False)):
        calibrator = temperature(2.0, answers=answers, is_ordered=is_ordered)
        assert calibrator.apply(np.zeros((0, 1, len(answers)))).shape == (0, 1, len(answers))


@pytest.mark.parametrize(
    "calibrator",
    [
        Calibrator.identity(reason="because"),
        temperature(0.1 + 0.2),
        Calibrator(
            method="vector",
            scope="question",
            is_ordered=True,
            names=("a", "b"),
            answers=GRADES,
            parameters=(((1 / 3,), (0.1, 1e-300, -2.5)), ((1.0,), (0.0, 0.0, 0.0))),
            num_fitted=7,
            borrowed=("b",),
        ),
        Calibrator(
            method="isotonic",
            names=("a",),
            answers=LABELS,
            parameters=(((9.0,), (1 / 7, 1.0), (0.0, 2 / 3)),),
        ),
    ],
    ids=lambda each: each.method,
)
def test_a_calibrator_comes_back_from_json_as_it_was(calibrator) -> None:
    text = json.dumps(calibrator.to_dict(), allow_nan=False)
    assert Calibrator.from_dict(json.loads(text)) == calibrator


def test_a_calibrator_is_told_in_one_line() -> None:
    assert Calibrator.identity().describe() == "none: probabilities as the networks give them"
    assert Calibrator.identity(reason="too few").describe().endswith("(too few)")
    assert temperature(1.416).describe() == (
        "temperature 1.42 (the networks are too sure), one for the whole head"
    )
    assert "0.7 (the networks are too cautious)" in temperature(0.7).describe()
    assert temperature(1.01).describe() == "temperature 1.01, one for the whole head"
    each = Calibrator(
        method="temperature",
        scope="question",
        names=("Mass", "Hernia"),
        answers=LABELS,
        parameters=(((0.8,),), ((1.25,),)),
        borrowed=("Hernia",),
    )
    assert each.describe() == (
        "temperature 0.8 to 1.25, one for each question; too few known answers, so with that of "
        "all questions together: Hernia"
    )


def test_a_wrong_calibrator_is_refused() -> None:
    values = temperature(2.0).to_dict()
    with pytest.raises(ValueError, match="calibrator method = magic: expected one of none, temp"):
        Calibrator.from_dict(values | {"method": "magic"})
    with pytest.raises(ValueError, match="calibrator scope = zone: expected one of head, question"):
        Calibrator.from_dict(values | {"scope": "zone"})
    with pytest.raises(ValueError, match="holds 1 sets of parameters: expected 2 of method temper"):
        Calibrator.from_dict(values | {"scope": "question", "names": ["a", "b"]})
    with pytest.raises(ValueError, match="calibrator has the keys method: expected answers, borr"):
        Calibrator.from_dict({"method": "none"})


def test_probabilities_of_other_questions_are_refused() -> None:
    with pytest.raises(ValueError, match=r"probs has shape \(3, 2, 2\): expected \(N, 1, 2\)"):
        temperature(2.0).apply(np.full((3, 2, 2), 0.5))
