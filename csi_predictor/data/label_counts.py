"""How often each label or class stands in a set, told in the log before anything is trained."""

from collections.abc import Sequence

import numpy as np
from loguru import logger

from csi_predictor.specs import TargetSpec

FEW = 10
"""Fewer images than this can neither teach a label nor measure it."""


def log_label_counts(
    name: str, target_spec: TargetSpec, targets: Sequence[tuple[float, ...]]
) -> None:
    """Warn in the log of labels or classes of no and of few images, one line each.

    Args:
        name: What was read, for the log.
        target_spec: Of labels or classes.
        targets: Of each image.
    """
    values = np.array(targets, dtype=np.float64).reshape(-1, target_spec.num_targets)
    num_unknown = int(np.isnan(values).sum())
    if num_unknown:
        logger.info(
            "{}: {} of {} answers are unknown: they neither teach nor count",
            name,
            num_unknown,
            values.size,
        )
    if target_spec.task == "multiclass":
        counts = (values == np.arange(len(target_spec.names))).sum(axis=0)  # (N, 1) -> (K,)
    else:
        counts = (values == 1).sum(axis=0)
    numbers = dict(zip(target_spec.names, counts.tolist(), strict=True))
    absent = [each for each, count in numbers.items() if count == 0]
    rare = [f"{each} ({count})" for each, count in numbers.items() if 0 < count < FEW]
    if absent:
        logger.warning(
            "{}: present in no image, so neither taught nor measured: {}", name, ", ".join(absent)
        )
    if rare:
        logger.warning(
            "{}: present in fewer than {} images, so hardly taught or measured: {}",
            name,
            FEW,
            ", ".join(rare),
        )
