"""The folder of an evaluation of labels or classes: numbers, answers, figures and the report."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from csi_predictor.evaluation.evaluate import Evaluation
from csi_predictor.files import write_bytes, write_text
from csi_predictor.inference.label_predictions import LabelPredictions
from csi_predictor.reporting.label_figures import draw_label_figures
from csi_predictor.reporting.label_report import render_label_report
from csi_predictor.reporting.tables import Cell, write_table
from csi_predictor.reporting.thumbnails import HeatPictures, Thumbnails
from csi_predictor.reporting.trust_columns import trust_cells, trust_columns
from csi_predictor.reporting.trust_figures import draw_trust_figures
from csi_predictor.uncertainty.trust import TrustedAnswers

FIGURES = "figures"
HEAT_MAPS = "heatmaps"


def write_label_evaluation(
    evaluation: Evaluation,
    predictions: LabelPredictions,
    folder: Path,
    *,
    run_facts: Mapping[str, str],
    thumbnails: Thumbnails | None = None,
    num_thumbnails: int = 24,
    trusted: TrustedAnswers | None = None,
    heat_maps: HeatPictures | None = None,
    heat_files: Mapping[str, bytes] | None = None,
    examples: Mapping[str, NDArray[Any]] | None = None,
    is_volume: bool = False,
) -> None:
    """Write the files of an evaluation, each whole or not at all, the numbers first.

    Args:
        evaluation: The figures.
        predictions: What they are of.
        folder: Made if absent.
        run_facts: Shown in the report in their order; a text of several lines is shown as it is.
        thumbnails: From an image's id (a file may hold them all) to its pixels, 0 = black to 1 =
            white: (H, W) or (3, H, W), of a volume (D, H, W); None = the worst cases are shown
            without pictures.
        num_thumbnails: Worst cases in the report.
        trusted: The predictions with what a trust says of them, for more columns.
        heat_maps: Of the report, by image id.
        heat_files: Name -> PNG, for the folder `heatmaps`.
        examples: Title -> (H, W) or (3, H, W), one image as it is and as it was damaged.
        is_volume: True = `thumbnails` gives volumes, whose middle slice is shown.

    Raises:
        ResourceError: The disk is full.
    """
    text = json.dumps(evaluation.metrics, indent=2, allow_nan=False)
    write_text(folder / "metrics.json", text + "\n")
    write_label_predictions(predictions, folder / "predictions.csv", trusted)
    figures = {
        **draw_label_figures(evaluation, predictions),
        **draw_trust_figures(evaluation.metrics, examples or {}),
    }
    for name, content in figures.items():
        write_bytes(folder / FIGURES / name, content)
    for name, content in (heat_files or {}).items():
        write_bytes(folder / HEAT_MAPS / name, content)
    report = render_label_report(
        evaluation,
        predictions,
        figures,
        run_facts=run_facts,
        thumbnails=thumbnails,
        num_thumbnails=num_thumbnails,
        heat_maps=heat_maps or {},
        is_volume=is_volume,
    )
    write_text(folder / "report.html", report)


def write_label_predictions(
    predictions: LabelPredictions, path: Path, trusted: TrustedAnswers | None = None
) -> None:
    """Write one line an image: truth (empty = unknown) and probability of each label or class.

    Of classes the last two columns name the true and the given one.
    """
    columns = ["FileID", "PatientID"]
    columns += [f"{name}_{part}" for name in predictions.names for part in ("true", "prob")]
    if predictions.is_multiclass:
        columns += ["label_true", "label_pred"]
    if trusted is not None:
        columns += trust_columns(trusted)
    rows = (
        [*_cells(predictions, index), *(() if trusted is None else trust_cells(trusted, index))]
        for index in range(len(predictions))
    )
    write_table(path, columns, rows)


def _cells(predictions: LabelPredictions, index: int) -> Iterator[Cell]:
    yield from (predictions.file_ids[index], predictions.patient_ids[index])
    for true, prob in zip(predictions.truth[index], predictions.probs[index], strict=True):
        yield from (float(true), float(prob))
    if predictions.is_multiclass:
        true_class = predictions.targets[index, 0]
        yield None if np.isnan(true_class) else predictions.names[int(true_class)]
        yield predictions.names[int(predictions.called[index].argmax())]
