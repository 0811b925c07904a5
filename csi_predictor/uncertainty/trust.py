"""How far a model's answers can be trusted: fitted on validation rows, kept, applied to others.

    validation answers -> fit_trust -> Trust -> apply_trust(trust, unseen answers) -> TrustedAnswers

Nothing of it is ever fitted on the rows that are evaluated or scored.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from csi_predictor.inference.bundle import hash_id
from csi_predictor.inference.label_predictions import LabelPredictions, concatenate_labels
from csi_predictor.inference.predictions import Floats, Predictions, concatenate
from csi_predictor.inference.questions import Questions, questions_of, two_answers
from csi_predictor.uncertainty.calibrator_fit import fit_calibrator
from csi_predictor.uncertainty.calibrators import Calibrator, Method, Scope
from csi_predictor.uncertainty.conformal import Conformal, fit_conformal
from csi_predictor.uncertainty.measures import MeasureName, image_uncertainty, measure
from csi_predictor.uncertainty.triage import Policy, PolicyName, TriageSettings
from csi_predictor.uncertainty.triage_choice import choose_policies

Answers = Predictions | LabelPredictions


@dataclass(frozen=True, kw_only=True)
class TrustSettings:
    """What is to be fitted.

    Attributes:
        calibration: Method, `none` leaves the probabilities as they are.
        scope: One calibration for the head, or one a question.
        coverage: Of the prediction sets; 0 = none.
        measure: What makes an answer unsure.
        policies: Of triage.
        triage: Their goals and costs.
        dropout_passes: With how many dropout masks the answers are made; 0 = without dropout.
    """

    calibration: Method = "temperature"
    scope: Scope = "head"
    coverage: float = 0.9
    measure: MeasureName = "confidence"
    policies: tuple[PolicyName, ...] = ()
    triage: TriageSettings = field(default_factory=TriageSettings)
    dropout_passes: int = 0


@dataclass(frozen=True, kw_only=True)
class Trust:
    """What was found out on rows that chose no weights.

    Attributes:
        settings: What was asked for.
        calibrator: Probabilities to calibrated ones.
        conformal: Prediction sets; None = not asked for.
        policies: Of triage, with their thresholds frozen.
        fitted_on: Which rows, in words.
        num_images: How many.
        fitted_ids: `hash_id` of each, so that none is taken for unseen.
    """

    settings: TrustSettings
    calibrator: Calibrator
    conformal: Conformal | None
    policies: tuple[Policy, ...]
    fitted_on: str
    num_images: int
    fitted_ids: frozenset[str]

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        settings = self.settings
        return {
            "settings": {
                **{name: getattr(settings, name) for name in _PLAIN_SETTINGS},
                "policies": list(settings.policies),
                "triage": asdict(settings.triage),
            },
            "calibrator": self.calibrator.to_dict(),
            "conformal": None if self.conformal is None else self.conformal.to_dict(),
            "policies": [policy.to_dict() for policy in self.policies],
            "fitted_on": self.fitted_on,
            "num_images": self.num_images,
            "fitted_ids": sorted(self.fitted_ids),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Trust":
        """The inverse of `to_dict`.

        Raises:
            KeyError: A value is missing.
        """
        settings = values["settings"]
        conformal = values["conformal"]
        return cls(
            settings=TrustSettings(
                **{name: settings[name] for name in _PLAIN_SETTINGS},
                policies=tuple(settings["policies"]),
                triage=_triage_settings(settings["triage"]),
            ),
            calibrator=Calibrator.from_dict(values["calibrator"]),
            conformal=None if conformal is None else Conformal.from_dict(conformal),
            policies=tuple(map(Policy.from_dict, values["policies"])),
            fitted_on=values["fitted_on"],
            num_images=values["num_images"],
            fitted_ids=frozenset(values["fitted_ids"]),
        )


def _triage_settings(values: Mapping[str, Any]) -> TriageSettings:
    arguments: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in values.items()
    }
    return TriageSettings(**arguments)


_PLAIN_SETTINGS = ("calibration", "scope", "coverage", "measure", "dropout_passes")


@dataclass(frozen=True, kw_only=True)
class TrustedAnswers:
    """Unseen answers with all that a frozen `Trust` says of them.

    Attributes:
        before: As the networks gave them.
        after: The same answers with calibrated probabilities.
        sets: (N, Q, C) whether an answer is in the prediction set; None = no sets.
        unsure: (N,) how unsure each image is, higher = less sure.
        defers: By policy, (N,) whether the image goes to a reader.
    """

    before: Answers
    after: Answers
    sets: NDArray[np.bool_] | None
    unsure: Floats
    defers: Mapping[str, NDArray[np.bool_]]

    @cached_property
    def questions(self) -> Questions:
        """With calibrated probabilities."""
        return questions_of(self.after)


def fit_trust(validation: Answers, settings: TrustSettings, *, fitted_on: str) -> Trust:
    """Fit everything on answers for rows that the networks haven't learnt from.

    Calibration comes first; sets and policies are chosen on the calibrated answers of the same
    rows, which flatters them by what one or a few numbers can overfit.

    Args:
        validation: At least one image.
        settings: What to fit.
        fitted_on: Which rows they are, in words.

    Raises:
        ConfigError: The measure needs several passes.
        ValueError: A critical answer isn't one.
    """
    calibrator = fit_calibrator(
        questions_of(validation), method=settings.calibration, scope=settings.scope
    )
    after = calibrate(validation, calibrator)
    questions = questions_of(after)
    unsure = unsure_of(after, settings.measure)
    return Trust(
        settings=settings,
        calibrator=calibrator,
        conformal=fit_conformal(questions, coverage=settings.coverage)
        if settings.coverage
        else None,
        policies=choose_policies(settings.policies, questions, unsure, settings.triage),
        fitted_on=fitted_on,
        num_images=len(validation),
        fitted_ids=frozenset(map(hash_id, validation.file_ids)),
    )


def apply_trust(trust: Trust, answers: Answers) -> TrustedAnswers:
    """What a trust fitted on other rows says of these."""
    after = calibrate(answers, trust.calibrator)
    questions = questions_of(after)
    unsure = unsure_of(after, trust.settings.measure)
    return TrustedAnswers(
        before=answers,
        after=after,
        sets=None
        if trust.conformal is None
        else trust.conformal.sets(questions.probs, questions.given),
        unsure=unsure,
        defers={
            policy.name: policy.defers(questions, unsure)
            for policy in trust.policies
            if not policy.skipped
        },
    )


def without_trust(answers: Answers, name: MeasureName) -> TrustedAnswers:
    """Answers of which nothing was fitted."""
    return TrustedAnswers(
        before=answers, after=answers, sets=None, unsure=unsure_of(answers, name), defers={}
    )


def join_trusted(parts: Sequence[TrustedAnswers]) -> TrustedAnswers:
    """Several sets after each other, each judged by its own trust, as the pooled folds."""
    sets = [part.sets for part in parts if part.sets is not None]
    return TrustedAnswers(
        before=join_answers([part.before for part in parts]),
        after=join_answers([part.after for part in parts]),
        sets=np.concatenate(sets) if len(sets) == len(parts) else None,
        unsure=np.concatenate([part.unsure for part in parts]),
        defers={
            name: np.concatenate([part.defers[name] for part in parts])
            for name in parts[0].defers
            if all(name in part.defers for part in parts)
        },
    )


def join_answers(parts: Sequence[Answers]) -> Answers:
    """Answers of one kind after each other."""
    zones = [part for part in parts if isinstance(part, Predictions)]
    if zones:
        return concatenate(zones)
    return concatenate_labels([part for part in parts if isinstance(part, LabelPredictions)])


def calibrate(answers: Answers, calibrator: Calibrator) -> Answers:
    """The same answers with calibrated probabilities; which answer is given never changes."""
    if isinstance(answers, Predictions):
        return answers.calibrated(calibrator.apply(answers.grade_probs))
    probs = calibrator.apply(questions_of(answers).probs)
    if answers.is_multiclass:
        return answers.calibrated(probs[:, 0], ())
    if not answers.thresholds:
        return answers.calibrated(probs[..., 1], ())
    thresholds = calibrator.apply(two_answers(np.array([answers.thresholds])))
    return answers.calibrated(probs[..., 1], tuple(thresholds[0, :, 1].tolist()))


def unsure_of(answers: Answers, name: MeasureName) -> Floats:
    """(N,) how unsure each image is.

    Raises:
        ConfigError: The measure needs several passes and there is one.
    """
    return image_uncertainty(measure(questions_of(answers), answers.spread, name))
