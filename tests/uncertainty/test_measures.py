"""Measures of uncertainty, against scipy and by hand."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from csi_predictor.errors import ConfigError
from csi_predictor.inference.questions import Questions
from csi_predictor.inference.spread import spread_of
from csi_predictor.uncertainty.measures import available_measures, image_uncertainty, measure

PASSES = np.random.default_rng(4).dirichlet([1.0, 1.0, 2.0], (4, 5, 2))  # (M, N, Q, C)
PROBS = PASSES.mean(axis=0)
QUESTIONS = Questions(
    names=("a", "b"),
    answers=("x", "y", "z"),
    is_ordered=False,
    patient_ids=tuple("12345"),
    probs=PROBS,
    targets=np.full((5, 2), np.nan),
    given=np.array([[0, 1], [1, 2], [2, 0], [0, 0], [1, 1]]),
)


def test_confidence_is_of_the_answer_given_and_not_of_the_likeliest() -> None:
    found = measure(QUESTIONS, None, "confidence")
    assert found[1, 1] == pytest.approx(1 - PROBS[1, 1, 2])
    assert found[2, 1] == pytest.approx(1 - PROBS[2, 1, 0])


def test_entropy_is_scipys() -> None:
    found = measure(QUESTIONS, None, "entropy")
    np.testing.assert_allclose(found, stats.entropy(PROBS, axis=-1))


def test_epistemic_and_variance_are_the_spreads() -> None:
    spread = spread_of(PASSES)
    np.testing.assert_array_equal(measure(QUESTIONS, spread, "epistemic"), spread.epistemic)
    np.testing.assert_array_equal(measure(QUESTIONS, spread, "variance"), spread.variance)


def test_a_probability_of_exactly_1_is_sure_by_every_measure() -> None:
    sure = np.zeros((5, 2, 3))
    np.put_along_axis(sure, QUESTIONS.given[..., None], 1.0, axis=-1)
    questions = replace(QUESTIONS, probs=sure)
    for name in ("confidence", "entropy"):
        np.testing.assert_array_equal(measure(questions, None, name), 0)


@pytest.mark.parametrize("spread", [None, spread_of(PASSES[:1])])
def test_one_pass_has_no_disagreement_to_measure(spread) -> None:
    assert available_measures(spread) == ("confidence", "entropy")
    expected = (
        r"\[EVALUATION\] TRIAGE_MEASURE = epistemic: it compares passes, found 1: expected at "
        r"least 2: set UNCERTAINTY = mc_dropout or give several bundles"
    )
    with pytest.raises(ConfigError, match=expected):
        measure(QUESTIONS, spread, "epistemic")


def test_several_passes_have_every_measure() -> None:
    names = ("confidence", "entropy", "epistemic", "variance")
    assert available_measures(spread_of(PASSES[:2])) == names


def test_an_image_is_as_unsure_as_its_questions_on_average() -> None:
    """Also where no truth is known, as in scoring."""
    each = np.array([[0.2, 0.4], [0.0, 1.0]])
    np.testing.assert_allclose(image_uncertainty(each), [0.3, 0.5])


def test_an_unknown_measure_is_refused() -> None:
    expected = "measure margin: expected one of confidence, entropy, epistemic, variance"
    with pytest.raises(ValueError, match=expected):
        measure(QUESTIONS, None, "margin")


def test_a_spread_of_other_questions_is_refused() -> None:
    spread = spread_of(PASSES[:, :3])
    with pytest.raises(ValueError, match=r"spread of shape \(3, 2\): expected .* \(5, 2\)"):
        measure(QUESTIONS, spread, "variance")
