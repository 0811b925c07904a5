"""What the frozen triage policies give on rows that they have never seen.

Nothing is chosen here: the policies come from validation rows, and the one curve over all rates of
deferral is a description.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict

import numpy as np
from numpy.typing import NDArray

from csi_predictor.evaluation.figures import Block, plain, with_intervals
from csi_predictor.evaluation.triage_draws import (
    DIFFICULTIES,
    TriageCase,
    sums_of,
    triage_case,
)
from csi_predictor.evaluation.triage_sentence import policy_sentence
from csi_predictor.inference.predictions import Floats
from csi_predictor.inference.questions import Questions
from csi_predictor.metrics import deferral
from csi_predictor.metrics.bootstrap import Resampling
from csi_predictor.metrics.counts import ratio
from csi_predictor.uncertainty.triage import Policy, TriageSettings

SWEEP_NOTE = "Descriptive only, from the evaluated rows: not used to choose anything."

_SWEEP_STEPS = 100
_CELLS_AT_ONCE = 4_000_000  # of confusion tables, which bounds the memory


def triage_block(
    questions: Questions,
    unsure: Floats,
    policies: Sequence[Policy],
    *,
    settings: TriageSettings,
    resampling: Resampling,
    second_reader: Floats | None = None,
    defers: Mapping[str, NDArray[np.bool_]] | None = None,
) -> Block:
    """The system of model and reader under each policy, beside the model and the reader alone.

    Args:
        questions: N images, none of which the policies were chosen on.
        unsure: (N,) uncertainty, of the measure that the policies were chosen with.
        policies: Frozen.
        settings: Costs, critical answers and what is assumed of the reader.
        resampling: Of the N images.
        second_reader: (N, Q) index of another reader's answer, NaN = none: what became of the
            deferred images had that reader got them.
        defers: By policy (N,) which images it gives to the reader, where folds were judged each by
            its own threshold; None = as `policies` say.

    Raises:
        ValueError: `unsure` isn't N finite numbers, a second reader's answer is none or the table
            isn't (N, Q), or the settings don't fit the answers.
    """
    case = triage_case(
        questions,
        unsure,
        settings=settings,
        resampling=resampling,
        second_reader=second_reader,
    )
    everything = np.ones(len(questions), dtype=np.bool_)
    return {
        "n_images": len(questions),
        "n_answers": int(questions.is_known.sum()),
        "policies": {
            policy.name: _policy_block(policy, case, (defers or {}).get(policy.name))
            for policy in policies
        },
        "model_alone": _system_block(sums_of(case, ~everything), case),
        "reader_alone": _system_block(sums_of(case, everything), case),
        "reader": _reader_block(case),
        "settings": {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in asdict(settings).items()
        },
        "sweep": {"note": SWEEP_NOTE, "points": _sweep(case)},
    }


def _policy_block(policy: Policy, case: TriageCase, defers: NDArray[np.bool_] | None) -> Block:
    if policy.skipped:
        return {
            "skipped": policy.skipped,
            "sentence": policy_sentence(policy, {}, case.settings),
        }
    if defers is None:
        defers = policy.defers(case.questions, case.unsure)
    block = _system_block(sums_of(case, defers), case)
    return {
        "skipped": None,
        "threshold": plain(policy.threshold),
        "critical_threshold": plain(policy.critical_threshold),
        **block,
        "defers_everything": bool(len(defers)) and bool(defers.all()),
        "defers_nothing": not defers.any(),
        "sentence": policy_sentence(policy, block, case.settings),
        "validation": dict(policy.chosen),
        "confusion": _confusion(case, defers),
    }


def _system_block(sums: Mapping[str, Floats], case: TriageCase) -> Block:
    """Every figure of one system from its draws, see `triage_draws.sums_of`."""
    answers, harder = sums["difficulty"].sum(axis=1), sums["harder"].sum(axis=1)
    images, deferred = np.moveaxis(sums["images"].sum(axis=1), -1, 0)
    errors = deferral.automatic_errors(answers) + deferral.reader_errors(answers)
    costs = {"error_cost": case.settings.error_cost, "review_cost": case.settings.review_cost}
    cost = deferral.cost_per_image(errors, deferred, images, **costs)
    by_model = deferral.cost_per_image(deferral.model_errors(answers), 0, images, **costs)
    by_reader = deferral.cost_per_image(sums["reader_errors"], images, images, **costs)
    rate = ratio(deferred, images)
    return {
        "n_images": int(images[0]),
        "n_deferred": int(deferred[0]),
        "n_kept_answers": int(answers[0, 2]),
        "wrong_answers": plain(errors[0]),
        "wrong_automatic_answers": int(deferral.automatic_errors(answers)[0]),
        **with_intervals(
            {
                "deferral_rate": rate,
                "automation": 1 - rate,
                "kept_accuracy": deferral.kept_accuracy(answers),
                "system_accuracy": deferral.system_accuracy(answers),
                "system_accuracy_harder_cases": deferral.system_accuracy(harder),
                "gain_over_model": deferral.system_accuracy(answers)
                - deferral.model_accuracy(answers),
                "cost_per_image": cost,
                "cost_saved_over_model": by_model - cost,
                "cost_saved_over_reader": by_reader - cost,
            }
        ),
        "critical": _critical_block(sums["critical"], case),
        "second_reader": _second_block(sums["second"], answers, case),
        "by_answer": _by_name(case.questions.answers, sums["answers"]),
        "by_question": _by_name(case.questions.names, sums["questions"]),
        "by_difficulty": _by_difficulty(sums),
    }


def _by_name(names: Sequence[str], sums: Floats) -> Block:
    """Of each question, or of each true answer: (1 + R, names, 5)."""
    return {name: _group_block(sums[:, index]) for index, name in enumerate(names)}


def _group_block(sums: Floats) -> Block:
    return {"n_answers": int(sums[0, 0]), "n_kept_answers": int(sums[0, 2])} | with_intervals(
        {
            "model_accuracy": deferral.model_accuracy(sums),
            "kept_accuracy": deferral.kept_accuracy(sums),
            "system_accuracy": deferral.system_accuracy(sums),
        }
    )


def _by_difficulty(sums: Mapping[str, Floats]) -> Block:
    blocks: Block = {}
    for index, name in enumerate(DIFFICULTIES):
        images, deferred = np.moveaxis(sums["images"][:, index], -1, 0)
        harder = deferral.system_accuracy(sums["harder"][:, index])
        blocks[name] = {
            "n_images": int(images[0]),
            **_group_block(sums["difficulty"][:, index]),
            **with_intervals(
                {
                    "deferral_rate": ratio(deferred, images),
                    "system_accuracy_harder_cases": harder,
                }
            ),
        }
    return blocks


def _critical_block(sums: Floats, case: TriageCase) -> Block | None:
    """Critical truths answered wrong, by whom; None where nothing is called critical."""
    if not case.settings.critical:
        return None
    automatic, reader = deferral.automatic_errors(sums), deferral.reader_errors(sums)
    return {
        "n_truths": int(sums[0, 0]),
        "n_automatic": int(sums[0, 2]),
        "misses_model_alone": int(deferral.model_errors(sums)[0]),
        "misses_automatic": int(automatic[0]),
        "misses_reader": plain(reader[0]),
        "misses": plain(automatic[0] + reader[0]),
        **with_intervals({"miss_rate": ratio(automatic + reader, sums[:, 0])}),
    }


def _second_block(second: Floats, answers: Floats, case: TriageCase) -> Block | None:
    """With the second reader's real answers on the deferred images; None without such a reader."""
    if not case.has_second_reader:
        return None
    read, right = np.moveaxis(second, -1, 0)
    system = deferral.system_accuracy_of_readings(answers, read, right)
    return {
        "n_deferred_answers": int(answers[0, 0] - answers[0, 2]),
        "n_read": int(read[0]),
        **with_intervals({"reader_accuracy": ratio(right, read), "system_accuracy": system}),
    }


def _reader_block(case: TriageCase) -> Block:
    """What is assumed of the reader: by true answer, and by difficulty in the second variant."""
    known = case.reader_right[case.questions.is_known]
    mean = float(known.mean()) if known.size else math.nan
    by_answer = case.settings.reader_by_answer(case.questions)
    return {
        "accuracy": plain(mean),
        "by_answer": {
            name: float(value)
            for name, value in zip(case.questions.answers, by_answer, strict=True)
        },
        "harder_cases": {
            name: plain(mean + shift) for name, shift in zip(DIFFICULTIES, case.shifts, strict=True)
        },
        "difficulty_from": case.difficulty_from,
    }


def _confusion(case: TriageCase, defers: NDArray[np.bool_]) -> Block:
    """Model on all images, reader on the deferred (expected counts), system; rows are the truth."""
    questions = case.questions
    num_answers = len(questions.answers)
    total = np.zeros((3, num_answers, num_answers))
    step = max(1, _CELLS_AT_ONCE // (len(questions.names) * num_answers**2))
    for start in range(0, len(questions), step):
        part = slice(start, start + step)
        total += deferral.confusion_sums(
            questions.targets[part],
            questions.given[part],
            defers[part],
            case.reader_right[part],
            num_answers=num_answers,
            is_ordered=questions.is_ordered,
        ).sum(axis=0)
    tables = np.round(total, 4).tolist()
    return dict(zip(("model", "reader", "system"), tables, strict=True))


def _sweep(case: TriageCase) -> list[Block]:
    """At most 101 points, from no deferral to everything, by the images' uncertainty alone."""
    questions = case.questions
    if not len(questions):
        return []
    known, right = questions.is_known, questions.is_known & questions.is_right
    ones = np.ones((len(questions), 1))
    sums = [each.sum(axis=1, keepdims=True) for each in (known, right, case.reader_right)]
    cuts = deferral.cuts_of(case.unsure)
    table = cuts.kept(np.concatenate([ones, *sums], axis=1))[::-1]  # none deferred first
    images, num_known, num_right, by_reader = table.T
    rates = 1 - ratio(images, images.max())
    steps = np.searchsorted(rates, np.linspace(0, 1, _SWEEP_STEPS + 1))
    system = ratio(num_right + by_reader.max() - by_reader, num_known.max())
    kept = ratio(num_right, num_known)
    return [
        {
            "deferral_rate": plain(rates[index]),
            "system_accuracy": plain(system[index]),
            "kept_accuracy": plain(kept[index]),
        }
        for index in np.unique(np.minimum(steps, len(rates) - 1))
    ]
