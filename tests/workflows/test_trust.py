"""Which rows a trust is fitted on, and what is refused before anything is computed."""

from pathlib import Path

import numpy as np
import pytest

from csi_predictor.config import load_config
from csi_predictor.config.schema import Config
from csi_predictor.errors import ConfigError
from csi_predictor.inference.predictions import Predictions
from csi_predictor.specs import TargetSpec
from csi_predictor.workflows.trust import (
    OTHER_FOLDS,
    VALIDATION,
    SplitAnswers,
    check_passes,
    check_triage,
    fit_trusts,
)


def config(*overrides: str) -> Config:
    return load_config(None, overrides, {})


def answers(seed: int, *, gain: float = 1.0, count: int = 60) -> Predictions:
    """Grades drawn from honest distributions, told `gain` times too surely."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 1.5, size=(count, 6, 4))
    honest = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    told = np.exp(gain * logits) / np.exp(gain * logits).sum(axis=-1, keepdims=True)
    drawn = (honest.cumsum(axis=-1) < rng.random((count, 6, 1))).sum(axis=-1)
    names = tuple(f"{seed}-{index}" for index in range(count))
    return Predictions(
        file_ids=names,
        patient_ids=names,
        paths=tuple(map(Path, names)),
        targets=drawn.astype(np.float64),
        grade_probs=told,
        p_ungradable=np.zeros((count, 6)),
    )


def temperature(trust: object) -> float:
    return float(trust.calibrator.parameters[0][0][0])  # type: ignore[attr-defined]


def test_one_split_is_fitted_on_its_validation_rows() -> None:
    split = SplitAnswers(validation=answers(0, gain=3, count=400), test=answers(1))
    fitted = fit_trusts(config(), [split])
    assert fitted.whole is not None
    assert fitted.by_split == (fitted.whole,)
    assert fitted.whole.fitted_on == VALIDATION
    assert temperature(fitted.whole) == pytest.approx(2, rel=0.5)  # far from 1


def test_each_fold_with_validation_rows_is_fitted_on_its_own() -> None:
    splits = [
        SplitAnswers(validation=answers(0, gain=4, count=300), test=answers(1)),
        SplitAnswers(validation=answers(2, gain=1, count=300), test=answers(3)),
    ]
    fitted = fit_trusts(config(), splits)
    assert temperature(fitted.by_split[1]) < temperature(fitted.by_split[0])


def test_a_bundle_of_folds_keeps_no_trust() -> None:
    splits = [SplitAnswers(validation=answers(s), test=answers(s + 9)) for s in range(3)]
    assert fit_trusts(config(), splits).whole is None
    alone = [SplitAnswers(validation=None, test=answers(s)) for s in range(3)]
    assert fit_trusts(config(), alone).whole is None


def test_a_fold_without_known_validation_answers_has_no_trust_of_others_rows() -> None:
    splits = [
        SplitAnswers(validation=None, test=answers(1)),
        SplitAnswers(validation=answers(1), test=answers(3)),
        SplitAnswers(validation=answers(3), test=answers(5)),
    ]
    fitted = fit_trusts(config(), splits)
    assert fitted.by_split[0] is None
    assert all(fitted.by_split[1:])


def test_a_fold_without_validation_rows_is_fitted_on_the_other_folds_alone() -> None:
    tests = [answers(seed) for seed in range(3)]
    splits = [SplitAnswers(validation=None, test=test) for test in tests]
    before = fit_trusts(config(), splits)
    changed = [*splits[:2], SplitAnswers(validation=None, test=answers(9, gain=5))]
    after = fit_trusts(config(), changed)
    assert before.by_split[2] == after.by_split[2]  # what it is tested on plays no part
    assert before.by_split[0] != after.by_split[0]
    assert [trust.fitted_on for trust in after.by_split if trust] == [OTHER_FOLDS] * 3
    assert [trust.num_images for trust in after.by_split if trust] == [120] * 3


def test_without_anything_to_fit_on_there_is_no_trust() -> None:
    for count in (1, 2):
        splits = [SplitAnswers(validation=None, test=answers(seed)) for seed in range(count)]
        fitted = fit_trusts(config(), splits)
        assert fitted.whole is None
        assert fitted.by_split == (None,) * count


def test_a_critical_answer_that_nobody_asks_for_is_refused_before_any_work() -> None:
    targets = TargetSpec(task="multilabel", names=("edema", "mass"), num_classes=2)
    check_triage(config("EVALUATION.CRITICAL_ANSWERS=mass"), targets)
    text = r"\[EVALUATION\] CRITICAL_ANSWERS: tumour is no answer: expected one of edema, mass"
    with pytest.raises(ConfigError, match=text):
        check_triage(config("EVALUATION.CRITICAL_ANSWERS=tumour"), targets)
    check_triage(config("EVALUATION.CRITICAL_ANSWERS=3"), TargetSpec())
    with pytest.raises(ConfigError, match="4 is no answer: expected one of 0, 1, 2, 3"):
        check_triage(config("EVALUATION.CRITICAL_ANSWERS=4"), TargetSpec())


def test_a_reader_has_one_accuracy_or_one_an_answer() -> None:
    check_triage(config("EVALUATION.READER_ACCURACY=0.9,0.8,0.8,0.9"), TargetSpec())
    text = r"READER_ACCURACY: 2 numbers: expected one, or 4, one an answer \(0, 1, 2, 3\)"
    with pytest.raises(ConfigError, match=text):
        check_triage(config("EVALUATION.READER_ACCURACY=0.9,0.8"), TargetSpec())


def test_disagreement_needs_somebody_to_disagree_with() -> None:
    with pytest.raises(ConfigError, match="UNCERTAINTY = ensemble: found one network"):
        check_passes(config("EVALUATION.UNCERTAINTY=ensemble"), 1)
    check_passes(config("EVALUATION.UNCERTAINTY=ensemble"), 2)
    epistemic = "EVALUATION.TRIAGE_MEASURE=epistemic"
    with pytest.raises(ConfigError, match="TRIAGE_MEASURE = epistemic: it compares passes"):
        check_passes(config(epistemic), 1)
    check_passes(config(epistemic, "EVALUATION.UNCERTAINTY=mc_dropout"), 1)
    check_passes(config(epistemic, "EVALUATION.TEST_TIME=mirror"), 1)
