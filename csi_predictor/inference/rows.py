"""A predictor over rows of a labels table."""

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch.utils.data import DataLoader

from csi_predictor.data.batch import Batch, collate
from csi_predictor.data.cache import PixelStore
from csi_predictor.data.dataset import ImageDataset
from csi_predictor.data.manifest import Row
from csi_predictor.inference.label_predictions import LabelPredictions
from csi_predictor.inference.predict import PixelBatch
from csi_predictor.inference.predictions import Predictions
from csi_predictor.inference.predictor import BundlePredictor, LabelPredictor, Predictor
from csi_predictor.progress import track
from csi_predictor.specs import InputSpec


def row_loader(
    rows: Sequence[Row], *, spec: InputSpec, cache: PixelStore, batch_size: int
) -> DataLoader[Batch]:
    """Batches of the rows in their order, without augmentation."""
    dataset = ImageDataset(rows, spec=spec, cache=cache, augmentation=None, seed=0)
    return DataLoader(
        dataset,  # type: ignore[arg-type]  # collate makes a Batch of its samples
        batch_size=batch_size,
        collate_fn=collate,
        generator=torch.Generator(),
    )


def predict_rows(
    predictor: Predictor,
    rows: Sequence[Row],
    cache: PixelStore,
    *,
    batch_size: int,
    ungradable_threshold: float = 0.5,
    min_gradable_zones: int = 1,
) -> Predictions:
    """The predictor's answers for the rows, in their order, beside their truth.

    Args:
        predictor: One network or an ensemble.
        rows: Of a labels table.
        cache: Of images prepared for the predictor.
        batch_size: Images a pass.
        ungradable_threshold: See `Predictions`.
        min_gradable_zones: See `Predictions`.
    """
    loader = row_loader(rows, spec=predictor.input_spec, cache=cache, batch_size=batch_size)
    batches = track(loader, "predicting", total=len(loader), unit="batches")
    values = _values_in_order(predictor, batches, len(rows))
    grade_probs, p_ungradable = predictor.read_logits(values)
    return Predictions(
        file_ids=tuple(row.file_id for row in rows),
        patient_ids=tuple(row.patient_id for row in rows),
        paths=tuple(row.path for row in rows),
        targets=np.array([row.targets for row in rows], dtype=np.float64),
        grade_probs=grade_probs,
        p_ungradable=p_ungradable,
        ungradable_threshold=ungradable_threshold,
        min_gradable_zones=min_gradable_zones,
        spread=predictor.spread_of_passes(values),
    )


def predict_labels(
    predictor: LabelPredictor, rows: Sequence[Row], cache: PixelStore, *, batch_size: int
) -> LabelPredictions:
    """The predictor's answers for the rows, in their order, beside their truth.

    Args:
        predictor: One network or an ensemble.
        rows: Of a labels table, their targets in the order of the predictor's names.
        cache: Of images prepared for the predictor.
        batch_size: Images a pass.
    """
    loader = row_loader(rows, spec=predictor.input_spec, cache=cache, batch_size=batch_size)
    batches = track(loader, "predicting", total=len(loader), unit="batches")
    values = _values_in_order(predictor, batches, len(rows))
    return LabelPredictions(
        file_ids=tuple(row.file_id for row in rows),
        patient_ids=tuple(row.patient_id for row in rows),
        paths=tuple(row.path for row in rows),
        target_spec=predictor.target_spec,
        targets=np.array([row.targets for row in rows], dtype=np.float64),
        probs=predictor.read_logits(values),
        thresholds=predictor.thresholds,
        spread=predictor.spread_of_passes(values),
    )


def _values_in_order(
    predictor: BundlePredictor, batches: Iterable[PixelBatch], num_rows: int
) -> torch.Tensor:
    """(M, N, ...) logits of every pass, in the rows' order."""
    logits = predictor.predict_logits(batches)
    if not np.array_equal(logits.indices, np.arange(num_rows)):
        raise AssertionError("the loader changed the rows' order")
    return logits.values
