"""Whether a model is as good for one group of patients as for the others."""

from collections.abc import Mapping, Sequence

import numpy as np

from csi_predictor.errors import LabelsError
from csi_predictor.evaluation.figures import Block, bootstrap_block, plain, with_intervals
from csi_predictor.evaluation.main_draws import LOWER_IS_BETTER, SIGNED, Answers
from csi_predictor.evaluation.subgroup_tests import (
    FEW_PATIENTS,
    UNKNOWN,
    AnswerSet,
    Draws,
    GapTests,
    Split,
    compared_images,
    figures_of,
    make_tests,
    measurable,
    split_by,
    why_too_few,
)
from csi_predictor.metrics.bootstrap import resample_patients

_CHANCE = 0.05
_MANY_ANSWERS, _MOST_ROUNDS = 100_000, 500  # of labels, which are ranked anew in each draw
_TITLES = {
    "zone_mae": "error of the grade (MAE)",
    "zone_qwk": "agreement (QWK)",
    "csi_mae": "error of the CSI (MAE)",
    "zone_bias": "bias of the grade",
    "auroc_macro": "AUROC",
    "sensitivity_macro": "sensitivity",
    "specificity_macro": "specificity",
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "ece": "calibration error (ECE)",
}


def subgroups_block(
    predictions: Answers,
    attributes: Mapping[str, Sequence[str | None]],
    *,
    rounds: int,
    seed: int,
) -> Block:
    """Main figures of each group, its gap to the others in the same draws, and warnings.

    The others of a group are the images with another known value. A gap's interval is that of the
    bootstrap over patients. Its p comes from shuffled groups: a bootstrap of a small group that is
    all right or all wrong doesn't vary, and of 12 patients simulated to be no worse than 150 others
    30 % of its p were below 0.05, of the shuffles' 2 to 4 %. Patients are shuffled; of one with
    images in several groups, each group's images. Holm corrects for all groups and figures at once,
    so that of twenty fair models at most one is warned of. Groups of few patients are shown, never
    warned of and never called equal.

    Of labels a gap is over those labels that have a known positive and a known negative both in the
    group and among the others. Unknown answers count nowhere, images without a known one neither.

    Args:
        predictions: N images with their truth.
        attributes: Name -> N values; None = unknown, a row of its own that isn't compared.
        rounds: Of the bootstrap; 0 = no intervals and no p. Of labels with very many answers at
            most 500 are drawn.
        seed: Of the bootstrap and of the shuffles.

    Raises:
        ValueError: An attribute hasn't one value an image, or there is none.
        LabelsError: No answer is known.
    """
    _check(predictions, attributes)
    known = np.flatnonzero(np.isfinite(predictions.targets).any(axis=1))
    answers = predictions.take(known)
    resampling = resample_patients(
        answers.patient_ids, rounds=_num_rounds(answers, rounds), seed=seed
    )
    whole = AnswerSet(answers=answers, resampling=resampling, figures=figures_of(answers))
    splits = [
        split_by(name, [values[i] for i in known.tolist()]) for name, values in attributes.items()
    ]
    tests = make_tests(whole, splits, rounds=rounds, seed=seed)
    rows = {split.name: _rows(whole, split, tests) for split in splits}
    return {
        "main": whole.figures[0],
        "figures": list(whole.figures),
        "titles": {name: _TITLES[name] for name in whole.figures},
        "lower_is_better": [name for name in whole.figures if name in LOWER_IS_BETTER],
        "min_patients": FEW_PATIENTS,
        "n_tests": len(tests.p_values) * len(whole.figures),
        "n_shuffles": tests.num_shuffles,
        "overall": _sizes(whole) | with_intervals(whole.draws()),
        "by_attribute": rows,
        "warnings": [line for name, groups in rows.items() for line in _warnings(name, groups)],
        "bootstrap": bootstrap_block(resampling, rounds, seed),
    }


def _check(predictions: Answers, attributes: Mapping[str, Sequence[str | None]]) -> None:
    if not attributes:
        raise ValueError("attributes is empty: expected at least one")
    for name, values in attributes.items():
        if len(values) != len(predictions):
            raise ValueError(
                f"{name} has {len(values)} values: expected {len(predictions)}, one an image"
            )
    if not np.isfinite(predictions.targets).any():
        raise LabelsError(
            f"subgroups: {len(predictions)} images and no known answer among them: expected at "
            "least one; choose another [EVALUATION] SPLIT or set [DATA] TEST_FRACTION above 0"
        )


def _num_rounds(answers: Answers, rounds: int) -> int:
    return min(rounds, _MOST_ROUNDS) if answers.targets.size > _MANY_ANSWERS else rounds


def _sizes(part: AnswerSet) -> Block:
    return {"n_images": len(part.answers), "n_patients": part.num_patients}


def _rows(whole: AnswerSet, split: Split, tests: GapTests) -> dict[str, Block]:
    """Value -> its row, the unknown ones last."""
    parts = [whole.take(np.flatnonzero(split.code == code)) for code in range(len(split.values))]
    own = [part.draws() for part in parts]
    rows = {
        value: _sizes(parts[code])
        | with_intervals(own[code])
        | _comparison(whole, split, code, tests, own)
        for code, value in enumerate(split.values)
    }
    if (split.code < 0).any():
        unknown = whole.take(np.flatnonzero(split.code < 0))
        figures = with_intervals(unknown.draws())
        rows[UNKNOWN] = _sizes(unknown) | figures | _not_compared("not compared")
    return rows


def _not_compared(verdict: str, sentence: str = "") -> Block:
    return {"gap": None, "verdict": verdict, "warning": False, "sentence": sentence}


def _comparison(
    whole: AnswerSet, split: Split, code: int, tests: GapTests, own: Sequence[Draws]
) -> Block:
    """A group beside the others.

    Args:
        whole: All answers.
        split: The attribute.
        code: Of the group.
        tests: Those of all attributes.
        own: The draws of each of the attribute's groups.
    """
    if len(split.values) < 2:
        return _not_compared("not compared")
    if why := why_too_few(whole, split, code):
        return _not_compared("too few to tell", why)
    draws = _draws_of_both(whole, split, code, own)
    if draws is None:
        return _not_compared("too few to tell", "no label is both present and absent in each.")
    mine, others = draws
    gap = with_intervals({name: mine[name] - others[name] for name in whole.figures})
    p_values = tests.p_values[split.test_of(code)]
    for name, (p, p_holm) in p_values.items():
        gap |= {f"{name}_p": plain(p), f"{name}_p_holm": plain(p_holm)}
    beyond = [n for n, (_, p) in p_values.items() if p < _CHANCE and gap[n] is not None]
    is_tested = not all(np.isnan(p) for p, _ in p_values.values())
    return {
        "gap": gap,
        "verdict": _verdict(gap, beyond) if is_tested else "not tested",
        "warning": bool(beyond),
        "sentence": _sentence(gap, beyond),
    }


def _draws_of_both(
    whole: AnswerSet, split: Split, code: int, own: Sequence[Draws]
) -> tuple[Draws, Draws] | None:
    """Of the group and of the others, over the same labels; None where no label can be measured."""
    compared, is_group = compared_images(split, code)
    everything = whole.take(compared)
    part = measurable(everything, is_group)
    if part is None:
        return None
    has_all = part is everything  # then the groups' own draws, which cost most, serve again
    mine = own[code] if has_all else part.take(np.flatnonzero(is_group)).draws()
    if has_all and len(own) == 2:
        return mine, own[1 - code]
    return mine, part.take(np.flatnonzero(~is_group)).draws()


def _verdict(gap: Block, beyond: Sequence[str]) -> str:
    if not beyond:
        return "no gap beyond chance"
    kinds = {
        "worse" if (gap[name] > 0) == (name in LOWER_IS_BETTER) else "better"
        for name in beyond
        if name not in SIGNED
    }
    return f"{kinds.pop() if len(kinds) == 1 else 'different'} beyond chance"


def _sentence(gap: Block, beyond: Sequence[str]) -> str:
    """`worse beyond chance: AUROC lower by 0.10 (0.05 to 0.15).`, or nothing."""
    parts = [f"{_TITLES[name]} {_distance(gap, name)}" for name in beyond]
    return f"{_verdict(gap, beyond)}: {', '.join(parts)}." if beyond else ""


def _distance(gap: Block, name: str) -> str:
    value, *ends = (gap[f"{name}{end}"] for end in ("", "_ci_low", "_ci_high"))
    direction = "higher" if value > 0 else "lower"
    sign = 1 if value > 0 else -1
    low, high = (None, None) if None in ends else sorted(sign * end for end in ends)
    spread = "" if low is None else f" ({low:.2f} to {high:.2f})"
    return f"{direction} by {abs(value):.2f}{spread}"


def _warnings(name: str, groups: Mapping[str, Block]) -> list[str]:
    """A sentence a group; of the better ones only where no group is worse, as of two groups."""
    warned = {value: row for value, row in groups.items() if row["warning"]}
    worse = {v: row for v, row in warned.items() if not row["verdict"].startswith("better")}
    return [f"{name} {value}: {row['sentence']}" for value, row in (worse or warned).items()]
