"""Whether the model knows where it errs, and whether its prediction sets hold what they promise."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from csi_predictor.evaluation.figures import Block, plain, with_intervals
from csi_predictor.inference.predictions import Floats
from csi_predictor.inference.questions import Questions
from csi_predictor.inference.spread import Spread
from csi_predictor.metrics import selective
from csi_predictor.metrics.bootstrap import Resampling
from csi_predictor.metrics.counts import ratio
from csi_predictor.uncertainty.conformal import Conformal
from csi_predictor.uncertainty.measures import MeasureName, available_measures
from csi_predictor.uncertainty.measures import measure as uncertainty_of

Draws = dict[str, Floats]
"""Figure -> (1 + R,)."""

KEPT = 0.8
"""Share of the answers at which the remaining risk is told."""

_CURVE_POINTS = 100
_Z = 1.96  # 95 %
_FEWEST_PASSES = 2


def uncertainty_block(
    questions: Questions, spread: Spread | None, resampling: Resampling, *, measure: MeasureName
) -> Block:
    """How well each measure of uncertainty finds errors, over all answers with a known truth.

    Risk is the share of wrong answers, `risk_fall_at_80` how much of it goes in the same draws of
    patients. Of grades the mean absolute error stands beside it, and is what `spearman` correlates
    with. AURC, AUROC and correlations have no interval: to rank many answers anew in every draw
    would take minutes.

    Args:
        questions: Answers and truth.
        spread: Of the passes; of None or one pass, how far they disagree can't be told.
        resampling: Of the images' patients.
        measure: Whose curve and figures by question are given.

    Raises:
        ConfigError: The measure compares passes and there are fewer than two.
    """
    known, losses = questions.is_known, _losses(questions)
    chosen = uncertainty_of(questions, spread, measure)
    draws = np.ascontiguousarray(resampling.weights.T)
    whole = _whole_risks(questions, losses, resampling)

    def figures(uncertainty: Floats, is_counted: NDArray[np.bool_], at_100: Draws) -> Block:
        rows, columns = np.nonzero(is_counted)
        unsure, lost = uncertainty[rows, columns], losses[rows, columns]
        kept = selective.risk_draws(
            unsure, lost, resampling.patient_index[rows], draws, coverage=KEPT
        )
        at_80 = {f"{name}_at_80": kept[:, i] for i, name in enumerate(_loss_names(questions))}
        fall = {"risk_fall_at_80": at_100["risk_at_100"] - kept[:, 0]}
        return {**_ranks(unsure, lost), **with_intervals({**at_100, **at_80, **fall})}

    return {
        "measure": measure,
        "is_ordered": questions.is_ordered,
        "kept": KEPT,
        "n_answers": int(known.sum()),
        "n_wrong": int(losses[known][:, 0].sum()),
        "num_passes": 1 if spread is None else spread.num_passes,
        "measures": {
            name: figures(uncertainty_of(questions, spread, name), known, whole[-1])
            for name in available_measures(spread)
        },
        "curve": _curve(chosen[known], losses[known], _loss_names(questions)),
        **_parts(spread, known),
        "by_question": {
            name: {
                "n": int(known[:, q].sum()),
                "n_wrong": int(losses[known[:, q], q, 0].sum()),
                **figures(chosen, known & (np.arange(len(questions.names)) == q), whole[q]),
            }
            for q, name in enumerate(questions.names)
        },
    }


def conformal_block(
    questions: Questions,
    conformal: Conformal | Sequence[Conformal],
    resampling: Resampling,
    *,
    sets: NDArray[np.bool_] | None = None,
) -> Block:
    """What the prediction sets hold and how large they are, over answers with a known truth.

    The promise is for all answers together: by question and by true answer the coverage may well be
    lower.

    Args:
        questions: Answers and truth.
        conformal: Fitted on other patients; of pooled folds, each fold's.
        resampling: Of the images' patients.
        sets: (N, Q, C), each image's by its own fold; None = made here, each with the answer given.

    Raises:
        ValueError: Several folds' and no sets.
    """
    folds = (conformal,) if isinstance(conformal, Conformal) else tuple(conformal)
    if sets is None and len(folds) != 1:
        raise ValueError(f"prediction sets of {len(folds)} folds: expected the sets themselves")
    sets = folds[0].sets(questions.probs, questions.given) if sets is None else sets
    known = questions.is_known
    truth = np.where(known, questions.targets, 0).astype(np.int64)
    is_covered = known & np.take_along_axis(sets, truth[..., None], axis=-1)[..., 0]
    size = np.where(known, sets.sum(axis=-1), 0)
    num_answers = len(questions.answers)
    sizes = np.arange(1, num_answers + 1)
    each = np.stack([known, is_covered, size, size == 1, size == num_answers], axis=-1)

    def by_kind(is_kind: NDArray[np.bool_]) -> Floats:
        """(N, Q, K) -> (1 + R, K, 5)."""
        return resampling.sums(np.einsum("nqk,nqf->nkf", is_kind.astype(np.float64), each))

    by_question = resampling.sums(each.astype(np.float64))  # (1 + R, Q, 5)
    by_answer = by_kind((truth[..., None] == np.arange(num_answers)) & known[..., None])
    by_size = by_kind(size[..., None] == sizes)
    return {
        "coverage_asked": folds[0].coverage,
        "is_ordered": questions.is_ordered,
        "num_folds": len(folds),
        "threshold": plain(folds[0].threshold) if len(folds) == 1 else None,
        "has_too_few": any(fold.has_too_few for fold in folds),
        "num_calibration": min(fold.num_calibration for fold in folds),
        "num_calibration_patients": min(fold.num_patients for fold in folds),
        "fewest_patients": folds[0].fewest_patients,
        "num_possible": num_answers,
        **_set_figures(by_question.sum(axis=1)),
        **_coverage_of_patients(known, is_covered, resampling, folds),
        "by_size": {
            str(k): _set_figures(by_size[:, i], ("coverage",)) for i, k in enumerate(sizes)
        },
        "by_question": {
            name: _set_figures(by_question[:, q]) for q, name in enumerate(questions.names)
        },
        "by_answer": {
            name: _set_figures(by_answer[:, k]) for k, name in enumerate(questions.answers)
        },
    }


def _coverage_of_patients(
    known: NDArray[np.bool_],
    is_covered: NDArray[np.bool_],
    resampling: Resampling,
    folds: Sequence[Conformal],
) -> Block:
    """What the promise is about: each patient counts once, however many answers there are.

    `is_short` tells whether the share found is lower than asked by more than the chance of these
    patients and of those that the sets were fitted on, whose coverage spreads about the one asked
    with a variance of c (1 - c) / (n + 2); None without intervals.

    Source:
        Vovk 2012, arXiv:1209.2673: the coverage given the calibration set is Beta distributed.
    """
    patients = resampling.patient_index
    num_known = np.bincount(patients, weights=known.sum(axis=1), minlength=resampling.num_patients)
    shares = 1 / np.maximum(num_known, 1)[patients]  # (N,)
    counts = np.stack([known.sum(axis=1), is_covered.sum(axis=1)], axis=1) * shares[:, None]
    sums = resampling.sums(counts)
    draws = ratio(sums[:, 1], sums[:, 0])
    found = with_intervals({"coverage_of_patients": draws})
    asked, size = folds[0].coverage, sum(fold.num_patients for fold in folds)
    value, low = found["coverage_of_patients"], found["coverage_of_patients_ci_low"]
    is_short = None
    if value is not None and low is not None:
        chance = float(np.nanvar(draws[1:])) + asked * (1 - asked) / (size + 2)
        is_short = bool(asked - value > _Z * np.sqrt(chance))
    return {**found, "is_short": is_short}


def _losses(questions: Questions) -> Floats:
    """(N, Q, L) wrong or not, and of grades the distance; 0 where the truth is unknown."""
    known = questions.is_known
    wrong = known & ~questions.is_right
    if not questions.is_ordered:
        return wrong[..., None].astype(np.float64)
    distance = np.abs(questions.given - np.where(known, questions.targets, questions.given))
    return np.stack([wrong, distance], axis=-1).astype(np.float64)


def _loss_names(questions: Questions) -> tuple[str, ...]:
    return ("risk", "mae") if questions.is_ordered else ("risk",)


def _whole_risks(questions: Questions, losses: Floats, resampling: Resampling) -> list[Draws]:
    """Of each question, and last of all together; nothing is left out."""
    counts = np.concatenate([questions.is_known[..., None], losses], axis=-1)
    sums = resampling.sums(counts)  # (1 + R, Q, 1 + L)
    sums = np.concatenate([sums, sums.sum(axis=1, keepdims=True)], axis=1)
    return [
        {
            f"{name}_at_100": ratio(sums[:, q, 1 + i], sums[:, q, 0])
            for i, name in enumerate(_loss_names(questions))
        }
        for q in range(sums.shape[1])
    ]


def _ranks(uncertainty: Floats, losses: Floats) -> Block:
    """What rests on the order of (M,) uncertainties alone; losses (M, L), the last is graded."""
    is_wrong = losses[:, 0] > 0
    rho, rho_p = selective.spearman(uncertainty, losses[:, -1])
    correlation, correlation_p = selective.point_biserial(uncertainty, is_wrong)
    return {
        "aurc": plain(selective.aurc(uncertainty, losses[:, 0])),
        "excess_aurc": plain(selective.excess_aurc(uncertainty, losses[:, 0])),
        "error_auroc": plain(selective.error_auroc(uncertainty, is_wrong)),
        "spearman": plain(rho),
        "spearman_p": plain(rho_p),
        "point_biserial": plain(correlation),
        "point_biserial_p": plain(correlation_p),
    }


def _curve(uncertainty: Floats, losses: Floats, names: tuple[str, ...]) -> Block:
    """At most 100 points of the risk-coverage curve, and the risk of the ideal order."""
    num_answers = len(uncertainty)
    num_points = min(num_answers, _CURVE_POINTS)
    shares = np.arange(1, num_points + 1) / max(num_points, 1)
    places = selective.num_kept(shares, num_answers).astype(np.int64) - 1
    lines = {
        name: selective.risk_coverage(uncertainty, losses[:, i])[1] for i, name in enumerate(names)
    }
    lines["ideal"] = selective.ideal_risk(losses[:, 0])
    coverage = (places + 1) / max(num_answers, 1)
    return {
        "coverage": coverage.tolist(),
        **{name: risks[places].tolist() for name, risks in lines.items()},
    }


def _parts(spread: Spread | None, known: NDArray[np.bool_]) -> Block:
    """Means of total, aleatoric and epistemic uncertainty, nats; one pass can't be taken apart."""
    names = ("total", "aleatoric", "epistemic")
    if spread is None or spread.num_passes < _FEWEST_PASSES or not known.any():
        return dict.fromkeys(names)
    return {name: float(getattr(spread, name)[known].mean()) for name in names}


def _set_figures(
    sums: Floats, names: tuple[str, ...] = ("coverage", "mean_size", "single", "whole")
) -> Block:
    """Of sums (1 + R, 5): answers, covered, sizes, sets of one answer, sets of all answers."""
    count, covered, size, single, whole = np.moveaxis(sums, -1, 0)
    figures = {
        "coverage": ratio(covered, count),
        "mean_size": ratio(size, count),
        "single": ratio(single, count),
        "whole": ratio(whole, count),
    }
    return {"n": int(count[0]), **with_intervals({name: figures[name] for name in names})}
