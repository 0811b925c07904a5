"""A predictor's answers for labelled rows, whatever it answers."""

from collections.abc import Sequence

from csi_predictor.config import Config
from csi_predictor.data.cache import PixelStore
from csi_predictor.data.manifest import Row
from csi_predictor.inference.predictor import LabelPredictor, Predictor
from csi_predictor.inference.rows import predict_labels, predict_rows
from csi_predictor.uncertainty.trust import Answers


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
