"""Groups of patients, and whether a figure of one may be like that of the others by chance."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from csi_predictor.evaluation.main_draws import Answers, counted_draws, ranked_draws
from csi_predictor.inference.label_predictions import LabelPredictions
from csi_predictor.inference.predictions import Floats, Predictions
from csi_predictor.metrics.bootstrap import Resampling
from csi_predictor.metrics.paired import holm, shuffled_p

Draws = dict[str, Floats]
"""Figure -> (1 + R,)."""

FEW_PATIENTS = 10
"""Of a smaller group, or one with fewer others, nothing is said."""

UNKNOWN = "unknown"

_SHUFFLES_A_TEST = 25  # so that the smallest p is below 1 / 25 after the correction for all tests
_OF_ZONES = ("zone_mae", "zone_qwk", "csi_mae", "zone_bias", "ece")
_OF_LABELS = ("auroc_macro", "sensitivity_macro", "specificity_macro", "ece")
_OF_CLASSES = ("accuracy", "balanced_accuracy", "ece")
_LEADING_NUMBER = re.compile(r"(<?)\s*(\d+(?:\.\d+)?)")


@dataclass(frozen=True, kw_only=True, eq=False)
class Split:
    """An attribute.

    Attributes:
        name: As asked for.
        values: The known ones, in their order.
        code: (N,) index into `values`; -1 = unknown.
    """

    name: str
    values: tuple[str, ...]
    code: NDArray[np.int64]

    def test_of(self, code: int) -> str:
        """Name of a group's test; of two groups one test tells of both."""
        return self.name if len(self.values) == 2 else f"{self.name} {code}"


@dataclass(frozen=True, kw_only=True, eq=False)
class AnswerSet:
    """Answers with the draws of their patients, and the names of the figures."""

    answers: Answers
    resampling: Resampling
    figures: tuple[str, ...]

    def take(self, index: NDArray[np.int64]) -> "AnswerSet":
        """Some of the images, in the same draws."""
        patients = self.resampling.patient_index[index]
        resampling = Resampling(patients, self.resampling.weights)
        return replace(self, answers=self.answers.take(index), resampling=resampling)

    @property
    def num_patients(self) -> int:
        """Those of the images."""
        return len(np.unique(self.resampling.patient_index))

    def draws(self) -> Draws:
        """Name -> (1 + R,)."""
        draws = counted_draws(self.answers, self.resampling)
        if isinstance(self.answers, LabelPredictions) and "auroc_macro" in self.figures:
            draws |= ranked_draws(self.answers, self.resampling)
        return {name: draws[name] for name in self.figures}


def figures_of(answers: Answers) -> tuple[str, ...]:
    """Those that groups are compared by, the main one first."""
    if isinstance(answers, Predictions):
        return _OF_ZONES
    return _OF_CLASSES if answers.is_multiclass else _OF_LABELS


def split_by(name: str, values: Sequence[str | None]) -> Split:
    """Groups of N values; None, empty and `unknown` are no group."""
    known = {value for value in values if value and value.casefold() != UNKNOWN}
    ordered = tuple(sorted(known, key=_order))
    codes = {value: code for code, value in enumerate(ordered)}
    code = np.array([codes.get(value or "", -1) for value in values], dtype=np.int64)
    return Split(name=name, values=ordered, code=code)


def _order(value: str) -> tuple[bool, float, bool, str]:
    """Numbers and bands by what they begin with, `<40` before `40-59`; then words."""
    match = _LEADING_NUMBER.match(value)
    if match is None:
        return True, 0.0, True, value.casefold()
    return False, float(match[2]), not match[1], value.casefold()


@dataclass(frozen=True, kw_only=True)
class GapTests:
    """Every test that was made.

    Attributes:
        p_values: Group's test -> figure -> its p, and its p corrected for all groups and figures.
        num_shuffles: Of each.
    """

    p_values: Mapping[str, Mapping[str, tuple[float, float]]]
    num_shuffles: int


def make_tests(whole: AnswerSet, splits: Sequence[Split], *, rounds: int, seed: int) -> GapTests:
    """Of each group that is large enough against its others; of two groups one test is enough.

    Args:
        whole: All answers.
        splits: The attributes.
        rounds: That were asked for; 0 = no test.
        seed: Of the shuffles.
    """
    groups = {
        split.test_of(code): (split, code)
        for split in splits
        for code in range(len(split.values))
        if not why_too_few(whole, split, code)
    }
    num_tests = len(groups) * len(whole.figures)
    drawn = len(whole.resampling.weights) - 1
    num_shuffles = max(drawn, _SHUFFLES_A_TEST * num_tests) if rounds and groups else 0
    found = [
        list(_p_values(whole, *group, num_shuffles=num_shuffles, seed=seed).values())
        for group in groups.values()
    ]
    p_values = np.array(found).reshape(-1, len(whole.figures))
    corrected = holm(p_values.ravel()).reshape(p_values.shape)
    pairs = np.stack([p_values, corrected], axis=-1).tolist()
    return GapTests(
        p_values={
            test: dict(zip(whole.figures, map(tuple, row), strict=True))
            for test, row in zip(groups, pairs, strict=True)
        },
        num_shuffles=num_shuffles,
    )


def _p_values(
    whole: AnswerSet, split: Split, code: int, *, num_shuffles: int, seed: int
) -> dict[str, float]:
    """By figure, where the group's stands among those of groups drawn from all it is compared with.

    Of group and others the smaller one is looked at, whose figure varies more.
    """
    compared, is_group = compared_images(split, code)
    part = measurable(whole.take(compared), is_group)
    if part is None:
        return dict.fromkeys(whole.figures, float("nan"))
    patients = part.resampling.patient_index
    unit_keys, unit = np.unique(
        patients * len(split.values) + split.code[compared], return_inverse=True
    )
    in_group = unit_keys % len(split.values) == code
    if in_group.mean() > 0.5:
        in_group = ~in_group
    rng = np.random.default_rng(seed)
    shuffled = rng.permuted(np.tile(in_group, (num_shuffles, 1)), axis=1)
    weights = np.concatenate([in_group[None], shuffled]).astype(np.float32)
    draws = replace(part, resampling=Resampling(unit, weights)).draws()
    return {figure: shuffled_p(values) for figure, values in draws.items()}


def compared_images(split: Split, code: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Index of the images of known value, and which of them are the group's."""
    compared = np.flatnonzero(split.code >= 0)
    return compared, split.code[compared] == code


def measurable(part: AnswerSet, is_group: NDArray[np.bool_]) -> AnswerSet | None:
    """Of labels only those that group and others both have with and without; None of none."""
    answers = part.answers
    if isinstance(answers, Predictions) or answers.is_multiclass:
        return part
    sides = [answers.truth[is_group], answers.truth[~is_group]]
    keep = np.all([(side == kind).any(axis=0) for side in sides for kind in (0, 1)], axis=0)
    if keep.all() or not keep.any():
        return part if keep.any() else None
    names = tuple(np.array(answers.names, dtype=object)[keep])
    kept = replace(
        answers,
        target_spec=replace(answers.target_spec, names=names),
        targets=answers.targets[:, keep],
        probs=answers.probs[:, keep],
        thresholds=(),
        spread=None,
        kept_calls=answers.called[:, keep],
    )
    return replace(part, answers=kept)


def why_too_few(whole: AnswerSet, split: Split, code: int) -> str:
    """A sentence, or nothing where there are enough."""
    compared, is_group = compared_images(split, code)
    patients = whole.resampling.patient_index[compared]
    mine, others = (len(np.unique(patients[side])) for side in (is_group, ~is_group))
    if mine < FEW_PATIENTS:
        return f"only {_counted(mine)}: too few to tell."
    return "" if others >= FEW_PATIENTS else f"only {_counted(others)} to compare with."


def _counted(num_patients: int) -> str:
    return f"{num_patients} patient{'' if num_patients == 1 else 's'}"
