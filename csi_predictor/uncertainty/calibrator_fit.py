"""A calibrator from validation images: the smallest negative log likelihood of known answers."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, log_softmax
from sklearn.isotonic import IsotonicRegression

from csi_predictor.inference.predictions import Floats
from csi_predictor.inference.questions import Questions
from csi_predictor.uncertainty.calibrators import (
    MAX_TEMPERATURE,
    MIN_TEMPERATURE,
    Calibrator,
    Method,
    Parameters,
    Scope,
    answer_logits,
    is_by_threshold,
    log_probs,
    shares_above,
    threshold_logits,
)

MIN_KNOWN = 30
"""Known answers below which nothing is fitted."""

Index = NDArray[np.int64]
Loss = Callable[[Floats, Index], tuple[float, Floats]]
"""Logits (M, L) and truth (M,) -> their mean loss and its derivative (M, L)."""

_SCALES = (1 / MAX_TEMPERATURE, 1 / MIN_TEMPERATURE)
_OFFSETS = (-20.0, 20.0)
_SMALLEST_GAP = 1e-6  # of two neighbouring threshold logits, as in `zone_logits`


@dataclass(frozen=True)
class _Known:
    """Probabilities (M, C) and truth (M,) of the known answers."""

    probs: Floats
    truth: Index
    is_ordered: bool

    @property
    def is_by_threshold(self) -> bool:
        return is_by_threshold(self.probs, is_ordered=self.is_ordered)


def fit_calibrator(questions: Questions, *, method: Method, scope: Scope) -> Calibrator:
    """The calibrator of these images, which must not be those that it is measured on.

    - `temperature`: softmax(log p / T); of grades sigmoid(logit P(grade > k) / T), whose median
      grade is that of before. T lies in 0.2 to 20.
    - `vector`: softmax(w log p + b) with a w > 0 and a b for each answer; of two answers
      sigmoid(a logit(p) + b) (Platt), of grades sigmoid(a logit P(grade > k) + b_k), made falling
      by the running minimum. w and a lie in 0.05 to 5, b in -20 to 20; no penalty holds them back,
      so it asks for many images.
    - `isotonic`: a rising curve of the probability; of grades one for each P(grade > k), made
      falling by the running minimum, of three and more classes one for each against the rest, then
      brought to a sum of 1. To the n known answers one of each kind is added, (n q + 1) / (n + C),
      as a step of the curve at 0 or 1 would else be certain for want of examples.

    With scope `question`, one of fewer than 30 known answers, or of too few kinds among them, gets
    the parameters of all questions together. Too few kinds are fewer than two for `temperature`,
    and fewer than all answers for the others, which would learn that an answer never occurs. Where
    that, or too few known answers, holds of all questions together, the calibrator is `none` and
    tells the reason.

    Args:
        questions: With their truth; unknown answers count nowhere.
        method: `none` fits nothing.
        scope: One set of parameters for all questions, or one for each.

    Source:
        Guo et al. 2017, ICML, "On calibration of modern neural networks": temperature and vector
        scaling. Platt 1999, "Probabilistic outputs for support vector machines". Zadrozny and Elkan
        2002, KDD: isotonic regression, one class against the rest. McCullagh 1980: grades by
        P(grade > k). Laplace's rule of succession: one more of each kind.
    """
    pooled = _known_of(questions, slice(None))
    reason = "" if method == "none" else _too_few(pooled, method)
    if method == "none" or reason:
        return Calibrator.identity(
            names=questions.names,
            answers=questions.answers,
            is_ordered=questions.is_ordered,
            reason=reason,
        )
    fit = _FITS[method]
    parameters = [fit(pooled)]
    borrowed: list[str] = []
    if scope == "question":
        each = [_known_of(questions, q) for q in range(len(questions.names))]
        is_few = [_too_few(known, method) != "" for known in each]
        borrowed = [name for name, few in zip(questions.names, is_few, strict=True) if few]
        parameters = [
            parameters[0] if few else fit(known) for known, few in zip(each, is_few, strict=True)
        ]
    return Calibrator(
        method=method,
        scope=scope,
        is_ordered=questions.is_ordered,
        names=questions.names,
        answers=questions.answers,
        parameters=tuple(parameters),
        num_fitted=len(pooled.truth),
        borrowed=tuple(borrowed),
    )


def _known_of(questions: Questions, which: int | slice) -> _Known:
    """The known answers of one question, or of all."""
    is_known = questions.is_known[:, which]
    return _Known(
        probs=questions.probs[:, which][is_known].astype(np.float64),
        truth=questions.targets[:, which][is_known].astype(np.int64),
        is_ordered=questions.is_ordered,
    )


def _too_few(known: _Known, method: Method) -> str:
    """Why these known answers can't teach the method; empty where they can."""
    if len(known.truth) < MIN_KNOWN:
        return f"{method} asks for {MIN_KNOWN} known answers, found {len(known.truth)}"
    num_kinds = len(np.unique(known.truth))
    needed = 2 if method == "temperature" else known.probs.shape[-1]
    if num_kinds >= needed:
        return ""
    return (
        f"{method} asks for {needed} kinds of answer, found {num_kinds} among "
        f"{len(known.truth)} known answers"
    )


def _fit_temperature(known: _Known) -> Parameters:
    logits, loss = answer_logits(known.probs), _class_loss
    if known.is_by_threshold:
        logits, loss = threshold_logits(known.probs), _threshold_loss
    scales, _ = _minimise(loss, logits, known.truth, num_scales=1, num_offsets=0)
    temperature = np.clip(1 / scales[0], MIN_TEMPERATURE, MAX_TEMPERATURE)
    return ((float(temperature),),)


def _fit_vector(known: _Known) -> Parameters:
    if known.is_by_threshold:
        logits = threshold_logits(known.probs)
        width = logits.shape[-1]
        scales, offsets = _minimise(
            _threshold_loss, logits, known.truth, num_scales=1, num_offsets=width
        )
    else:
        logits = log_probs(known.probs)
        width = logits.shape[-1]
        scales, offsets = _minimise(
            _class_loss, logits, known.truth, num_scales=width, num_offsets=width
        )
        offsets = offsets - offsets.mean()  # the same added to all changes nothing
    return tuple(scales.tolist()), tuple(offsets.tolist())


def _fit_isotonic(known: _Known) -> Parameters:
    answers = np.arange(known.probs.shape[-1])
    values, is_true = known.probs, known.truth[:, None] == answers
    if known.is_by_threshold:
        values, is_true = shares_above(known.probs), known.truth[:, None] > answers[:-1]
    curves: list[tuple[float, ...]] = [(float(len(known.truth)),)]
    for x, y in zip(values.T, is_true.T, strict=True):
        fitted = IsotonicRegression().fit(x, y)
        curves += [tuple(fitted.X_thresholds_.tolist()), tuple(fitted.y_thresholds_.tolist())]
    return tuple(curves)


_FITS: dict[str, Callable[[_Known], Parameters]] = {
    "temperature": _fit_temperature,
    "vector": _fit_vector,
    "isotonic": _fit_isotonic,
}


def _minimise(
    loss: Loss, logits: Floats, truth: Index, *, num_scales: int, num_offsets: int
) -> tuple[Floats, Floats]:
    """Scales, one or L, and offsets, none or L, of the smallest loss; convex in both.

    Args:
        loss: Of scaled and shifted logits.
        logits: (M, L).
        truth: (M,).
        num_scales: 1 or L.
        num_offsets: 0 or L.
    """

    def objective(values: Floats) -> tuple[float, Floats]:
        scales, offsets = values[:num_scales], values[num_scales:]
        value, slope = loss(logits * scales + (offsets if num_offsets else 0), truth)
        of_scales = (slope * logits).sum(axis=0)
        if num_scales == 1:
            of_scales = of_scales.sum(keepdims=True)
        return value, np.concatenate([of_scales, slope.sum(axis=0)[:num_offsets]])

    found = minimize(
        objective,
        np.concatenate([np.ones(num_scales), np.zeros(num_offsets)]),
        jac=True,
        method="L-BFGS-B",
        bounds=[_SCALES] * num_scales + [_OFFSETS] * num_offsets,
        options={"ftol": 1e-13, "gtol": 1e-9, "maxiter": 1000},
    )
    return found.x[:num_scales], found.x[num_scales:]


def _class_loss(logits: Floats, truth: Index) -> tuple[float, Floats]:
    """Of one logit an answer."""
    rows = np.arange(len(truth))
    logs = log_softmax(logits, axis=-1)
    slope = np.exp(logs)
    slope[rows, truth] -= 1
    return -float(logs[rows, truth].mean()), slope / len(truth)


def _threshold_loss(logits: Floats, truth: Index) -> tuple[float, Floats]:
    """Of falling logits of P(answer > k).

    The answer between two of them has the probability sigmoid(u) - sigmoid(l) =
    sigmoid(u) sigmoid(-l) (1 - exp(l - u)), whose logarithm doesn't cancel in the tails.
    """
    rows = np.arange(len(truth))
    edges = np.pad(logits, ((0, 0), (1, 1)), constant_values=((0, 0), (np.inf, -np.inf)))
    upper, lower = edges[rows, truth], edges[rows, truth + 1]
    gap = np.maximum(upper - lower, _SMALLEST_GAP)
    between = -np.expm1(-gap)
    pull = np.where(upper - lower > _SMALLEST_GAP, np.exp(-gap) / between, 0.0)
    logs = np.log(between) - np.logaddexp(0, -upper) - np.logaddexp(0, lower)
    slope = np.zeros_like(edges)
    slope[rows, truth] -= expit(-upper) + pull
    slope[rows, truth + 1] += expit(lower) + pull
    return -float(logs.mean()), slope[:, 1:-1] / len(truth)
