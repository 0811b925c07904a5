import json
import math

import numpy as np
import pytest

from csi_predictor.inference.questions import Questions, two_answers
from csi_predictor.specs import ZONES
from csi_predictor.uncertainty.triage import (
    Policy,
    TriageSettings,
    check_unsure,
    critical_answers,
    critical_probs,
    critical_truths,
)


def questions_like(names, answers, probs, targets) -> Questions:
    probs = np.asarray(probs, dtype=float)
    return Questions(
        names=tuple(names),
        answers=tuple(answers),
        is_ordered=answers[0] == "0",
        patient_ids=tuple(f"SECRET{index}" for index in range(len(probs))),
        probs=probs,
        targets=np.asarray(targets, dtype=float),
        given=probs.argmax(axis=-1),
    )


@pytest.fixture
def zones() -> Questions:
    probs = np.full((2, 6, 4), 0.25)
    probs[1, 3] = [0.05, 0.05, 0.2, 0.7]
    targets = np.array([[0, 1, 2, 3, 3, np.nan], [0, 0, 0, 0, 0, 0]])
    return questions_like(ZONES, "0123", probs, targets)


@pytest.fixture
def labels() -> Questions:
    probs = two_answers(np.array([[0.2, 0.9], [0.6, 0.1]]))
    targets = [[1, np.nan], [0, 1]]
    return questions_like(("Effusion", "Mass"), ("absent", "present"), probs, targets)


@pytest.fixture
def classes() -> Questions:
    probs = np.array([[[0.7, 0.2, 0.1]], [[0.1, 0.3, 0.6]]])
    return questions_like(("class",), ("normal", "edema", "mass"), probs, [[1], [2]])


def test_a_critical_grade_is_one_of_every_zone(zones) -> None:
    assert critical_answers(zones, ("3",)).tolist() == [[False, False, False, True]] * 6
    assert critical_probs(zones, ("3",)).tolist() == pytest.approx([0.25, 0.7])
    assert critical_truths(zones, ("2", "3")).tolist() == [
        [False, False, True, True, True, False],
        [False] * 6,
    ]


def test_a_critical_label_is_its_presence(labels) -> None:
    assert critical_answers(labels, ("Mass",)).tolist() == [[False, False], [False, True]]
    assert critical_probs(labels, ("Mass",)).tolist() == pytest.approx([0.9, 0.1])
    assert critical_truths(labels, ("Mass", "Effusion")).tolist() == [[True, False], [False, True]]


def test_a_critical_class_is_an_answer(classes) -> None:
    assert critical_answers(classes, ("mass", "edema")).tolist() == [[False, True, True]]
    assert critical_probs(classes, ("mass", "edema")).tolist() == pytest.approx([0.2, 0.6])
    assert critical_truths(classes, ("mass",)).tolist() == [[False], [True]]


def test_nothing_is_critical_unless_it_is_named(labels) -> None:
    assert not critical_answers(labels, ()).any()
    assert critical_probs(labels, ()).tolist() == [0, 0]
    assert not critical_truths(labels, ()).any()


@pytest.mark.parametrize(
    ("kind", "known"),
    [("zones", "0, 1, 2, 3"), ("labels", "Effusion, Mass"), ("classes", "normal, edema, mass")],
)
def test_an_unknown_critical_answer_is_refused_with_the_known_ones(request, kind, known) -> None:
    with pytest.raises(
        ValueError, match=rf"critical answers: hernia unknown, expected some of {known}$"
    ):
        critical_answers(request.getfixturevalue(kind), ("hernia",))


def test_an_image_above_the_threshold_is_deferred_and_one_at_it_is_not(labels) -> None:
    policy = Policy(name="threshold", threshold=0.5)
    assert policy.defers(labels, np.array([0.5, 0.500001])).tolist() == [False, True]


def test_infinite_thresholds_defer_none_and_all(labels) -> None:
    unsure = np.array([0.0, 1e300])
    assert not Policy(name="budget", threshold=math.inf).defers(labels, unsure).any()
    assert Policy(name="budget", threshold=-math.inf).defers(labels, unsure).all()


def test_a_probable_critical_answer_is_deferred_however_sure_the_image(labels) -> None:
    policy = Policy(
        name="class_critical", threshold=0.5, critical=("Mass",), critical_threshold=0.3
    )
    assert policy.defers(labels, np.array([0.1, 0.2])).tolist() == [True, False]
    assert policy.defers(labels, np.array([0.1, 0.9])).tolist() == [True, True]


def test_a_policy_that_was_skipped_is_not_applied(labels) -> None:
    policy = Policy(name="class_critical", skipped="no critical answers are named")
    message = "policy class_critical can't be applied, it was skipped: no critical answers"
    with pytest.raises(ValueError, match=message):
        policy.defers(labels, np.zeros(2))


def test_uncertainty_is_one_finite_number_an_image(labels) -> None:
    with pytest.raises(ValueError, match=r"unsure has shape \(2, 2\): expected \(2,\)"):
        check_unsure(labels, np.zeros((2, 2)))
    with pytest.raises(ValueError, match="unsure holds a value that is no finite number"):
        Policy(name="cost").defers(labels, np.array([0.1, np.nan]))


@pytest.mark.parametrize(
    "policy",
    [
        Policy(
            name="class_critical",
            threshold=0.1 + 0.2,
            critical=("Mass", "Effusion"),
            critical_threshold=1 / 3,
            chosen={"n_images": 7, "kept_accuracy": 0.1, "critical_misses": 0},
        ),
        Policy(name="threshold", threshold=-math.inf, chosen={"kept_accuracy": None}),
        Policy(name="budget"),
        Policy(name="cost", skipped="there is no validation image to choose it on"),
    ],
    ids=lambda policy: policy.name,
)
def test_a_policy_is_read_back_exactly_from_strict_json(policy) -> None:
    text = json.dumps(policy.to_dict(), allow_nan=False)
    assert Policy.from_dict(json.loads(text)) == policy


def test_a_threshold_without_a_number_is_a_word() -> None:
    assert Policy(name="budget").to_dict()["threshold"] == "inf"
    assert Policy(name="budget", threshold=-math.inf).to_dict()["threshold"] == "-inf"


def test_the_readers_accuracy_is_one_for_all_or_one_an_answer(labels) -> None:
    one, each = (TriageSettings(reader_accuracy=accuracy) for accuracy in ((0.9,), (0.97, 0.85)))
    assert one.reader_by_answer(labels).tolist() == [0.9, 0.9]
    assert each.reader_by_answer(labels).tolist() == [0.97, 0.85]


@pytest.mark.parametrize("accuracy", [(), (0.9, 0.8, 0.7)])
def test_other_numbers_of_accuracies_are_refused(labels, accuracy) -> None:
    message = (
        rf"reader_accuracy has {len(accuracy)} values: expected 1, or 2, one an answer "
        r"\(absent, present\)"
    )
    with pytest.raises(ValueError, match=message):
        TriageSettings(reader_accuracy=accuracy).reader_by_answer(labels)


@pytest.mark.parametrize("accuracy", [1.2, -0.1, math.nan])
def test_an_accuracy_is_a_share(labels, accuracy) -> None:
    with pytest.raises(ValueError, match="expected shares, 0 to 1"):
        TriageSettings(reader_accuracy=(accuracy,)).reader_by_answer(labels)
