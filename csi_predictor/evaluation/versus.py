"""Two models about the same images: which is better, and whether that may be chance."""

import numpy as np

from csi_predictor.errors import LabelsError
from csi_predictor.evaluation.figures import Block, plain, with_intervals
from csi_predictor.evaluation.label_delong import areas_of
from csi_predictor.evaluation.main_draws import (
    LOWER_IS_BETTER,
    SIGNED,
    Answers,
    counted_draws,
    ranked_draws,
)
from csi_predictor.evaluation.quantization import main_figure
from csi_predictor.inference.label_predictions import LabelPredictions
from csi_predictor.inference.predictions import Floats, Predictions
from csi_predictor.inference.questions import Questions, questions_of
from csi_predictor.metrics.bootstrap import Resampling
from csi_predictor.metrics.delong import area_difference
from csi_predictor.metrics.paired import bootstrap_p, holm, mcnemar

FEW_PATIENTS = 10
"""Below it no model is called better or worse."""

_CHANCE = 0.05
_FEWEST_DIFFERENT = 6  # that all of 5 favour one side has p = 2 / 2 ** 5 > 0.05, of 6 below it


def versus_block(mine: Answers, other: Answers, resampling: Resampling) -> Block:
    """Main figures of both models, the gain of the first in the same draws, and a verdict.

    A gain is positive where the first model is better. The verdict is of the main figure alone, by
    the paired bootstrap over patients; the p of the other figures are as they are. McNemar's test
    (by question: zone, label or the class) and the test of two areas (by label or class) are each
    corrected by Holm for how many there are. McNemar takes images as independent: with several of a
    patient its p is too small. The CSI is compared over images for which both models give one.

    Args:
        mine: Of the model that is evaluated.
        other: Of the model that it is compared with, about the same images in the same order.
        resampling: Draws of their patients.

    Raises:
        ValueError: The answers are about different images, or their truth differs.
        LabelsError: The models answer different questions.
    """
    _check(mine, other)
    main = main_figure(mine)
    ours, theirs = _draws(mine, other, resampling), _draws(other, mine, resampling)
    names = [main, *(name for name in ours if name != main)]
    gains = {name: _sign(name) * (ours[name] - theirs[name]) for name in names}
    p_values = {name: bootstrap_p(gains[name]) for name in names}
    num_different = _num_patients_that_differ(mine, other, resampling)
    verdict, reason = _verdict(
        float(gains[main][0]), p_values[main], resampling.num_patients, num_different
    )
    return {
        "main": main,
        "verdict": verdict,
        "reason": reason,
        "n_images": len(mine),
        "n_patients": resampling.num_patients,
        "n_patients_that_differ": num_different,
        "has_one_image_a_patient": len(mine) == resampling.num_patients,
        "lower_is_better": [name for name in names if name in LOWER_IS_BETTER],
        "figures": {
            name: with_intervals({"mine": ours[name], "other": theirs[name], "gain": gains[name]})
            | {"p": plain(p_values[name])}
            for name in names
        },
        "by_question": _by_question(questions_of(mine), questions_of(other)),
        "areas": _areas(mine, other),
    }


def _check(mine: Answers, other: Answers) -> None:
    kinds = [_kind(each) for each in (mine, other)]
    if kinds[0] != kinds[1]:
        raise LabelsError(
            f"[EVALUATION] COMPARE_MODEL: that model answers {kinds[1]}, this one {kinds[0]}: "
            "expected the same answers in the same order"
        )
    if mine.file_ids != other.file_ids:
        raise ValueError("the answers are about different images: expected the same in one order")
    if not np.array_equal(mine.targets, other.targets, equal_nan=True):
        raise ValueError("the truth of the two models' answers differs: expected one labels table")


def _kind(answers: Answers) -> str:
    if isinstance(answers, Predictions):
        return "six zones"
    return f"{answers.target_spec.task} of {', '.join(answers.names)}"


def _draws(answers: Answers, beside: Answers, resampling: Resampling) -> dict[str, Floats]:
    if isinstance(answers, LabelPredictions):
        ranked = ranked_draws(answers, resampling)
        return ranked | counted_draws(answers, resampling)
    csi = answers.csi
    if isinstance(beside, Predictions):
        csi = np.where(np.isnan(beside.csi), np.nan, csi)
    draws = counted_draws(answers, resampling, csi=csi)
    return {name: values for name, values in draws.items() if name not in SIGNED}


def _sign(name: str) -> int:
    return -1 if name in LOWER_IS_BETTER else 1


def _num_patients_that_differ(mine: Answers, other: Answers, resampling: Resampling) -> int:
    """Patients with a known truth to which the models answer differently.

    Labels are ranked by their probability, so of labels it is that which has to differ.
    """
    ours, theirs = questions_of(mine), questions_of(other)
    is_other = ours.given != theirs.given
    if main_figure(mine) == "auroc_macro":
        is_other = (ours.probs != theirs.probs).any(axis=-1)
    has_changed = (is_other & ours.is_known).any(axis=1)
    return int(np.unique(resampling.patient_index[has_changed]).size)


def _verdict(gain: float, p: float, num_patients: int, num_different: int) -> tuple[str, str]:
    """In words, and why there is no other verdict."""
    if num_different == 0 and not np.isnan(gain):
        return "can't be told apart", "Both models give the same answers."
    if num_patients < FEW_PATIENTS:
        return "too few to tell", f"Fewer than {FEW_PATIENTS} patients."
    if np.isnan(p):
        return "not tested", "The figure is undefined, or no rounds of the bootstrap were drawn."
    if p >= _CHANCE:
        return "can't be told apart", "A gain of this size may be chance."
    if num_different < _FEWEST_DIFFERENT:
        return (
            "can't be told apart",
            f"The models differ in fewer than {_FEWEST_DIFFERENT} patients, which may be chance.",
        )
    return ("better" if gain > 0 else "worse") + " beyond chance", ""


def _by_question(mine: Questions, other: Questions) -> dict[str, Block]:
    """Right and wrong of both models, question by question."""
    blocks: dict[str, Block] = {}
    tests = []
    for q, name in enumerate(mine.names):
        known = mine.is_known[:, q]
        ours, theirs = mine.is_right[known, q], other.is_right[known, q]
        test = mcnemar(ours, theirs)
        tests.append(test.p)
        blocks[name] = {
            "n": int(known.sum()),
            "n_changed": int((mine.given[known, q] != other.given[known, q]).sum()),
            "mine_right": int(ours.sum()),
            "other_right": int(theirs.sum()),
            "only_mine_right": test.only_first,
            "only_other_right": test.only_second,
            "mcnemar_chi_square": plain(test.chi_square),
            "mcnemar_chi_square_p": plain(test.p_chi_square),
            "mcnemar_p": plain(test.p),
        }
    for block, p in zip(blocks.values(), holm(tests), strict=True):
        block["mcnemar_p_holm"] = plain(p)
    return blocks


def _areas(mine: Answers, other: Answers) -> dict[str, Block]:
    """The AUROC of both models by label or class; of two classes that of the second."""
    if isinstance(mine, Predictions) or isinstance(other, Predictions):
        return {}
    is_binary = mine.is_multiclass and len(mine.names) == 2
    blocks: dict[str, Block] = {}
    tests = []
    for k in range(1 if is_binary else 0, len(mine.names)):
        areas = areas_of([mine, other], k)
        difference = area_difference(areas)
        tests.append(difference.p)
        blocks[mine.names[k]] = {
            "auroc_mine": plain(areas.values[0]),
            "auroc_other": plain(areas.values[1]),
            "gain": plain(difference.value),
            "gain_ci_low": plain(difference.ci_low),
            "gain_ci_high": plain(difference.ci_high),
            "p": plain(difference.p),
        }
    for block, p in zip(blocks.values(), holm(tests), strict=True):
        block["p_holm"] = plain(p)
    return blocks
