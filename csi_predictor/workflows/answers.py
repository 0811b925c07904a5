"""A predictor's answers for labelled rows, whatever it answers."""

from collections.abc import Sequence

from csi_predictor.config import Config
from csi_predictor.data.cache import PixelStore
from csi_predictor.data.manifest import Row
from csi_predictor.inference.label_predictions import LabelPredictions, concatenate_labels
from csi_predictor.inference.predictions import Predictions, concatenate
from csi_predictor.inference.predictor import LabelPredictor, Predictor
from csi_predictor.inference.rows import predict_labels, predict_rows

Answers = Predictions | LabelPredictions


def predict(
    config: Config, predictor: Predictor | LabelPredictor, rows: Sequence[Row], cache: PixelStore
) -> Answers:
    """The predictor's answers for the rows, in their order, beside their truth."""
    batch_size = config.training.batch_size
    if isinstance(predictor, LabelPredictor):
        return predict_labels(predictor, rows, cache, batch_size=batch_size)
    return predict_rows(
        predictor,
        rows,
        cache,
        batch_size=batch_size,
        ungradable_threshold=config.scoring.ungradable_threshold,
        min_gradable_zones=config.scoring.min_gradable_zones,
    )


def join_predictions(parts: Sequence[Answers]) -> Answers:
    """Answers of one kind after each other, as the pooled folds of a cross-validation."""
    zones = [part for part in parts if isinstance(part, Predictions)]
    if zones:
        return concatenate(zones)
    return concatenate_labels([part for part in parts if isinstance(part, LabelPredictions)])
