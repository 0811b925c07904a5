"""How each triage policy is chosen, on validation rows and nowhere else."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from csi_predictor.inference.questions import Questions
from csi_predictor.metrics import deferral
from csi_predictor.metrics.counts import Floats, ratio
from csi_predictor.uncertainty.triage import (
    POLICIES,
    Policy,
    PolicyName,
    TriageSettings,
    check_unsure,
    critical_probs,
    critical_truths,
)

_ROUNDING = 1e-12  # costs that differ by a smaller share are equal
_AIMS: dict[PolicyName, tuple[str, ...]] = {
    "threshold": ("target_accuracy",),
    "budget": ("review_budget",),
    "cost": ("error_cost", "review_cost"),
    "class_critical": ("target_accuracy",),
}


def choose_policies(
    names: Sequence[PolicyName], validation: Questions, unsure: Floats, settings: TriageSettings
) -> tuple[Policy, ...]:
    """The policies, in the order of their names; one that can't be chosen says why.

    Args:
        names: Some of `POLICIES`.
        validation: Images on which nothing is measured later.
        unsure: (N,) uncertainty of each image, higher = less sure.
        settings: What is aimed at.

    Raises:
        ValueError: A policy or a critical answer is unknown, `unsure` isn't N finite numbers, or
            the reader's accuracies fit neither all answers nor each.
    """
    unknown = [name for name in names if name not in _CHOICES]
    if unknown:
        raise ValueError(f"policy {unknown[0]}: expected one of {', '.join(POLICIES)}")
    check_unsure(validation, unsure)
    rows = _Rows(
        questions=validation,
        unsure=unsure,
        settings=settings,
        reader_right=deferral.reader_is_right(
            validation.targets, settings.reader_by_answer(validation)
        ),
        is_critical=critical_truths(validation, settings.critical),
    )
    return tuple(_chosen(name, rows) for name in names)


@dataclass(frozen=True, kw_only=True)
class _Rows:
    """The validation rows: `reader_right` and `is_critical` (N, Q)."""

    questions: Questions
    unsure: Floats
    settings: TriageSettings
    reader_right: Floats
    is_critical: NDArray[np.bool_]

    @property
    def sums(self) -> Floats:
        """(N, 3) of each image: 1, its known answers, those that the model has right."""
        known, right = self.questions.is_known, self.questions.is_right
        ones = np.ones(len(self.questions))
        return np.stack([ones, known.sum(axis=1), (known & right).sum(axis=1)], axis=1)


def _chosen(name: PolicyName, rows: _Rows) -> Policy:
    """The policy with the facts of its choice."""
    reason = _reason_to_skip(name, rows)
    if reason:
        return Policy(name=name, skipped=reason)
    policy = _CHOICES[name](rows)
    return replace(policy, chosen=_facts(policy, rows))


def _reason_to_skip(name: PolicyName, rows: _Rows) -> str:
    if not len(rows.questions):
        return "there is no validation image to choose it on"
    if name != "budget" and not rows.questions.is_known.any():
        return "no answer of the validation images is known"
    if name != "class_critical":
        return ""
    if not rows.settings.critical:
        return "no critical answers are named"
    if not rows.is_critical.any():
        return "no validation image is known to have a critical answer"
    return ""


def _by_threshold(rows: _Rows) -> Policy:
    """The fewest deferrals with which the automatic answers reach the target; else all."""
    cuts = deferral.cuts_of(rows.unsure)
    best = _last(_reaches_target(cuts.kept(rows.sums), rows.settings))
    return Policy(name="threshold", threshold=float(cuts.thresholds[best]))


def _by_budget(rows: _Rows) -> Policy:
    """The most deferrals that the budget allows; equally unsure images go together or not."""
    cuts = deferral.cuts_of(rows.unsure)
    num_images = len(rows.questions)
    deferred = num_images - cuts.kept(rows.sums)[:, 0]
    best = int(np.argmax(deferred / num_images <= rows.settings.review_budget))
    return Policy(name="budget", threshold=float(cuts.thresholds[best]))


def _by_cost(rows: _Rows) -> Policy:
    """The lowest cost of errors and reviews; of equal costs the one with the fewest reviews."""
    cuts = deferral.cuts_of(rows.unsure)
    expected_wrong = rows.questions.is_known.sum(axis=1) - rows.reader_right.sum(axis=1)
    images, known, right, spared = cuts.kept(
        np.concatenate([rows.sums, expected_wrong[:, None]], axis=1)
    ).T
    cost = deferral.cost_per_image(
        known - right + expected_wrong.sum() - spared,
        images[-1] - images,
        images[-1],
        error_cost=rows.settings.error_cost,
        review_cost=rows.settings.review_cost,
    )
    best = _last(cost <= cost.min() * (1 + _ROUNDING))
    return Policy(name="cost", threshold=float(cuts.thresholds[best]))


def _by_class_critical(rows: _Rows) -> Policy:
    """As `threshold`, with no critical truth answered wrong automatically.

    To each threshold of uncertainty belongs the highest one of the critical probability that
    misses nothing; of these pairs the one that reaches the target with the fewest deferrals.
    """
    names, sums = rows.settings.critical, rows.sums
    by_unsure = deferral.cuts_of(rows.unsure)
    by_prob = deferral.cuts_of(critical_probs(rows.questions, names))
    is_missed = (rows.is_critical & ~rows.questions.is_right).any(axis=1)
    # of the missed images that each cut keeps, the lowest level of the critical probability
    lowest = np.full(len(by_unsure.thresholds), len(by_prob.thresholds) - 1)
    np.minimum.at(lowest, by_unsure.levels[is_missed] + 1, by_prob.levels[is_missed])
    lowest = np.minimum.accumulate(lowest)
    most_kept, pair = 0.0, (-math.inf, math.inf)
    for level in np.unique(lowest):
        kept = by_unsure.kept(sums * (by_prob.levels < level)[:, None])
        is_possible = (lowest == level) & _reaches_target(kept, rows.settings)
        best = _last(is_possible)
        if is_possible[best] and kept[best, 0] > most_kept:
            most_kept = float(kept[best, 0])
            pair = (float(by_unsure.thresholds[best]), float(by_prob.thresholds[level]))
    return Policy(
        name="class_critical", threshold=pair[0], critical=names, critical_threshold=pair[1]
    )


_CHOICES: dict[PolicyName, Callable[[_Rows], Policy]] = {
    "threshold": _by_threshold,
    "budget": _by_budget,
    "cost": _by_cost,
    "class_critical": _by_class_critical,
}


def _reaches_target(kept: Floats, settings: TriageSettings) -> NDArray[np.bool_]:
    """(1 + L, 3) images, known and right answers -> (1 + L,); False where nothing known is kept."""
    return np.asarray(ratio(kept[:, 2], kept[:, 1]) >= settings.target_accuracy)


def _last(is_possible: NDArray[np.bool_]) -> int:
    """The last cut that is possible, which keeps the most images; 0, which keeps none, without."""
    found = np.flatnonzero(is_possible)
    return int(found[-1]) if found.size else 0


def _facts(policy: Policy, rows: _Rows) -> dict[str, float | None]:
    questions, settings = rows.questions, rows.settings
    defers = policy.defers(questions, rows.unsure)
    each = deferral.answer_sums(questions.is_known, questions.is_right, defers, rows.reader_right)
    sums = each.sum(axis=(0, 1))
    errors = deferral.automatic_errors(sums) + deferral.reader_errors(sums)
    num_images, num_deferred = len(questions), int(defers.sum())
    accuracy = float(deferral.kept_accuracy(sums))
    facts: dict[str, float | None] = {
        **{name: getattr(settings, name) for name in _AIMS[policy.name]},
        "n_images": num_images,
        "n_answers": int(sums[0]),
        "n_deferred": num_deferred,
        "deferral_rate": num_deferred / num_images,
        "kept_accuracy": None if math.isnan(accuracy) else accuracy,
        "cost_per_image": float(
            deferral.cost_per_image(
                errors,
                num_deferred,
                num_images,
                error_cost=settings.error_cost,
                review_cost=settings.review_cost,
            )
        ),
    }
    if settings.critical:
        is_missed = rows.is_critical & ~questions.is_right & ~defers[:, None]
        facts["n_critical"] = int(rows.is_critical.sum())
        facts["critical_misses"] = int(is_missed.sum())
    return facts
