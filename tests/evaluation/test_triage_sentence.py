import math

import pytest

from csi_predictor.evaluation.triage_sentence import policy_sentence
from csi_predictor.uncertainty.triage import Policy, TriageSettings

BLOCK = {
    "n_images": 1200,
    "n_deferred": 300,
    "kept_accuracy": 0.9856,
    "system_accuracy": 0.9728,
    "critical": None,
}


def sentence(name: str = "threshold", threshold: float = 0.5, aim: float = 0.95, **block) -> str:
    policy = Policy(name=name, threshold=threshold, chosen={"target_accuracy": aim})
    return policy_sentence(policy, BLOCK | block, TriageSettings(target_accuracy=0.5))


def test_what_is_kept_and_what_is_right_is_told() -> None:
    assert sentence() == (
        "The model answers 900 of 1,200 images by itself and the reader gets 300: 98.6 % of the "
        "automatic answers are right (aimed at: 95.0 %), and 97.3 % of all answers are expected "
        "to be."
    )


def test_a_target_missed_on_new_images_is_told() -> None:
    text = sentence(kept_accuracy=0.93)
    assert "93.0 % of the automatic answers are right (short of the 95.0 % that the" in text
    assert "that the validation images promised)" in text


def test_a_policy_without_a_target_speaks_of_none() -> None:
    assert "automatic answers are right, and" in sentence("budget")


def test_what_the_policy_aimed_at_goes_before_the_settings_of_today() -> None:
    assert "(aimed at: 90.0 %)" in sentence(aim=0.9)
    old = Policy(name="threshold", threshold=0.5)
    assert "(aimed at: 50.0 %)" in policy_sentence(old, BLOCK, TriageSettings(target_accuracy=0.5))


def test_images_that_all_lie_above_a_finite_threshold_are_told__weakness_001_09() -> None:
    assert sentence(n_deferred=1200, kept_accuracy=None) == (
        "This policy gives every image to the reader: each is less sure than its threshold, above "
        "which – of the validation images lay."
    )


def test_nearly_everything_deferred_is_told__weakness_001_09() -> None:
    text = sentence(n_deferred=1190)
    assert text.startswith("The model answers only 10 of 1,200 images by itself")


def test_nothing_deferred_by_a_finite_threshold_has_its_figures() -> None:
    text = sentence(n_deferred=0)
    assert text.startswith("The model answers 1,200 of 1,200 images by itself and the reader gets")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("threshold", "no part of the validation images that could be kept reached 95.0 % right"),
        ("budget", "the budget allows it"),
        ("cost", "every review was worth its price"),
        ("class_critical", "without missing a critical one"),
    ],
)
def test_deferring_everything_has_its_reason__weakness_001_09(name: str, reason: str) -> None:
    text = sentence(name, threshold=-math.inf, n_deferred=1200, kept_accuracy=None)
    assert text.startswith("This policy gives every image to the reader: ")
    assert reason in text


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("threshold", "95.0 % right answers were reached without a review"),
        ("budget", "the budget allows no review"),
        ("cost", "no review was worth its price"),
        ("class_critical", "no critical one was missed"),
    ],
)
def test_deferring_nothing_has_its_reason(name: str, reason: str) -> None:
    text = sentence(name, threshold=math.inf, n_deferred=0)
    assert text.startswith("This policy gives no image to the reader: ")
    assert reason in text


def test_critical_answers_that_nobody_sees_are_counted() -> None:
    critical = {"misses_automatic": 2, "n_truths": 1048}
    text = sentence("class_critical", critical=critical)
    assert text.endswith("Critical answers missed without a reader seeing them: 2 of 1,048.")
    assert "Critical" not in sentence("threshold", critical=critical)


@pytest.mark.parametrize("name", ["threshold", "class_critical"])
def test_an_undefined_share_is_a_dash(name: str) -> None:
    text = sentence(name, kept_accuracy=None, system_accuracy=None)
    assert "– of the automatic answers are right, and –" in text


def test_a_skipped_policy_has_its_reason_and_no_image_none() -> None:
    skipped = Policy(name="cost", skipped="no answer of the validation images is known")
    assert policy_sentence(skipped, {}, TriageSettings()) == (
        "This policy was not chosen: no answer of the validation images is known."
    )
    assert sentence(n_images=0, n_deferred=0) == "There is no image to decide on."
