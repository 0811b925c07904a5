"""Fit what says how far answers can be trusted, on rows that the networks haven't learnt from."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from loguru import logger

from csi_predictor.config import Config
from csi_predictor.errors import ConfigError
from csi_predictor.inference.predict import DropoutPasses
from csi_predictor.inference.questions import ABSENT_OR_PRESENT
from csi_predictor.specs import NUM_GRADES, TargetSpec
from csi_predictor.uncertainty.measures import MeasureName
from csi_predictor.uncertainty.triage import TriageSettings
from csi_predictor.uncertainty.trust import (
    Answers,
    Trust,
    TrustSettings,
    fit_trust,
    join_answers,
)

VALIDATION = "the validation images"
OTHER_FOLDS = "the other folds' unseen images"
_FEWEST_FOLDS = 3  # of which two can tell of the third


@dataclass(frozen=True)
class SplitAnswers:
    """One split's networks on rows that they haven't learnt from; None = there are none.

    Attributes:
        validation: They chose the epoch at most.
        test: They chose nothing.
    """

    validation: Answers | None
    test: Answers | None


@dataclass(frozen=True)
class FittedTrusts:
    """Trusts of a training.

    Attributes:
        whole: The bundle's; None = there was nothing to fit on.
        by_split: One a split, for its own test rows.
    """

    whole: Trust | None
    by_split: tuple[Trust | None, ...]


def trust_settings(config: Config) -> TrustSettings:
    """What [EVALUATION] asks for."""
    section = config.evaluation
    return TrustSettings(
        calibration=section.calibration,
        scope=section.calibration_scope,
        coverage=section.coverage,
        measure=measure_of(config),
        policies=section.triage,
        triage=TriageSettings(
            target_accuracy=section.target_accuracy,
            review_budget=section.review_budget,
            error_cost=section.error_cost,
            review_cost=section.review_cost,
            critical=section.critical_answers,
            reader_accuracy=section.reader_accuracy,
        ),
        dropout_passes=section.mc_samples if section.uncertainty == "mc_dropout" else 0,
    )


def measure_of(config: Config) -> MeasureName:
    """TRIAGE_MEASURE; `auto` is the confidence, which every network has."""
    name = config.evaluation.triage_measure
    return "confidence" if name == "auto" else name


def dropout_of(config: Config) -> DropoutPasses | None:
    """The masks of UNCERTAINTY = mc_dropout."""
    return dropout_for(trust_settings(config).dropout_passes)


def dropout_for(num_passes: int) -> DropoutPasses | None:
    """Masks of a number of passes, the same in evaluation and scoring; None = without dropout."""
    return DropoutPasses(num_passes, seed=0) if num_passes else None


def check_passes(config: Config, num_networks: int) -> None:
    """Hold UNCERTAINTY and TRIAGE_MEASURE against the passes that there will be.

    Raises:
        ConfigError: They compare passes and there is one.
    """
    section = config.evaluation
    if section.uncertainty == "ensemble" and num_networks < 2:
        raise ConfigError(
            "[EVALUATION] UNCERTAINTY = ensemble: found one network: expected [TRAINING] "
            "ENSEMBLE_SIZE of at least 2, or several bundles in [EVALUATION] MODEL"
        )
    num_looks = num_networks * (2 if section.test_time == "mirror" else 1)
    is_one = num_looks < 2 and section.uncertainty != "mc_dropout"
    if measure_of(config) in ("epistemic", "variance") and is_one:
        raise ConfigError(
            f"[EVALUATION] TRIAGE_MEASURE = {section.triage_measure}: it compares passes, found "
            "one network: expected UNCERTAINTY = mc_dropout or ensemble, or confidence or entropy"
        )


def check_triage(config: Config, targets: TargetSpec) -> None:
    """Hold CRITICAL_ANSWERS and READER_ACCURACY against what is asked, before any work starts.

    Raises:
        ConfigError: They don't fit.
    """
    section = config.evaluation
    answers = {
        "csi": tuple(map(str, range(NUM_GRADES))),
        "multilabel": ABSENT_OR_PRESENT,
    }.get(targets.task, targets.names)
    critical = targets.names if targets.task == "multilabel" else answers
    problems = [
        f"[EVALUATION] CRITICAL_ANSWERS: {name} is no answer: expected one of {', '.join(critical)}"
        for name in section.critical_answers
        if name not in critical
    ]
    if len(section.reader_accuracy) not in (1, len(answers)):
        problems.append(
            f"[EVALUATION] READER_ACCURACY: {len(section.reader_accuracy)} numbers: expected one, "
            f"or {len(answers)}, one an answer ({', '.join(answers)})"
        )
    if problems:
        raise ConfigError(problems)


def fit_trusts(config: Config, splits: Sequence[SplitAnswers]) -> FittedTrusts:
    """The bundle's trust, and for each split one that never saw its test rows.

    With validation rows each split's own trust is fitted on its own ones, which may be another
    fold's test rows. Without any, in a cross-validation, a fold's is fitted on the unseen answers
    of the other folds; the networks that give them have learnt from the fold's rows, but not from
    the rows that they answer for.

    The bundle of several folds keeps none: it answers with the mean of all folds' networks, of
    which no image is left to tell anything, and what was fitted on single folds is too cautious.

    Raises:
        ConfigError: TRIAGE_MEASURE compares passes and there is one, or CRITICAL_ANSWERS isn't one.
    """
    fit = partial(_fit, trust_settings(config))
    tests = [split.test for split in splits if split.test is not None]
    if len(splits) > 1:
        logger.info(
            "The bundle of {} folds keeps no calibration, sets and triage: they were fitted on "
            "each fold's own networks, and it answers with all of them",
            len(splits),
        )
    if any(split.validation is not None for split in splits):
        own = [
            None if split.validation is None else fit([split.validation], VALIDATION)
            for split in splits
        ]
        return FittedTrusts(own[0] if len(splits) == 1 else None, tuple(own))
    if len(tests) < _FEWEST_FOLDS or len(tests) < len(splits):
        logger.warning(
            "No validation images and fewer than {} folds: neither calibration nor triage can be "
            "fitted; probabilities stay as the networks give them",
            _FEWEST_FOLDS,
        )
        return FittedTrusts(None, (None,) * len(splits))
    others = [[*tests[:index], *tests[index + 1 :]] for index in range(len(tests))]
    return FittedTrusts(None, tuple(fit(each, OTHER_FOLDS) for each in others))


def _fit(settings: TrustSettings, answers: Sequence[Answers], fitted_on: str) -> Trust:
    return fit_trust(join_answers(answers), settings, fitted_on=fitted_on)
