"""Heat maps of the worst cases, each by networks that had not seen the image."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from loguru import logger
from numpy.typing import NDArray

from csi_predictor.config import Config
from csi_predictor.data.cache import PixelStore
from csi_predictor.data.prepare import to_tensor
from csi_predictor.errors import CsiError
from csi_predictor.evaluation.figures import Block
from csi_predictor.inference.explain.heat_map import HeatMaps, mean_heat_map
from csi_predictor.inference.explain.target import CLASS, CSI, Target
from csi_predictor.inference.label_predictions import LabelPredictions
from csi_predictor.inference.predictions import Predictions
from csi_predictor.progress import track
from csi_predictor.reporting.heat_maps import (
    draw_heat_map,
    draw_heat_map_jpeg,
    pick_slice,
    safe_name,
    slice_title,
)
from csi_predictor.reporting.thumbnails import HeatPictures
from csi_predictor.reporting.wording import zone_title
from csi_predictor.specs import ZONES
from csi_predictor.uncertainty.trust import Answers
from csi_predictor.workflows.examination import Examination, Examined

MOST_TARGETS = 3
"""Maps of one case: of what is most wrong."""

MOST_SHOWN = 150
"""Maps in the report, of at most 50 kB each; all are files."""


@dataclass(frozen=True)
class DrawnHeatMaps:
    """What became of [EVALUATION] HEATMAPS.

    Attributes:
        facts: For `metrics.json`; None = none were asked for.
        pictures: For the report.
        files: Name -> PNG.
    """

    facts: Block | None = None
    pictures: HeatPictures = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)


def draw_heat_maps(
    config: Config,
    examination: Examination,
    worst: Sequence[int],
    predictions: Answers,
    store: PixelStore,
) -> DrawnHeatMaps:
    """Heat maps of the worst cases, large ones as files and small ones for the report.

    A network that can't be explained is told in the log and in the report; nothing is drawn then.
    """
    chosen = list(worst[: config.evaluation.heatmaps])
    if not chosen:
        return DrawnHeatMaps()
    examined_of = {row.file_id: (each, row) for each in examination.every for row in each.rows}
    pictures: dict[str, list[tuple[str, bytes]]] = {}
    files: dict[str, bytes] = {}
    made: list[HeatMaps] = []
    try:
        for index in track(chosen, "heat maps", total=len(chosen), unit="images"):
            file_id = predictions.file_ids[index]
            examined, row = examined_of[file_id]
            pixels = store.get(row)
            for target in choose_targets(predictions, index):
                made.append(_explain(config, examined, pixels, target))
                name = safe_name(index, file_id, str(target))
                drawn = _draw(pixels, made[-1], predictions, index, target)
                files[name] = drawn.png
                if len(files) <= MOST_SHOWN:
                    pictures.setdefault(file_id, []).append((drawn.title, drawn.jpeg))
    except CsiError as error:
        logger.error("No heat maps: {}", error)
        return DrawnHeatMaps({"error": str(error), "num_images": 0})
    facts = {
        "error": None,
        "num_images": len(chosen),
        "num_maps": len(made),
        "num_empty": sum(int(each.is_empty[0]) for each in made),
        "method": ", ".join(dict.fromkeys(each.method for each in made)),
        "stage": ", ".join(dict.fromkeys(each.stage for each in made)),
    }
    return DrawnHeatMaps(facts, pictures, files)


@dataclass(frozen=True)
class _Drawn:
    title: str
    png: bytes
    jpeg: bytes


def _draw(
    pixels: NDArray[Any], found: HeatMaps, predictions: Answers, index: int, target: Target
) -> _Drawn:
    """Of a volume the slice that holds most of the heat."""
    title, heat = _title(predictions, index, target), found.values[0]
    if heat.ndim == 3:
        place = pick_slice(heat)
        title = slice_title(title, place, len(heat))
        pixels, heat = pixels[place], heat[place]
    has_sides = isinstance(predictions, Predictions)
    return _Drawn(
        title,
        draw_heat_map(pixels, heat, title=title, has_sides=has_sides),
        draw_heat_map_jpeg(pixels, heat, has_sides=has_sides),
    )


def choose_targets(predictions: Answers, index: int) -> list[Target]:
    """What is explained of an image: the zones, labels or classes that are most wrong.

    Of an image with every zone right the CSI, of one with every label right the surest label.
    """
    if isinstance(predictions, Predictions):
        errors = np.nan_to_num(np.abs(predictions.grades[index] - predictions.targets[index]))
        zones = [ZONES[z] for z in np.argsort(-errors, kind="stable") if errors[z] > 0]
        return [Target(zone) for zone in zones[:MOST_TARGETS]] or [Target(CSI)]
    truth, called, names = predictions.truth[index], predictions.called[index], predictions.names
    if predictions.is_multiclass:
        both = [*np.flatnonzero(called), *np.flatnonzero(truth == 1)]
        return [Target(CLASS, names[k]) for k in dict.fromkeys(both)]
    is_wrong = np.isfinite(truth) & (called != truth)
    order = np.argsort(-np.abs(predictions.probs[index] - truth), kind="stable")
    labels = [names[k] for k in order if is_wrong[k]][:MOST_TARGETS]
    surest = names[int(predictions.probs[index].argmax())]
    return [Target(label) for label in labels or [surest]]


def _explain(config: Config, examined: Examined, pixels: NDArray[Any], target: Target) -> HeatMaps:
    predictor = examined.predictor
    images = to_tensor(pixels, predictor.input_spec)[None].to(predictor.device)
    method = config.evaluation.heatmap_method
    return mean_heat_map(predictor.networks, images, target, method=method)


def _title(predictions: Answers, index: int, target: Target) -> str:
    if isinstance(predictions, Predictions) and target.question in ZONES:
        zone = ZONES.index(target.question)
        true, given = predictions.targets[index, zone], predictions.grades[index, zone]
        return f"{zone_title(target.question)}: reader {true:.0f}, model {given}"
    if isinstance(predictions, LabelPredictions):
        name = target.answer or target.question
        prob = predictions.probs[index, predictions.names.index(name)]
        return f"{name}: {prob:.0%}"
    return "CSI"
