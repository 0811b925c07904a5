"""One number an answer: how unsure the model is of it."""

from typing import Literal, get_args

import numpy as np
from scipy.special import entr

from csi_predictor.errors import ConfigError
from csi_predictor.inference.predictions import Floats
from csi_predictor.inference.questions import Questions
from csi_predictor.inference.spread import Spread

MeasureName = Literal["confidence", "entropy", "epistemic", "variance"]
MEASURES: tuple[MeasureName, ...] = get_args(MeasureName)

_OF_PASSES = ("epistemic", "variance")
_FEWEST_PASSES = 2


def measure(questions: Questions, spread: Spread | None, name: MeasureName) -> Floats:
    """(N, Q) uncertainty, higher = less sure; whether the truth is known plays no role.

    Args:
        questions: What was asked.
        spread: Of the same images and questions; None = one pass only was kept.
        name: `confidence` = 1 - probability of the given answer; `entropy` of the probabilities,
            nats; `epistemic` and `variance` are the spread's.

    Raises:
        ConfigError: The measure compares passes and there are fewer than two.
        ValueError: The name isn't one of the four, or the spread is of another set.
    """
    if name not in MEASURES:
        raise ValueError(f"measure {name}: expected one of {', '.join(MEASURES)}")
    if name == "confidence":
        return 1 - questions.confidence
    if name == "entropy":
        return np.asarray(entr(np.clip(questions.probs, 0, 1)).sum(axis=-1))
    if name not in available_measures(spread) or spread is None:
        num_passes = 0 if spread is None else spread.num_passes
        raise ConfigError(
            f"[EVALUATION] TRIAGE_MEASURE = {name}: it compares passes, found {max(num_passes, 1)}:"
            " expected at least 2: set UNCERTAINTY = mc_dropout or give several bundles, or set "
            "TRIAGE_MEASURE = confidence or entropy"
        )
    values = spread.epistemic if name == "epistemic" else spread.variance
    if values.shape != questions.targets.shape:
        raise ValueError(
            f"spread of shape {values.shape}: expected that of the questions, "
            f"{questions.targets.shape}"
        )
    return values


def available_measures(spread: Spread | None) -> tuple[MeasureName, ...]:
    """Those that can be told; of one pass, how far passes disagree isn't."""
    has_passes = spread is not None and spread.num_passes >= _FEWEST_PASSES
    return tuple(name for name in MEASURES if has_passes or name not in _OF_PASSES)


def image_uncertainty(each: Floats) -> Floats:
    """(N, Q) -> (N,) mean over the questions, whichever of them have a known truth.

    The mean and not the largest value, which of many labels would be that of the one hardest label.
    """
    return np.asarray(each.mean(axis=1))
