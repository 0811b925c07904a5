"""An evaluation's folder: `metrics.json`, `predictions.csv`, `figures/*.png`, `report.html`."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from csi_predictor.evaluation.evaluate import Evaluation
from csi_predictor.files import write_bytes, write_text
from csi_predictor.inference.predictions import Predictions
from csi_predictor.reporting.figures import draw_figures
from csi_predictor.reporting.report import render_report
from csi_predictor.reporting.tables import Cell, write_table
from csi_predictor.reporting.thumbnails import HeatPictures, Thumbnails
from csi_predictor.reporting.trust_columns import trust_cells, trust_columns
from csi_predictor.reporting.trust_figures import draw_trust_figures
from csi_predictor.specs import ZONES
from csi_predictor.uncertainty.trust import TrustedAnswers

FIGURES = "figures"
HEAT_MAPS = "heatmaps"


def write_evaluation(
    evaluation: Evaluation,
    predictions: Predictions,
    folder: Path,
    *,
    run_facts: Mapping[str, str],
    thumbnails: Thumbnails | None = None,
    num_thumbnails: int = 24,
    trusted: TrustedAnswers | None = None,
    heat_maps: HeatPictures | None = None,
    heat_files: Mapping[str, bytes] | None = None,
    examples: Mapping[str, NDArray[Any]] | None = None,
) -> None:
    """Write the files of an evaluation, each whole or not at all, the numbers first.

    Args:
        evaluation: The figures.
        predictions: What they are of.
        folder: Made if absent.
        run_facts: Shown in the report in their order; a text of several lines is shown as it is.
        thumbnails: From an image's id to its pixels (H, W), 0 = black to 1 = white; None = the
            worst cases are shown without pictures.
        num_thumbnails: Worst cases in the report.
        trusted: The predictions with what a trust says of them, for more columns.
        heat_maps: Of the report, by image id.
        heat_files: Name -> PNG, for the folder `heatmaps`.
        examples: Title -> (H, W), one image as it is and as it was damaged.

    Raises:
        ResourceError: The disk is full.
    """
    text = json.dumps(evaluation.metrics, indent=2, allow_nan=False)
    write_text(folder / "metrics.json", text + "\n")
    write_predictions(predictions, folder / "predictions.csv", trusted)
    figures = {
        **draw_figures(evaluation, predictions),
        **draw_trust_figures(evaluation.metrics, examples or {}),
    }
    for name, content in figures.items():
        write_bytes(folder / FIGURES / name, content)
    for name, content in (heat_files or {}).items():
        write_bytes(folder / HEAT_MAPS / name, content)
    report = render_report(
        evaluation,
        predictions,
        figures,
        run_facts=run_facts,
        thumbnails=thumbnails,
        num_thumbnails=num_thumbnails,
        heat_maps=heat_maps or {},
    )
    write_text(folder / "report.html", report)


def write_predictions(
    predictions: Predictions, path: Path, trusted: TrustedAnswers | None = None
) -> None:
    """Write one line an image: truth (empty = ungradable) and answer of each zone, and the CSI."""
    parts = ("true", "pred", "expected", "p_ungradable")
    columns = (
        *("FileID", "PatientID"),
        *(f"{zone}_{part}" for zone in ZONES for part in parts),
        *("csi_true", "csi_pred"),
        *(() if trusted is None else trust_columns(trusted)),
    )
    rows = (
        [
            *_cells(predictions, index),
            *(() if trusted is None else trust_cells(trusted, index)),
        ]
        for index in range(len(predictions))
    )
    write_table(path, columns, rows)


def _cells(predictions: Predictions, index: int) -> Iterator[Cell]:
    yield from (predictions.file_ids[index], predictions.patient_ids[index])
    for zone in range(len(ZONES)):
        yield float(predictions.targets[index, zone])
        yield int(predictions.grades[index, zone])
        yield float(predictions.expected[index, zone])
        yield float(predictions.p_ungradable[index, zone])
    yield float(predictions.csi_true[index])
    yield float(predictions.csi[index])
