import numpy as np
import pytest
from sklearn.metrics import accuracy_score

from csi_predictor.evaluation.triage import triage_block
from csi_predictor.evaluation.triage_draws import sums_of, triage_case
from csi_predictor.inference.questions import Questions
from csi_predictor.metrics.bootstrap import resample_patients
from csi_predictor.specs import ZONES
from csi_predictor.uncertainty.triage import Policy, TriageSettings


def questions_of(num_images: int, *, answers: str = "0123", seed: int = 2) -> Questions:
    """Six questions with random answers; a tenth of the truths unknown."""
    rng = np.random.default_rng(seed)
    probs = rng.dirichlet(np.full(len(answers), 0.5), (num_images, 6))
    targets = rng.integers(0, len(answers), (num_images, 6)).astype(float)
    targets[rng.random(targets.shape) < 0.1] = np.nan
    return Questions(
        names=ZONES,
        answers=tuple(answers),
        is_ordered=answers[0] == "0",
        patient_ids=tuple(f"SECRET{index // 2}" for index in range(num_images)),
        probs=probs,
        targets=targets,
        given=probs.argmax(axis=-1),
    )


def case_of(questions: Questions, *, unsure=None, second=None, rounds: int = 0):
    return triage_case(
        questions,
        np.arange(float(len(questions))) if unsure is None else unsure,
        settings=TriageSettings(),
        resampling=resample_patients(questions.patient_ids, rounds=rounds, seed=0),
        second_reader=second,
    )


def second_block(questions: Questions, second, threshold: float, rounds: int = 0):
    block = triage_block(
        questions,
        np.arange(float(len(questions))),
        (Policy(name="threshold", threshold=threshold),),
        settings=TriageSettings(),
        resampling=resample_patients(questions.patient_ids, rounds=rounds, seed=0),
        second_reader=second,
    )
    return block["policies"]["threshold"]["second_reader"]


def test_without_a_second_reader_difficulty_is_the_models_uncertainty() -> None:
    case = case_of(questions_of(6))
    assert case.difficulty.tolist() == [0, 0, 1, 1, 2, 2]
    assert case.difficulty_from == "the model's uncertainty"


@pytest.mark.parametrize(("answers", "difficulty"), [("0123", [2, 0, 1]), ("abcd", [0, 0, 2])])
def test_difficulty_is_the_readers_disagreement_where_there_are_two__weakness_001_02(
    answers, difficulty
) -> None:
    # by hand: distances 3, 0, 1 in one zone and 0, 0, 1 in another; of classes 1, 0, 2 differ
    questions = questions_of(3, answers=answers)
    second = questions.targets.copy()
    questions.targets[:] = 0
    second[:] = 0
    second[0, 0], second[2, :2] = 3, 1
    if answers == "abcd":
        second[0, 0] = 0
    case = case_of(questions, unsure=np.zeros(3), second=second)
    assert case.difficulty.tolist() == difficulty
    assert case.difficulty_from == "how far the second reader is from the truth"


def test_images_without_a_second_reading_are_judged_by_the_model() -> None:
    questions = questions_of(6)
    second = np.nan_to_num(questions.targets)
    second[4:] = np.nan
    case = case_of(questions, second=second)
    assert case.difficulty.tolist() == [0, 0, 0, 0, 2, 2]
    assert case.difficulty_from.endswith(
        "of images without a second reading, the model's uncertainty"
    )


def test_the_sums_of_all_groups_are_those_of_the_whole() -> None:
    questions = questions_of(20)
    sums = sums_of(case_of(questions, rounds=7), np.arange(20) % 3 == 0)
    whole = sums["difficulty"].sum(axis=1)
    assert whole.shape == (8, 5)
    for name in ("questions", "answers"):
        np.testing.assert_allclose(sums[name].sum(axis=1), whole)
    np.testing.assert_allclose(sums["harder"].sum(axis=1)[:, :4], whole[:, :4])
    assert sums["images"].sum(axis=1)[0].tolist() == [20, 7]
    assert sums["reader_errors"][0] == pytest.approx(0.05 * questions.is_known.sum())


def test_the_second_readers_real_answers_are_put_in_for_the_deferred() -> None:
    questions = questions_of(40)
    rng = np.random.default_rng(3)
    second = np.where(
        rng.random((40, 6)) < 0.7, np.nan_to_num(questions.targets), rng.integers(0, 4, (40, 6))
    )
    block = second_block(questions, second, 19.5, rounds=20)
    is_deferred = np.arange(40) > 19.5
    known = questions.is_known
    answers = np.where(is_deferred[:, None], second, questions.given)
    expected = accuracy_score(questions.targets[known], answers[known])
    assert block["system_accuracy"] == pytest.approx(expected)
    deferred = known & is_deferred[:, None]
    assert block["n_read"] == block["n_deferred_answers"] == deferred.sum()
    assert block["reader_accuracy"] == pytest.approx(
        accuracy_score(questions.targets[deferred], second[deferred])
    )
    assert block["system_accuracy_ci_low"] < block["system_accuracy_ci_high"]


def test_a_second_reader_who_read_nothing_that_is_deferred_has_no_system() -> None:
    questions = questions_of(8)
    block = second_block(questions, np.full((8, 6), np.nan), -np.inf)
    assert block["n_read"] == 0
    assert block["reader_accuracy"] is block["system_accuracy"] is None
    assert second_block(questions, None, 3.5) is None


def test_wrong_tables_are_refused() -> None:
    questions = questions_of(4)
    with pytest.raises(ValueError, match=r"second_reader has shape \(4, 5\): expected \(4, 6\)"):
        case_of(questions, second=np.zeros((4, 5)))
    with pytest.raises(ValueError, match="second_reader holds -1: expected 0 to 3, or NaN for no"):
        case_of(questions, second=np.full((4, 6), -1.0))
    with pytest.raises(ValueError, match=r"unsure has shape \(3,\): expected \(4,\)"):
        case_of(questions, unsure=np.zeros(3))
