"""What damaged images do to a network's answers, and whether mirrored ones change its sides."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from csi_predictor.data.corruptions import CORRUPTIONS, SEVERITIES
from csi_predictor.evaluation.figures import Block, bootstrap_block, plain, with_intervals
from csi_predictor.evaluation.quantization import Answers, main_figure
from csi_predictor.inference.label_predictions import LabelPredictions
from csi_predictor.inference.predictions import Predictions
from csi_predictor.inference.questions import questions_of
from csi_predictor.metrics import calibration, counts, labels
from csi_predictor.metrics.bootstrap import Resampling, resample_patients
from csi_predictor.metrics.counts import Floats, ratio
from csi_predictor.specs import MIRRORED_ZONE_INDEX, NUM_GRADES

LEAST_ASYMMETRY = 0.05
"""Grades between right and left, on average, below which a swap can't be seen."""


@dataclass(frozen=True, kw_only=True)
class LightFigures:
    """The few figures that are worth computing for each kind of damage; NaN = undefined.

    Attributes:
        draws: Figure -> (1 + R,), of the images themselves first.
        ece: Gap of the given answers' confidence and their share of right ones.
        mean_confidence: Of the given answers.
        share_answers_changed: Of the answers whose truth is known, against the clean images'.
    """

    draws: Mapping[str, Floats]
    ece: float
    mean_confidence: float
    share_answers_changed: float


def light_figures(answers: Answers, clean: Answers, resampling: Resampling) -> LightFigures:
    """Figures of answers about damaged images, or of the clean ones themselves.

    Args:
        answers: About the damaged images.
        clean: About the same images in the same order, undamaged.
        resampling: Of these images, one for all kinds of damage, so that drops are paired.

    Raises:
        ValueError: The answers are about different images.
    """
    _check_same_images(answers, clean)
    asked, before = questions_of(answers), questions_of(clean)
    known, num_known = asked.is_known, asked.is_known.sum()
    bins = calibration.bin_sums(asked.confidence, asked.is_right, known).sum(axis=(0, 1))
    return LightFigures(
        draws=_main_draws(answers, resampling),
        ece=float(calibration.expected_calibration_error(bins)),
        mean_confidence=float(ratio(asked.confidence[known].sum(), num_known)),
        share_answers_changed=float(ratio((asked.given != before.given)[known].sum(), num_known)),
    )


def robustness_block(
    clean: LightFigures,
    corrupted: Mapping[str, Sequence[LightFigures]],
    *,
    main: str,
    resampling: Resampling,
    rounds: int,
    seed: int,
) -> Block:
    """How far the main figure falls with each kind of damage, and whether confidence falls with it.

    `drop` is the clean figure minus the damaged images', in the same draws of patients; `mean_drop`
    its mean over the severities.

    Args:
        clean: Of the undamaged images.
        corrupted: Name of `CORRUPTIONS` -> figures at severities 1 to 5.
        main: Name of the main figure, of which more is better.
        resampling: By which all figures were drawn.
        rounds: Asked for, of the bootstrap.
        seed: Of the bootstrap.

    Raises:
        ValueError: A kind of damage hasn't five severities.

    Source:
        Hendrycks and Dietterich 2019, arXiv:1903.12261: `mean_drop` is their relative corruption
        error of this figure, without its division by that of a reference network.
    """
    drops = {name: _drops(clean, each, main) for name, each in corrupted.items()}
    mean_drops = {name: each.mean(axis=0) for name, each in drops.items()}
    blocks = {
        name: {
            "title": CORRUPTIONS[name].title,
            "unit": CORRUPTIONS[name].unit,
            **with_intervals({"mean_drop": mean_drops[name]}),
            "severities": [
                {
                    "severity": severity,
                    "strength": float(CORRUPTIONS[name].strengths[severity - 1]),
                    **_figures_block(each, drops[name][severity - 1]),
                }
                for severity, each in zip(SEVERITIES, corrupted[name], strict=True)
            ],
        }
        for name in corrupted
    }
    overall = {"mean_drop": np.mean(list(mean_drops.values()), axis=0)} if mean_drops else {}
    return {
        "n_images": len(resampling.patient_index),
        "n_patients": resampling.num_patients,
        "main": main,
        "figures": list(clean.draws),
        "clean": _figures_block(clean),
        "corruptions": blocks,
        **with_intervals(overall),
        "worst": _largest({name: block["mean_drop"] for name, block in blocks.items()}),
        "beyond_chance": [
            name for name, block in blocks.items() if (block["mean_drop_ci_low"] or 0) > 0
        ],
        "worst_ece": _worst_ece(blocks),
        "bootstrap": bootstrap_block(resampling, rounds, seed),
    }


def laterality_block(
    original: Predictions,
    mirrored: Predictions,
    *,
    rounds: int = 1000,
    seed: int = 0,
    is_by_construction: bool = False,
) -> Block:
    """Whether the zones' grades change sides when left and right of the image do.

    The mirrored images' expected grades are held against the original's swapped ones, as which a
    network that looks at the image answers, and against the original's own, as which one answers
    that has learnt what usually is in each place. `swaps` is True or False, or None where it can't
    be told: the original's sides are too much alike, or the difference may be chance.

    Args:
        original: About the images as they are.
        mirrored: About the mirrored images, in the same order.
        rounds: Of the bootstrap over patients; 0 = no intervals.
        seed: Of the bootstrap.
        is_by_construction: Whether every look is averaged with the mirrored one.

    Raises:
        ValueError: The answers are about different images.
    """
    _check_same_images(original, mirrored)
    index = list(MIRRORED_ZONE_INDEX)
    kept, found = original.expected, mirrored.expected
    swapped = kept[:, index]
    to_swapped, to_kept = np.abs(found - swapped), np.abs(found - kept)
    is_told = original.grades != original.grades[:, index]
    cells = np.stack(
        [
            np.abs(kept - swapped),
            to_swapped,
            to_kept,
            np.ones_like(kept),
            is_told & (to_swapped < to_kept),
            is_told,
        ],
        axis=-1,
    )
    resampling = resample_patients(original.patient_ids, rounds=rounds, seed=seed)
    sums = resampling.sums(cells.sum(axis=1)) if len(original) else np.zeros((1, 6))
    asymmetry, from_swapped, from_kept = (ratio(sums[:, i], sums[:, 3]) for i in range(3))
    block = {
        "n_images": len(original),
        "n_patients": resampling.num_patients,
        "n_zones_told": int(is_told.sum()),
        **with_intervals(
            {
                "asymmetry": asymmetry,
                "difference_to_swapped": from_swapped,
                "difference_to_unswapped": from_kept,
                "nearer_to_swapped": from_kept - from_swapped,
                "share_following": ratio(sums[:, 4], sums[:, 5]),
            }
        ),
        "is_by_construction": is_by_construction,
        "bootstrap": bootstrap_block(resampling, rounds, seed),
    }
    swaps = _swaps(block)
    return {**block, "swaps": swaps, "sentence": _sentence(block, swaps)}


def _check_same_images(answers: Answers, clean: Answers) -> None:
    if answers.file_ids != clean.file_ids:
        raise ValueError("the answers are about different images: expected the same in one order")


def _main_draws(answers: Answers, resampling: Resampling) -> dict[str, Floats]:
    """Figure -> (1 + R,)."""
    if isinstance(answers, Predictions):
        each = counts.count_confusion(answers.targets, answers.grades, num_classes=NUM_GRADES)
        confusion = resampling.sums(each.sum(axis=1))
        return {
            "zone_qwk": counts.quadratic_weighted_kappa(confusion),
            "zone_mae": counts.mean_absolute_error(confusion),
        }
    name = main_figure(answers)
    draw = _accuracy if answers.is_multiclass else _auroc_macro
    return {name: draw(answers, resampling)}


def _accuracy(answers: LabelPredictions, resampling: Resampling) -> Floats:
    asked = questions_of(answers)
    cells = np.concatenate([asked.is_right & asked.is_known, asked.is_known], axis=1)
    sums = resampling.sums(cells.astype(np.float64))
    return ratio(sums[:, 0], sums[:, 1])


def _auroc_macro(answers: LabelPredictions, resampling: Resampling) -> Floats:
    """Mean over the labels that have both kinds."""
    draws = np.ascontiguousarray(resampling.weights.T)
    areas = []
    for truth, probs in zip(answers.truth.T, answers.probs.T, strict=True):
        known = np.isfinite(truth)
        patients = resampling.patient_index[known]
        areas.append(labels.ranked_areas(truth[known] == 1, probs[known], patients, draws)[0])
    return labels.mean_of_defined(np.stack(areas, axis=1))


def _drops(clean: LightFigures, corrupted: Sequence[LightFigures], main: str) -> Floats:
    """(5, 1 + R)."""
    if len(corrupted) != len(SEVERITIES):
        raise ValueError(f"{len(corrupted)} severities: expected {len(SEVERITIES)}, from 1 on")
    return np.stack([clean.draws[main] - each.draws[main] for each in corrupted])


def _figures_block(figures: LightFigures, drop: Floats | None = None) -> Block:
    draws = dict(figures.draws) | ({} if drop is None else {"drop": drop})
    return {
        **with_intervals(draws),
        "ece": plain(figures.ece),
        "mean_confidence": plain(figures.mean_confidence),
        "share_answers_changed": plain(figures.share_answers_changed),
    }


def _largest(values: Mapping[str, float | None]) -> str | None:
    known = {name: value for name, value in values.items() if value is not None}
    return max(known, key=lambda name: known[name]) if known else None


def _worst_ece(blocks: Mapping[str, Block]) -> Block | None:
    """Where confidence is furthest from what it promises."""
    every = [
        {"corruption": name, **each}
        for name, block in blocks.items()
        for each in block["severities"]
    ]
    known = [each for each in every if each["ece"] is not None]
    if not known:
        return None
    worst = max(known, key=lambda each: each["ece"])
    return {name: worst[name] for name in ("corruption", "severity", "ece", "mean_confidence")}


def _swaps(block: Block) -> bool | None:
    if not block["n_images"] or block["asymmetry"] < LEAST_ASYMMETRY:
        return None
    low, high = block["nearer_to_swapped_ci_low"], block["nearer_to_swapped_ci_high"]
    if low is not None and low <= 0 <= high:
        return None
    return bool(block["nearer_to_swapped"] > 0)


def _sentence(block: Block, swaps: bool | None) -> str:
    if not block["n_images"]:
        return "No image was mirrored."
    if swaps is None and block["asymmetry"] < LEAST_ASYMMETRY:
        return (
            "Whether the grades change sides with the image can't be told: right and left differ "
            f"by only {block['asymmetry']:.2f} grades on average."
        )
    distances = (
        f"the mirrored images' grades are {block['difference_to_swapped']:.2f} from the swapped "
        f"ones and {block['difference_to_unswapped']:.2f} from the unswapped ones, on average"
    )
    if swaps is None:
        return (
            f"Whether the grades change sides with the image can't be told: {distances}, which may "
            "be chance."
        )
    if not swaps:
        return (
            f"The grades do not change sides with the image: {distances}. The model answers more "
            "by where a zone lies than by what is seen there: its sides can't be trusted."
        )
    reason = " It is so by construction: each image is averaged with its mirrored look."
    return f"The grades change sides with the image: {distances}." + (
        reason if block["is_by_construction"] else ""
    )
