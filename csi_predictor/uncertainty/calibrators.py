"""Probabilities made honest: what validation images taught, kept, and put on every later answer.

A calibrator works on pooled probabilities, the mean over networks and passes, as calibrating each
and then pooling leaves the mean too cautious. Shapes: N images, Q questions, C answers.
Source: Rahaman and Thiery 2021, NeurIPS, "Uncertainty quantification and deep ensembles".
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, softmax

from csi_predictor.inference.predictions import Floats

Method = Literal["none", "temperature", "vector", "isotonic"]
Scope = Literal["head", "question"]
Parameters = tuple[tuple[float, ...], ...]
"""temperature ((T,),) · vector (scales, offsets) · isotonic ((n,), x, y, x, y, ...) by curve."""

MIN_TEMPERATURE, MAX_TEMPERATURE = 0.2, 20.0
"""A few validation images that are all right would ask for certainty; above, all is a guess."""

_SURE = 36.0  # a logit; beyond it 1 - p is below the step of float64
_STEPS = 2.0**52  # a 1 holds so many; their sums are exact in float64
_KEPT = 1e-4
_NOT_WORTH_SAYING = 1.05
_SMALLEST = np.nextafter(0, 1)


@dataclass(frozen=True, kw_only=True)
class Calibrator:
    """What turns probabilities into calibrated ones; of a head, or of each of its questions.

    Attributes:
        method: `none` changes nothing.
        scope: Whether one set of parameters serves all questions, or each has its own.
        is_ordered: Whether the answers are grades.
        names: Q questions; empty, with `answers`, where `none` takes any.
        answers: C.
        parameters: One set, or Q; none of `none`.
        num_fitted: Known answers that it was fitted on.
        borrowed: Of scope `question`, the questions with too few known answers of their own: they
            have the parameters of all questions together.
        reason: Why it is `none` though something else was asked; else empty.

    Raises:
        ValueError: Method, scope or the number of parameter sets isn't one of those.
    """

    method: Method
    scope: Scope = "head"
    is_ordered: bool = False
    names: tuple[str, ...] = ()
    answers: tuple[str, ...] = ()
    parameters: tuple[Parameters, ...] = ()
    num_fitted: int = 0
    borrowed: tuple[str, ...] = ()
    reason: str = ""

    def __post_init__(self) -> None:
        for name, value, words in (
            ("method", self.method, get_args(Method)),
            ("scope", self.scope, get_args(Scope)),
        ):
            if value not in words:
                raise ValueError(f"calibrator {name} = {value}: expected one of {', '.join(words)}")
        expected = len(self.names) if self.scope == "question" else 1
        expected = 0 if self.method == "none" else expected
        if len(self.parameters) != expected:
            raise ValueError(
                f"calibrator holds {len(self.parameters)} sets of parameters: expected {expected} "
                f"of method {self.method}, scope {self.scope} and {len(self.names)} questions"
            )

    @staticmethod
    def identity(
        *,
        names: tuple[str, ...] = (),
        answers: tuple[str, ...] = (),
        is_ordered: bool = False,
        reason: str = "",
    ) -> "Calibrator":
        """One that changes nothing, whatever the questions are."""
        return Calibrator(
            method="none", names=names, answers=answers, is_ordered=is_ordered, reason=reason
        )

    def apply(self, probs: ArrayLike) -> Floats:
        """(N, Q, C) pooled probabilities -> (N, Q, C) calibrated ones, float64.

        A temperature moves no answer: neither the likeliest one nor, of grades, the median, ties
        included. The images' order by the probability of one of two answers stays too, ties
        included, and with it their AUROC to the bit. For that a T below 1 keeps a ten-thousandth of
        the pooled probability, as sigmoid alone would round many images to the same 1; what differs
        by less than 1e-11 beside 1 may then still become alike.

        Raises:
            ValueError: The probabilities are of other questions.
        """
        pooled = np.ascontiguousarray(probs, dtype=np.float64)
        if self.method == "none":
            return pooled
        expected = (len(self.names), len(self.answers))
        if pooled.ndim != 3 or pooled.shape[1:] != expected:
            raise ValueError(
                f"probs has shape {pooled.shape}: expected (N, {expected[0]}, {expected[1]}), "
                "the questions and answers that the calibrator was fitted on"
            )
        calibrate = _METHODS[self.method]
        if self.scope == "head":
            return calibrate(pooled, self.parameters[0], self.is_ordered)
        each = [
            calibrate(np.ascontiguousarray(pooled[:, q]), parameters, self.is_ordered)
            for q, parameters in enumerate(self.parameters)
        ]
        return np.stack(each, axis=1) if each else pooled

    def describe(self) -> str:
        """One line for people."""
        if self.method == "none":
            because = f" ({self.reason})" if self.reason else ""
            return f"none: probabilities as the networks give them{because}"
        whose = "one for the whole head" if self.scope == "head" else "one for each question"
        words = {"vector": "vector scaling", "isotonic": "isotonic regression"}
        text = f"{words.get(self.method, self.method)}{self._temperatures()}, {whose}"
        if self.borrowed:
            few = ", ".join(self.borrowed)
            text += f"; too few known answers, so with that of all questions together: {few}"
        return text

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, from which `from_dict` makes an equal one."""
        values = asdict(self)
        lists = {key: list(values[key]) for key in ("names", "answers", "borrowed")}
        parameters = [[list(numbers) for numbers in each] for each in self.parameters]
        return values | lists | {"parameters": parameters}

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> "Calibrator":
        """As `to_dict` wrote it.

        Raises:
            ValueError: A key is missing or unknown, or see the class.
        """
        expected = set(Calibrator.__dataclass_fields__)
        if set(values) != expected:
            raise ValueError(
                f"calibrator has the keys {', '.join(sorted(values))}: expected "
                f"{', '.join(sorted(expected))}"
            )
        tuples = {key: tuple(values[key]) for key in ("names", "answers", "borrowed")}
        parameters = tuple(
            tuple(tuple(float(number) for number in numbers) for numbers in each)
            for each in values["parameters"]
        )
        return Calibrator(**{**values, **tuples, "parameters": parameters})

    def _temperatures(self) -> str:
        if self.method != "temperature" or not self.parameters:
            return ""
        found = sorted(parameters[0][0] for parameters in self.parameters)
        if found[0] < found[-1]:
            return f" {found[0]:.3g} to {found[-1]:.3g}"
        if found[0] in (MIN_TEMPERATURE, MAX_TEMPERATURE):
            return f" {found[0]:.3g} (the limit: the images that it was fitted on ask for more)"
        if found[0] > _NOT_WORTH_SAYING:
            return f" {found[0]:.3g} (the networks are too sure)"
        if found[0] < 1 / _NOT_WORTH_SAYING:
            return f" {found[0]:.3g} (the networks are too cautious)"
        return f" {found[0]:.3g}"


def answer_logits(probs: Floats) -> Floats:
    """(..., C) -> (..., C) log p less that of the likeliest answer: at most 0, always finite."""
    logs = np.log(np.maximum(probs, _SMALLEST))
    return _bounded(logs - logs.max(axis=-1, keepdims=True))


def log_probs(probs: Floats) -> Floats:
    """(..., C) -> (..., C) log p, always finite."""
    return _bounded(np.log(np.maximum(probs, _SMALLEST)))


def threshold_logits(probs: Floats) -> Floats:
    """(..., C) -> (..., C-1) falling logits of P(answer > k), always finite."""
    above, below = (np.log(np.maximum(each, _SMALLEST)) for each in _tails(probs))
    return np.minimum.accumulate(_bounded(above - below), axis=-1)


def shares_above(probs: Floats) -> Floats:
    """(..., C) -> (..., C-1) falling P(answer > k)."""
    above, below = _tails(probs)
    return above / (above + below)


def is_by_threshold(probs: Floats, *, is_ordered: bool) -> bool:
    """Whether the answers hang together by P(answer > k): grades, and any two answers."""
    return is_ordered or probs.shape[-1] == 2


def _temperature(probs: Floats, parameters: Parameters, is_ordered: bool) -> Floats:
    ((temperature,),) = parameters
    kept = _KEPT if temperature < 1 else 0.0
    if not is_ordered:
        scaled = softmax(answer_logits(probs) / temperature, axis=-1)
        return _keep_likeliest(scaled + kept * (probs - scaled), probs)
    above, below = _tails(probs)
    scaled = expit(threshold_logits(probs) / temperature)
    scaled += kept * (above / (above + below) - scaled)
    return _from_above(_keep_median(scaled, np.sign(above - below)))


def _vector(probs: Floats, parameters: Parameters, is_ordered: bool) -> Floats:
    scales, offsets = (np.array(each) for each in parameters)
    if is_by_threshold(probs, is_ordered=is_ordered):
        return _from_above(expit(scales * threshold_logits(probs) + offsets))
    return np.asarray(softmax(scales * log_probs(probs) + offsets, axis=-1))


def _isotonic(probs: Floats, parameters: Parameters, is_ordered: bool) -> Floats:
    (num_known,), *rest = parameters
    curves = list(zip(rest[::2], rest[1::2], strict=True))
    if is_by_threshold(probs, is_ordered=is_ordered):
        each = _from_above(_follow(curves, shares_above(probs)))
    else:
        each = _follow(curves, probs)
    seen = num_known * each + 1
    return np.asarray(seen / seen.sum(axis=-1, keepdims=True))


_METHODS: dict[str, Callable[[Floats, Parameters, bool], Floats]] = {
    "temperature": _temperature,
    "vector": _vector,
    "isotonic": _isotonic,
}


def _follow(curves: list[tuple[tuple[float, ...], tuple[float, ...]]], values: Floats) -> Floats:
    columns: list[Floats] = [np.interp(values[..., k], x, y) for k, (x, y) in enumerate(curves)]
    return np.stack(columns, axis=-1)


def _tails(probs: Floats) -> tuple[Floats, Floats]:
    """(..., C-1) sums of the probabilities above and up to each threshold."""
    above = probs[..., ::-1].cumsum(axis=-1)[..., -2::-1]
    return above, probs.cumsum(axis=-1)[..., :-1]


def _bounded(logits: Floats) -> Floats:
    """Rising everywhere and the logit itself up to 36; 0 and 1 stand for 42.6, not for infinity."""
    size = np.abs(logits)
    bounded = np.minimum(size, _SURE) + np.log1p(np.maximum(size - _SURE, 0))
    return np.asarray(np.copysign(bounded, logits))


def _keep_likeliest(scaled: Floats, probs: Floats) -> Floats:
    """What was less likely than the likeliest answer stays so where rounding made both alike."""
    is_likeliest = probs == probs.max(axis=-1, keepdims=True)
    top = np.where(is_likeliest, scaled, 0).max(axis=-1, keepdims=True)
    return np.where(is_likeliest, scaled, np.minimum(scaled, np.nextafter(top, 0)))


def _keep_median(above: Floats, side: NDArray[np.float64]) -> Floats:
    """P(answer > k) in steps that add up without rounding, each on its own side of one half.

    Args:
        above: (..., C-1).
        side: (..., C-1) 1 where it was above one half, 0 where it was one half, -1 below.
    """
    stepped = np.round(above * _STEPS) / _STEPS
    higher = np.maximum(stepped, 0.5 + 1 / _STEPS)
    lower = np.minimum(stepped, 0.5 - 1 / _STEPS)
    return np.where(side > 0, higher, np.where(side < 0, lower, 0.5))


def _from_above(above: Floats) -> Floats:
    """(..., C-1) of P(answer > k), made falling by its running minimum -> (..., C)."""
    falling = np.minimum.accumulate(above, axis=-1)
    every = np.ones_like(falling[..., :1])
    edges = np.concatenate([every, falling, 0 * every], axis=-1)
    return np.asarray(edges[..., :-1] - edges[..., 1:])
