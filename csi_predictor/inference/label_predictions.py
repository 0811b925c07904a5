"""What a model said of labels or classes: arrays that evaluation and reporting read."""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from csi_predictor.inference.predictions import Floats
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
    """

    file_ids: tuple[str, ...]
    patient_ids: tuple[str, ...]
    paths: tuple[Path, ...]
    target_spec: TargetSpec
    targets: Floats
    probs: Floats
    thresholds: tuple[float, ...] = ()

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
        )


def concatenate_labels(parts: list[LabelPredictions]) -> LabelPredictions:
    """Several sets of equal names after each other, as the pooled folds of a cross-validation."""
    return replace(
        parts[0],
        file_ids=tuple(i for part in parts for i in part.file_ids),
        patient_ids=tuple(i for part in parts for i in part.patient_ids),
        paths=tuple(path for part in parts for path in part.paths),
        targets=np.concatenate([part.targets for part in parts]),
        probs=np.concatenate([part.probs for part in parts]),
    )
