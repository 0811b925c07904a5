"""Blocks of uncertainty and of prediction sets, against scikit-learn, scipy and by hand."""

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import mean_absolute_error, roc_auc_score

from csi_predictor.errors import ConfigError
from csi_predictor.evaluation.uncertainty import conformal_block, uncertainty_block
from csi_predictor.inference.questions import Questions
from csi_predictor.inference.spread import spread_of
from csi_predictor.metrics.bootstrap import resample_patients
from csi_predictor.uncertainty.conformal import Conformal, fit_conformal
from csi_predictor.uncertainty.measures import measure

NAN = float("nan")


def questions_about(num_answers: int, num_questions: int, *, num_images: int = 90) -> tuple:
    """Questions with unknown answers among them, two images a patient, and the spread."""
    rng = np.random.default_rng(num_answers)
    passes = rng.dirichlet(np.ones(num_answers), (4, num_images, num_questions))
    passes = 0.5 * passes + 0.5 * rng.dirichlet(np.ones(num_answers) * 0.4, passes.shape[1:3])
    probs = passes.mean(axis=0)
    draws = rng.random((num_images, num_questions, 1))
    targets = (np.cumsum(probs, axis=-1)[..., :-1] < draws).sum(axis=-1).astype(float)
    targets[rng.random(targets.shape) < 0.1] = NAN
    targets[4] = NAN
    questions = Questions(
        names=tuple(f"question {q}" for q in range(num_questions)),
        answers=tuple(f"answer {c}" for c in range(num_answers)),
        is_ordered=num_answers == 4,
        patient_ids=tuple(f"p{i // 2}" for i in range(num_images)),
        probs=probs,
        targets=targets,
        given=probs.argmax(axis=-1),
    )
    return questions, spread_of(passes)


KINDS = {"zones": (4, 6), "labels": (2, 3), "classes": (5, 1)}


@pytest.fixture(params=KINDS)
def made(request):
    questions, spread = questions_about(*KINDS[request.param])
    return questions, spread, resample_patients(questions.patient_ids, rounds=50, seed=0)


def test_figures_of_each_measure_equal_those_of_libraries(made) -> None:
    questions, spread, resampling = made
    block = uncertainty_block(questions, spread, resampling, measure="entropy")
    known = questions.is_known
    wrong = (questions.given != questions.targets)[known]
    distance = np.abs(questions.given - questions.targets)[known]
    assert list(block["measures"]) == ["confidence", "entropy", "epistemic", "variance"]
    for name, figures in block["measures"].items():
        unsure = measure(questions, spread, name)[known]
        assert figures["error_auroc"] == pytest.approx(roc_auc_score(wrong, unsure))
        expected = stats.spearmanr(unsure, distance if questions.is_ordered else wrong)
        found = (figures["spearman"], figures["spearman_p"])
        assert found == pytest.approx((expected.statistic, expected.pvalue))
        expected = stats.pointbiserialr(wrong, unsure)
        found = (figures["point_biserial"], figures["point_biserial_p"])
        assert found == pytest.approx((expected.statistic, expected.pvalue))
        kept = np.argsort(unsure)[: int(np.ceil(0.8 * len(unsure)))]
        assert figures["risk_at_80"] == pytest.approx(wrong[kept].mean())
        assert figures["risk_at_100"] == pytest.approx(wrong.mean())
        assert figures["risk_fall_at_80"] == pytest.approx(wrong.mean() - wrong[kept].mean())
        assert figures["risk_at_80_ci_low"] < figures["risk_at_80"] < figures["risk_at_80_ci_high"]
        assert ("mae_at_80" in figures) == questions.is_ordered
        if questions.is_ordered:
            truth, given = questions.targets[known], questions.given[known]
            expected = mean_absolute_error(truth[kept], given[kept])
            assert figures["mae_at_80"] == pytest.approx(expected)
            assert figures["mae_at_100"] == pytest.approx(mean_absolute_error(truth, given))
    assert block["n_answers"] == known.sum()
    assert block["n_wrong"] == wrong.sum()


def test_each_question_has_its_figures_by_the_chosen_measure(made) -> None:
    questions, spread, resampling = made
    block = uncertainty_block(questions, spread, resampling, measure="epistemic")
    assert tuple(block["by_question"]) == questions.names
    for q, figures in enumerate(block["by_question"].values()):
        known = questions.is_known[:, q]
        wrong = (questions.given != questions.targets)[known, q]
        assert figures["n"] == known.sum()
        assert figures["n_wrong"] == wrong.sum()
        expected = roc_auc_score(wrong, spread.epistemic[known, q])
        assert figures["error_auroc"] == pytest.approx(expected)
        assert figures["risk_at_100"] == pytest.approx(wrong.mean())
        assert figures["risk_at_100_ci_low"] <= wrong.mean() <= figures["risk_at_100_ci_high"]


def test_the_curve_has_at_most_100_points_and_ends_at_the_risk_of_all(made) -> None:
    questions, spread, resampling = made
    block = uncertainty_block(questions, spread, resampling, measure="confidence")
    curve, figures = block["curve"], block["measures"]["confidence"]
    assert set(curve) == {"coverage", "risk", "ideal"} | (
        {"mae"} if questions.is_ordered else set()
    )
    assert len({len(values) for values in curve.values()}) == 1
    assert len(curve["risk"]) == min(100, block["n_answers"])
    assert curve["coverage"][-1] == 1
    assert curve["risk"][-1] == pytest.approx(figures["risk_at_100"])
    assert curve["ideal"][-1] == pytest.approx(figures["risk_at_100"])
    if block["n_answers"] > 100:
        assert curve["risk"][79] == pytest.approx(figures["risk_at_80"])
    assert (np.array(curve["ideal"]) <= np.array(curve["risk"]) + 1e-12).all()


def test_the_parts_of_uncertainty_add_up__weakness_001_06(made) -> None:
    questions, spread, resampling = made
    block = uncertainty_block(questions, spread, resampling, measure="entropy")
    assert block["total"] == pytest.approx(block["aleatoric"] + block["epistemic"], abs=1e-6)
    assert block["epistemic"] == pytest.approx(spread.epistemic[questions.is_known].mean())
    assert block["num_passes"] == 4


@pytest.mark.parametrize("num_passes", [None, 1])
def test_one_pass_has_no_parts_and_two_measures(made, num_passes) -> None:
    questions, _, resampling = made
    spread = None if num_passes is None else spread_of(questions.probs[None])
    block = uncertainty_block(questions, spread, resampling, measure="confidence")
    assert list(block["measures"]) == ["confidence", "entropy"]
    assert (block["total"], block["aleatoric"], block["epistemic"]) == (None, None, None)
    assert block["num_passes"] == 1
    with pytest.raises(ConfigError, match="TRIAGE_MEASURE = variance: it compares passes, found 1"):
        uncertainty_block(questions, spread, resampling, measure="variance")


def test_a_model_that_knows_its_errors_errs_less_at_80_percent() -> None:
    """Sure and right, unsure and wrong: by hand 20 of 100 wrong, none among the surest 80."""
    right = np.repeat([0.9, 0.6], [80, 20])
    questions = Questions(
        names=("a",),
        answers=("x", "y"),
        is_ordered=False,
        patient_ids=tuple(map(str, range(100))),
        probs=np.stack([right, 1 - right], axis=-1)[:, None],
        targets=np.repeat([[0.0], [1.0]], [80, 20], axis=0),
        given=np.zeros((100, 1), dtype=np.int64),
    )
    resampling = resample_patients(questions.patient_ids, rounds=200, seed=0)
    block = uncertainty_block(questions, None, resampling, measure="confidence")
    figures = block["measures"]["confidence"]
    assert (figures["risk_at_100"], figures["risk_at_80"]) == (0.2, 0.0)
    assert figures["risk_fall_at_80"] == pytest.approx(0.2)
    assert figures["risk_fall_at_80_ci_low"] > 0
    assert figures["error_auroc"] == 1
    assert figures["excess_aurc"] == pytest.approx(0)


@pytest.mark.parametrize("num_patients", [1, 30])
@pytest.mark.parametrize("case", ["nothing known", "nothing wrong", "all wrong", "all the same"])
def test_what_has_no_meaning_is_none_and_nothing_crashes(num_patients: int, case: str) -> None:
    for num_answers, num_questions in KINDS.values():
        questions, spread = questions_about(num_answers, num_questions, num_images=30)
        ids = tuple(f"p{i % num_patients}" for i in range(30))
        targets = {
            "nothing known": np.full_like(questions.targets, NAN),
            "nothing wrong": questions.given.astype(float),
            "all wrong": ((questions.given + 1) % num_answers).astype(float),
            "all the same": questions.targets,
        }[case]
        probs = np.full_like(questions.probs, 1 / num_answers)
        questions = replace(
            questions,
            patient_ids=ids,
            targets=targets,
            probs=probs if case == "all the same" else questions.probs,
        )
        resampling = resample_patients(questions.patient_ids, rounds=20, seed=0)
        found = uncertainty_block(questions, spread, resampling, measure="confidence")
        sets = conformal_block(questions, fit_conformal(questions, coverage=0.9), resampling)
        json.dumps([found, sets], allow_nan=False)
        figures = found["measures"]["confidence"]
        if case != "all the same":
            assert figures["error_auroc"] is None
            assert figures["point_biserial"] is None
        if case == "nothing known":
            assert figures["risk_at_80"] is None
            assert figures["aurc"] is None
            assert found["curve"]["risk"] == []
            assert sets["coverage"] is None


def test_prediction_sets_are_counted_by_hand() -> None:
    probs = np.array([[0.7, 0.2, 0.1], [0.5, 0.45, 0.05], [0.4, 0.35, 0.25], [0.9, 0.06, 0.04]])
    questions = Questions(
        names=("class",),
        answers=("x", "y", "z"),
        is_ordered=False,
        patient_ids=tuple("abcd"),
        probs=probs[:, None],
        targets=np.array([[0.0], [1.0], [2.0], [NAN]]),
        given=np.zeros((4, 1), dtype=np.int64),
    )
    conformal = Conformal(
        coverage=0.6, is_ordered=False, threshold=0.65, num_calibration=20, num_patients=10
    )  # sets: x, xy, xy and of the unknown x
    resampling = resample_patients(questions.patient_ids, rounds=0, seed=0)
    block = conformal_block(questions, conformal, resampling)
    assert block["n"] == 3
    assert block["coverage"] == pytest.approx(2 / 3)
    assert block["mean_size"] == pytest.approx(5 / 3)
    assert block["single"] == pytest.approx(1 / 3)
    assert block["whole"] == 0
    assert block["coverage_asked"] == 0.6
    assert block["threshold"] == 0.65
    assert (block["num_calibration"], block["num_calibration_patients"]) == (20, 10)
    sizes = {name: (each["n"], each["coverage"]) for name, each in block["by_size"].items()}
    assert sizes == {"1": (1, 1.0), "2": (2, 0.5), "3": (0, None)}
    answers = {name: (each["n"], each["coverage"]) for name, each in block["by_answer"].items()}
    assert answers == {"x": (1, 1.0), "y": (1, 1.0), "z": (1, 0.0)}
    assert block["by_question"]["class"]["coverage"] == block["coverage"]
    assert block["by_answer"]["y"]["mean_size"] == 2


def test_coverage_on_unseen_images_has_an_interval_that_holds_what_was_asked(made) -> None:
    questions, _, _ = made
    half = len(questions) // 2
    conformal = fit_conformal(questions.take(np.arange(half)), coverage=0.8)
    unseen = questions.take(np.arange(half, len(questions)))
    resampling = resample_patients(unseen.patient_ids, rounds=200, seed=0)
    block = conformal_block(unseen, conformal, resampling)
    assert block["coverage_ci_low"] <= block["coverage"] <= block["coverage_ci_high"]
    assert block["coverage_ci_high"] > 0.8
    sets = conformal.sets(unseen.probs, unseen.given)
    assert block["mean_size"] == pytest.approx(sets.sum(axis=-1)[unseen.is_known].mean())
    for q, figures in enumerate(block["by_question"].values()):
        truth = unseen.targets[unseen.is_known[:, q], q].astype(int)
        held = sets[unseen.is_known[:, q], q][np.arange(len(truth)), truth]
        assert figures["coverage"] == pytest.approx(held.mean())
    assert sum(each["n"] for each in block["by_size"].values()) == block["n"]
    assert sum(each["n"] for each in block["by_answer"].values()) == block["n"]


def test_folds_bring_their_own_sets(made) -> None:
    questions, _, resampling = made
    halves = np.array_split(np.arange(len(questions)), 2)
    folds = [fit_conformal(questions.take(half), coverage=0.8) for half in halves]
    parts = [
        fold.sets(questions.take(half).probs)
        for fold, half in zip(folds, reversed(halves), strict=True)
    ]
    sets = np.concatenate(parts[::-1])
    block = conformal_block(questions, folds, resampling, sets=sets)
    assert block["num_folds"] == 2
    assert block["threshold"] is None
    assert block["mean_size"] == pytest.approx(sets.sum(axis=-1)[questions.is_known].mean())
    assert block["num_calibration"] == min(fold.num_calibration for fold in folds)
    with pytest.raises(ValueError, match="sets of 2 folds: expected the sets themselves"):
        conformal_block(questions, folds, resampling)


def test_too_few_validation_patients_are_told(made) -> None:
    questions, _, resampling = made
    few = fit_conformal(questions.take(np.arange(4)), coverage=0.9)
    block = conformal_block(questions, few, resampling)
    assert block["has_too_few"]
    assert block["threshold"] is None
    assert block["fewest_patients"] == 9
    assert (block["coverage"], block["whole"], block["mean_size"]) == (1, 1, block["num_possible"])


def test_exchangeable_patients_are_seldom_said_to_have_less_than_asked() -> None:
    """Few patients to fit on, many to measure: 2.5 % are to be called short, not a quarter."""
    rng = np.random.default_rng(0)
    short = 0
    for _ in range(100):
        fitted, measured = (ordered(rng, count) for count in (40, 400))
        conformal = fit_conformal(fitted, coverage=0.9)
        resampling = resample_patients(measured.patient_ids, rounds=60, seed=0)
        short += bool(conformal_block(measured, conformal, resampling)["is_short"])
    assert short <= 9  # of 100 at 2.5 %, at most 9 in all but 4 of 10,000


def test_each_patient_counts_once_however_many_images() -> None:
    """Two patients held (one image each), one with eight images not: 2 of 3, not 2 of 10."""
    probs = np.tile(np.array([0.9, 0.1]), (10, 1, 1))
    truth = np.array([0.0, 0.0, *[1.0] * 8])[:, None]
    asked = Questions(
        names=("q",),
        answers=("absent", "present"),
        is_ordered=False,
        patient_ids=("a", "b", *["c"] * 8),
        probs=probs,
        targets=truth,
        given=np.zeros((10, 1), dtype=np.int64),
    )
    conformal = replace(
        fit_conformal(ordered(np.random.default_rng(0), 100), coverage=0.8), is_ordered=False
    )
    sets = np.tile(np.array([True, False]), (10, 1, 1))
    resampling = resample_patients(asked.patient_ids, rounds=0, seed=0)
    block = conformal_block(asked, conformal, resampling, sets=sets)
    assert block["coverage"] == pytest.approx(0.2)
    assert block["coverage_of_patients"] == pytest.approx(2 / 3)
    assert block["is_short"] is None


def ordered(rng: np.random.Generator, count: int) -> Questions:
    """Grades drawn from the distributions that are told, one image a patient."""
    logits = rng.normal(0, 1.5, size=(count, 1, 4))
    probs = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    drawn = (probs.cumsum(axis=-1) < rng.random((count, 1, 1))).sum(axis=-1)
    return Questions(
        names=("zone",),
        answers=("0", "1", "2", "3"),
        is_ordered=True,
        patient_ids=tuple(map(str, range(count))),
        probs=probs,
        targets=drawn.astype(np.float64),
        given=probs.argmax(axis=-1),
    )
