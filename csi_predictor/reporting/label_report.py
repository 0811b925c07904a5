"""`report.html` of labels or classes: one file that can be opened from a USB stick and read."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from csi_predictor.evaluation.evaluate import Evaluation
from csi_predictor.inference.label_predictions import LabelPredictions
from csi_predictor.reporting.label_answer import answer_sentences, headline_tiles
from csi_predictor.reporting.label_figures import shown_panels
from csi_predictor.reporting.label_pictures import label_jpeg
from csi_predictor.reporting.page import page_environment
from csi_predictor.reporting.thumbnails import HeatPictures, Thumbnails, data_uri, heat_cells

_MOST_CALLS = 6
_LABEL_TITLES = {
    "auroc_macro": "AUROC, macro",
    "auroc_micro": "AUROC, micro",
    "auprc_macro": "AUPRC, macro",
    "auprc_micro": "AUPRC, micro",
    "f1_macro": "F1, macro",
    "accuracy": "Accuracy at 0.5",
    "exact_match": "Exact match",
    "ece": "ECE",
    "brier": "Brier score",
}
_CLASS_TITLES = {
    "accuracy": "Accuracy",
    "balanced_accuracy": "Balanced accuracy",
    "auroc_macro": "AUROC, macro",
    "auprc_macro": "AUPRC, macro",
    "f1_macro": "F1, macro",
    "ece": "ECE",
    "brier": "Brier score",
}


def render_label_report(
    evaluation: Evaluation,
    predictions: LabelPredictions,
    figures: Mapping[str, bytes],
    *,
    run_facts: Mapping[str, str],
    thumbnails: Thumbnails | None,
    num_thumbnails: int,
    heat_maps: HeatPictures | None = None,
    is_volume: bool,
) -> str:
    """The report's HTML; it holds figures and pictures itself and asks no network.

    Args:
        evaluation: The figures.
        predictions: What they are of.
        figures: File name -> PNG.
        run_facts: Name -> text.
        thumbnails: See `write_label_evaluation`, as the rest.
        num_thumbnails: Worst cases shown.
        heat_maps: By image id.
        is_volume: What the thumbnails are of.
    """
    metrics = evaluation.metrics
    is_classes = predictions.is_multiclass
    return (
        page_environment()
        .get_template("labels.html.j2")
        .render(
            metrics=metrics,
            notes=evaluation.notes,
            names=predictions.names,
            blocks=metrics["classes" if is_classes else "labels"],
            has_thresholds=bool(predictions.thresholds),
            is_volume=is_volume,
            answers=answer_sentences(metrics),
            tiles=headline_tiles(metrics),
            panels=shown_panels(metrics),
            figure_titles=_figure_titles(predictions),
            figures={name: data_uri(content, "png") for name, content in figures.items()},
            short_facts={name: text for name, text in run_facts.items() if "\n" not in text},
            long_facts={name: text for name, text in run_facts.items() if "\n" in text},
            cases=[
                _case(predictions, index, thumbnails, is_volume=is_volume)
                | {"heat_maps": heat_cells(heat_maps or {}, predictions.file_ids[index])}
                for index in evaluation.worst[:num_thumbnails]
            ],
        )
    )


def _figure_titles(predictions: LabelPredictions) -> dict[str, str]:
    if not predictions.is_multiclass:
        return _LABEL_TITLES
    if len(predictions.names) > 2:
        return _CLASS_TITLES
    second = predictions.names[1]
    return _CLASS_TITLES | {"auroc_macro": f"AUROC, {second}", "auprc_macro": f"AUPRC, {second}"}


def _case(
    predictions: LabelPredictions, index: int, thumbnails: Thumbnails | None, *, is_volume: bool
) -> dict[str, Any]:
    picture = None
    if thumbnails is not None:
        pixels = thumbnails(predictions.file_ids[index])
        picture = data_uri(label_jpeg(pixels, is_volume=is_volume), "jpeg")
    calls = [_call(predictions, index, k) for k in _told_of(predictions, index)]
    return {"file_id": predictions.file_ids[index], "picture": picture, "calls": calls}


def _told_of(predictions: LabelPredictions, index: int) -> list[int]:
    """What is true or called, the largest error first."""
    truth, probs = predictions.truth[index], predictions.probs[index]
    is_told = (truth == 1) | (predictions.called[index] & ~np.isnan(truth))
    errors = np.where(is_told, np.abs(probs - np.nan_to_num(truth)), -1.0)
    order = np.argsort(-errors, kind="stable")[: min(_MOST_CALLS, int(is_told.sum()))]
    return [int(k) for k in order]


def _call(predictions: LabelPredictions, index: int, k: int) -> dict[str, Any]:
    is_true = bool(predictions.truth[index, k] == 1)
    is_called = bool(predictions.called[index, k])
    words = ("true", "named") if predictions.is_multiclass else ("present", "absent")
    return {
        "name": predictions.names[k],
        "word": words[0] if is_true else words[1],
        "prob": float(predictions.probs[index, k]),
        "is_wrong": is_true != is_called,
    }
