"""What a bundle of labels or classes must know of the rows that it learnt from."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from csi_predictor.config import Config
from csi_predictor.data.manifest import Row
from csi_predictor.inference.predict import mean_label_probabilities, predict_logits
from csi_predictor.inference.predictions import Floats
from csi_predictor.inference.rows import row_loader
from csi_predictor.metrics.thresholds import best_f1_thresholds
from csi_predictor.models.create import build_model_from_spec
from csi_predictor.models.model_spec import ModelSpec
from csi_predictor.runtime import Compute
from csi_predictor.specs import TargetSpec
from csi_predictor.training.run import TrainedNetwork

if TYPE_CHECKING:
    from csi_predictor.workflows.training import LabelledData


def label_prevalence(rows: Sequence[Row], targets: TargetSpec) -> tuple[float | None, ...]:
    """Per label or class its share among the known targets of the rows; None = never known."""
    values = np.array([row.targets for row in rows], dtype=np.float64)
    if targets.task == "multiclass":
        known = values[np.isfinite(values)]
        if not known.size:
            return (None,) * len(targets.names)
        return tuple(float((known == index).mean()) for index in range(len(targets.names)))
    columns = [column[np.isfinite(column)] for column in values.T]
    return tuple(float(column.mean()) if column.size else None for column in columns)


def choose_label_thresholds(
    config: Config,
    data: "LabelledData",
    trained: Sequence[TrainedNetwork],
    spec: ModelSpec,
    compute: Compute,
) -> tuple[float, ...]:
    """Per label the threshold of the best F1 on validation rows; empty without labels or such rows.

    Each split's own networks answer for its own validation rows, which are pooled.
    """
    if spec.target_spec.task != "multilabel" or not any(split.val for split in data.splits):
        return ()
    truths, probs = [], []
    for index, split in enumerate(data.splits):
        rows = data.manifest.select(split.val)
        own = [network for network in trained if network.place.split_index == index]
        if rows:
            truths.append(np.array([row.targets for row in rows], dtype=np.float64))
            probs.append(_mean_probabilities(config, data, own, rows, spec, compute))
    return best_f1_thresholds(np.concatenate(truths), np.concatenate(probs))


def _mean_probabilities(
    config: Config,
    data: "LabelledData",
    networks: Sequence[TrainedNetwork],
    rows: Sequence[Row],
    spec: ModelSpec,
    compute: Compute,
) -> Floats:
    models = []
    for network in networks:
        model = build_model_from_spec(spec)
        model.load_state_dict(network.weights)
        models.append(model.to(compute.device))
    batches = row_loader(
        rows, spec=spec.input_spec, cache=data.cache, batch_size=config.training.batch_size
    )
    logits = predict_logits(
        models,
        batches,
        device=compute.device,
        test_time=config.evaluation.test_time,
        task=spec.target_spec.task,
    )
    probs: Floats = mean_label_probabilities(logits.values, task=spec.target_spec.task).numpy()
    return probs
