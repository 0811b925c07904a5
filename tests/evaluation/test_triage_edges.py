import json
import math
from dataclasses import replace

import numpy as np
import pytest

from csi_predictor.evaluation.triage import triage_block
from csi_predictor.inference.questions import Questions
from csi_predictor.metrics.bootstrap import resample_patients
from csi_predictor.uncertainty.triage import Policy, TriageSettings


def questions_of(num_images: int, answers=("absent", "present")) -> Questions:
    """Two questions; a tenth of the truths unknown, of one image both."""
    rng = np.random.default_rng(2)
    probs = rng.dirichlet(np.full(len(answers), 0.5), (num_images, 2))
    targets = rng.integers(0, len(answers), (num_images, 2)).astype(float)
    targets[:, 0][rng.random(num_images) < 0.1] = np.nan
    targets[5:6] = np.nan
    return Questions(
        names=("A", "B"),
        answers=tuple(answers),
        is_ordered=answers == "0123",
        patient_ids=tuple(f"SECRET{index // 2}" for index in range(num_images)),
        probs=probs,
        targets=targets,
        given=probs.argmax(axis=-1),
    )


def uncertainty(questions: Questions) -> np.ndarray:
    return 1 - questions.confidence.mean(axis=1)


def by_cut(threshold: float) -> Policy:
    return Policy(name="threshold", threshold=threshold)


def measured(
    questions: Questions, policies, *, unsure=None, rounds=0, second_reader=None, **settings
):
    return triage_block(
        questions,
        uncertainty(questions) if unsure is None else unsure,
        policies,
        settings=TriageSettings(**settings),
        resampling=resample_patients(questions.patient_ids, rounds=rounds, seed=0),
        second_reader=second_reader,
    )


def test_unknown_answers_change_no_figure_but_the_images() -> None:
    questions = questions_of(120)
    known = np.flatnonzero(questions.is_known.any(axis=1))
    unsure = uncertainty(questions)
    cut = by_cut(float(np.median(unsure)))
    whole = measured(questions, (cut,), unsure=unsure)["policies"]["threshold"]
    part = measured(questions.take(known), (cut,), unsure=unsure[known])["policies"]["threshold"]
    assert whole["n_images"] == part["n_images"] + 1
    for name in ("kept_accuracy", "system_accuracy", "wrong_answers", "confusion"):
        assert whole[name] == part[name]


@pytest.mark.parametrize(
    ("answers", "critical"), [("0123", "3"), (("absent", "present"), "B"), (("x", "y", "z"), "z")]
)
def test_images_of_which_nothing_is_known_have_no_accuracy(answers, critical) -> None:
    questions = questions_of(120, answers)
    unknown = replace(questions, targets=np.full(questions.targets.shape, np.nan))
    policies = (by_cut(0.2), Policy(name="cost", threshold=-math.inf))
    found = measured(
        unknown, policies, rounds=10, second_reader=unknown.targets, critical=(critical,)
    )
    policy = found["policies"]["threshold"]
    assert policy["system_accuracy"] is policy["kept_accuracy"] is None
    assert policy["critical"]["miss_rate"] is None
    assert 0 < policy["deferral_rate"] < 1
    assert found["reader"]["accuracy"] is None
    json.dumps(found, allow_nan=False)


def test_no_image_gives_a_block_without_figures() -> None:
    questions = questions_of(120).take(np.zeros(0, dtype=np.int64))
    found = measured(questions, (by_cut(0.5),), rounds=10)
    policy = found["policies"]["threshold"]
    assert found["n_images"] == 0
    assert found["sweep"]["points"] == []
    assert policy["deferral_rate"] is policy["system_accuracy"] is None
    assert policy["defers_everything"] is False
    assert policy["sentence"] == "There is no image to decide on."
    json.dumps(found, allow_nan=False)


def test_one_patient_has_no_interval() -> None:
    questions = replace(questions_of(8, "0123"), patient_ids=("SECRET",) * 8)
    policy = measured(questions, (by_cut(0.2),), rounds=100)["policies"]["threshold"]
    assert policy["system_accuracy"] is not None
    assert policy["system_accuracy_ci_low"] is policy["system_accuracy_ci_high"] is None


def test_confidence_of_exactly_one_and_a_single_class_are_measured() -> None:
    questions = replace(
        questions_of(6, ("normal", "edema", "mass")),
        probs=np.tile([1.0, 0.0, 0.0], (6, 2, 1)),
        targets=np.zeros((6, 2)),
        given=np.zeros((6, 2), dtype=np.int64),
    )
    policy = measured(questions, (by_cut(0.0),), critical=("edema",))["policies"]["threshold"]
    assert policy["system_accuracy"] == 1
    assert policy["defers_nothing"]
    assert policy["by_answer"]["edema"]["system_accuracy"] is None
    assert policy["critical"]["miss_rate"] is None
