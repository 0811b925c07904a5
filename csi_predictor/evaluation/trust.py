"""How sure the answers are, how that was fitted, and what it is worth on rows that it never saw."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from csi_predictor.evaluation.calibration import calibration_report
from csi_predictor.evaluation.figures import Block
from csi_predictor.evaluation.triage import triage_block
from csi_predictor.evaluation.uncertainty import conformal_block, uncertainty_block
from csi_predictor.inference.predictions import Floats
from csi_predictor.inference.questions import questions_of
from csi_predictor.metrics.bootstrap import Resampling
from csi_predictor.uncertainty.calibrators import Calibrator
from csi_predictor.uncertainty.measures import MeasureName, available_measures
from csi_predictor.uncertainty.triage import Policy, TriageSettings
from csi_predictor.uncertainty.trust import Trust, TrustedAnswers


def trust_blocks(
    answers: TrustedAnswers,
    trusts: Sequence[Trust],
    resampling: Resampling,
    *,
    measure: MeasureName,
    triage: TriageSettings,
    second_reader: Floats | None = None,
) -> Block:
    """`calibration`, `uncertainty`, `conformal` and `triage`; the last two None without a trust.

    Args:
        answers: Judged, each by a trust that was fitted without it.
        trusts: Those trusts, one or one a fold; empty = there were none.
        resampling: Of the answers' patients.
        measure: What makes an answer unsure.
        triage: What is assumed of the reader, and the costs.
        second_reader: (N, Q) index of another reader's answer, NaN = none.
    """
    before, after = questions_of(answers.before), answers.questions
    spread = answers.after.spread
    told = measure if measure in available_measures(spread) else "confidence"
    return {
        "calibration": {
            **_fitted(trusts),
            **calibration_report(before, after, resampling),
        },
        "uncertainty": uncertainty_block(after, spread, resampling, measure=told),
        "conformal": _conformal(answers, trusts, resampling),
        "triage": _triage(answers, trusts, resampling, triage, second_reader),
    }


def _fitted(trusts: Sequence[Trust]) -> Block:
    if not trusts:
        return {
            "method": "none",
            "scope": "head",
            "description": "none: there were no images to fit it on",
            "fitted_on": "nothing",
            "num_fitted": 0,
        }
    first = next((t for t in trusts if t.calibrator.method != "none"), trusts[0])
    return {
        "method": first.calibrator.method,
        "scope": first.calibrator.scope,
        "description": _describe([trust.calibrator for trust in trusts]),
        "fitted_on": first.fitted_on,
        "num_fitted": min(trust.calibrator.num_fitted for trust in trusts),
    }


def _describe(calibrators: Sequence[Calibrator]) -> str:
    """One line for people, however many folds there are."""
    if len(calibrators) == 1:
        return calibrators[0].describe()
    found = {(each.method, each.scope) for each in calibrators}
    if found == {("temperature", "head")}:
        each = sorted(calibrator.parameters[0][0][0] for calibrator in calibrators)
        return f"temperature {each[0]:.3g} to {each[-1]:.3g}, one for each of {len(each)} folds"
    told = dict.fromkeys(calibrator.describe() for calibrator in calibrators)
    return f"{'; '.join(told)}; each of {len(calibrators)} folds has its own"


def _conformal(
    answers: TrustedAnswers, trusts: Sequence[Trust], resampling: Resampling
) -> Block | None:
    fitted = [trust.conformal for trust in trusts if trust.conformal is not None]
    if answers.sets is None or not fitted:
        return None
    return conformal_block(answers.questions, fitted, resampling, sets=answers.sets)


def _triage(
    answers: TrustedAnswers,
    trusts: Sequence[Trust],
    resampling: Resampling,
    settings: TriageSettings,
    second_reader: Floats | None,
) -> Block | None:
    chosen = {policy.name for trust in trusts for policy in trust.policies if not policy.skipped}
    if not trusts or not trusts[0].policies or chosen - set(answers.defers):
        return None  # not asked for, or a fold had nothing to choose on
    by_name = list(zip(*(trust.policies for trust in trusts), strict=True))
    block = triage_block(
        answers.questions,
        answers.unsure,
        [_of_all_folds(policies) for policies in by_name],
        settings=settings,
        resampling=resampling,
        second_reader=second_reader,
        defers=answers.defers,
    )
    for policies in by_name:
        block["policies"][policies[0].name]["sentence"] += _note_of_folds(policies)
    return block


def _note_of_folds(policies: Sequence[Policy]) -> str:
    """How many folds' own thresholds defer everything, where not all or none do."""
    count = sum(policy.threshold == -np.inf for policy in policies)
    if not 0 < count < len(policies):
        return ""
    return f" In {count} of {len(policies)} folds it gives every image to the reader."


def _of_all_folds(policies: Sequence[Policy]) -> Policy:
    """One policy that stands for each fold's own in words: common threshold, mean facts."""
    first = policies[0]
    skipped = next((policy.skipped for policy in policies if policy.skipped), "")
    if len(policies) == 1 or skipped:
        return replace(first, skipped=skipped)
    return replace(
        first,
        threshold=_middle([policy.threshold for policy in policies]),
        critical_threshold=_middle([policy.critical_threshold for policy in policies]),
        chosen={name: _mean([policy.chosen[name] for policy in policies]) for name in first.chosen},
    )


def _middle(thresholds: Sequence[float]) -> float:
    """The one threshold of all folds; NaN where they differ."""
    return thresholds[0] if len(set(thresholds)) == 1 else float("nan")


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
