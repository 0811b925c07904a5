"""What a model said of labels or classes: arrays that evaluation and reporting read."""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from csi_predictor.inference.predictions import Floats, join_spreads_if_all
from csi_predictor.inference.spread import Spread
from csi_predictor.specs import TargetSpec


@dataclass(frozen=True, kw_only=True)
class LabelPredictions:
    """Answers for N images and K names, and the truth where it is known.

    Attributes:
        file_ids: N ids, as in the labels table.
        patient_ids: N patients.
        paths: N files.
        target_spec: Its `task` is `multilabel` or `multiclass`, its `names` are the K answers.
        targets: (N, K) of `multilabel`: 0 or 1, NaN = unknown. (N, 1) of `multiclass`: the index
            of the class, NaN = unknown.
        probs: (N, K) of each label, or of each class (rows sum to 1).
        thresholds: Of `multilabel`, one a label: from this probability on it is called present.
            They come from validation rows, never from these. Empty = 0.5 each.
        spread: How far the model's passes disagree; None = not kept.
        kept_calls: (N, K) what was called before calibration, which says how sure the model is,
            never another answer. None = `probs` and `thresholds` tell.
    """

    file_ids: tuple[str, ...]
    patient_ids: tuple[str, ...]
    paths: tuple[Path, ...]
    target_spec: TargetSpec
    targets: Floats
    probs: Floats
    thresholds: tuple[float, ...] = ()
    spread: Spread | None = None
    kept_calls: NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        return len(self.file_ids)

    @property
    def names(self) -> tuple[str, ...]:
        """The K labels or classes."""
        return self.target_spec.names

    @property
    def is_multiclass(self) -> bool:
        """Whether exactly one of the names is true of an image."""
        return self.target_spec.task == "multiclass"

    @cached_property
    def truth(self) -> Floats:
        """(N, K) 0 or 1, NaN = unknown, for labels and classes alike."""
        if not self.is_multiclass:
            return self.targets
        index = self.targets[:, 0]
        one_hot: Floats = (index[:, None] == np.arange(len(self.names))).astype(np.float64)
        one_hot[~np.isfinite(index)] = np.nan
        return one_hot

    @cached_property
    def called(self) -> NDArray[np.bool_]:
        """(N, K) True where the model calls a label present, or the class it chooses."""
        if self.kept_calls is not None:
            return self.kept_calls
        if self.is_multiclass:
            return np.asarray(self.probs.argmax(axis=1)[:, None] == np.arange(len(self.names)))
        thresholds = np.array(self.thresholds or (0.5,) * len(self.names))
        return np.asarray(self.probs >= thresholds)

    def take(self, index: NDArray[np.int64]) -> "LabelPredictions":
        """The images of an index, in its order."""
        return replace(
            self,
            file_ids=tuple(self.file_ids[i] for i in index),
            patient_ids=tuple(self.patient_ids[i] for i in index),
            paths=tuple(self.paths[i] for i in index),
            targets=self.targets[index],
            probs=self.probs[index],
            spread=None if self.spread is None else self.spread.take(index),
            kept_calls=None if self.kept_calls is None else self.kept_calls[index],
        )

    def calibrated(self, probs: Floats, thresholds: tuple[float, ...]) -> "LabelPredictions":
        """The same answers, each as sure as (N, K) calibrated probabilities say."""
        return replace(self, probs=probs, thresholds=thresholds, kept_calls=self.called)


def concatenate_labels(parts: list[LabelPredictions]) -> LabelPredictions:
    """Several sets of equal names after each other, as the pooled folds of a cross-validation."""
    return replace(
        parts[0],
        file_ids=tuple(i for part in parts for i in part.file_ids),
        patient_ids=tuple(i for part in parts for i in part.patient_ids),
        paths=tuple(path for part in parts for path in part.paths),
        targets=np.concatenate([part.targets for part in parts]),
        probs=np.concatenate([part.probs for part in parts]),
        thresholds=_joined_thresholds([part.thresholds for part in parts]),
        spread=join_spreads_if_all([part.spread for part in parts]),
        kept_calls=np.concatenate([part.called for part in parts]),
    )


def _joined_thresholds(each: list[tuple[float, ...]]) -> tuple[float, ...]:
    """Those of all parts; NaN where they differ, and `kept_calls` alone says what is called."""
    if len(set(each)) == 1:
        return each[0]
    return (float("nan"),) * max(map(len, each))
