"""`report.html`: one file that a clinician can open from a USB stick and read."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from csi_predictor.evaluation.evaluate import Evaluation
from csi_predictor.inference.predictions import Predictions
from csi_predictor.reporting import wording
from csi_predictor.reporting.answer import answer_sentences, headline_tiles
from csi_predictor.reporting.page import page_environment
from csi_predictor.reporting.thumbnails import (
    HeatPictures,
    Thumbnails,
    data_uri,
    heat_cells,
    jpeg_of,
)
from csi_predictor.specs import ZONES

_FIGURE_TITLES = {
    "zone_mae": "Zones: error (MAE)",
    "zone_qwk": "Zones: agreement (QWK)",
    "icc": "Zones: ICC(2,1)",
    "zone_accuracy": "Zones: share exact",
    "zone_within_one": "Zones: share within one grade",
    "zone_f1_macro": "Zones: F1, macro",
    "zone_f1_weighted": "Zones: F1, weighted",
    "zone_bias": "Zones: bias",
    "global_mae": "Sum of six zones: error (MAE, of 18)",
    "global_pearson": "Sum of six zones: Pearson",
    "global_icc": "Sum of six zones: ICC(2,1)",
    "global_bias": "Sum of six zones: bias",
    "csi_mae": "CSI: error (MAE)",
    "csi_pearson": "CSI: Pearson",
    "csi_icc": "CSI: ICC(2,1)",
    "csi_bias": "CSI: bias",
    "csi_limit_low": "CSI: lower limit of agreement",
    "csi_limit_high": "CSI: upper limit of agreement",
}


def render_report(
    evaluation: Evaluation,
    predictions: Predictions,
    figures: Mapping[str, bytes],
    *,
    run_facts: Mapping[str, str],
    thumbnails: Thumbnails | None,
    num_thumbnails: int,
    heat_maps: HeatPictures | None = None,
) -> str:
    """The report's HTML; it holds figures and pictures itself and asks no network.

    Args:
        evaluation: The figures.
        predictions: What they are of.
        figures: File name -> PNG.
        run_facts: Name -> text.
        thumbnails: See `write_evaluation`, as the rest.
        num_thumbnails: Worst cases shown.
        heat_maps: By image id.
    """
    environment = page_environment()
    metrics = evaluation.metrics
    return environment.get_template("report.html.j2").render(
        metrics=metrics,
        notes=evaluation.notes,
        zones=ZONES,
        answers=answer_sentences(metrics),
        tiles=headline_tiles(metrics),
        figure_titles=_FIGURE_TITLES,
        figures={name: data_uri(content, "png") for name, content in figures.items()},
        short_facts={name: text for name, text in run_facts.items() if "\n" not in text},
        long_facts={name: text for name, text in run_facts.items() if "\n" in text},
        cases=[
            _case(predictions, index, thumbnails, heat_maps or {})
            for index in evaluation.worst[:num_thumbnails]
        ],
    )


def _case(
    predictions: Predictions,
    index: int,
    thumbnails: Thumbnails | None,
    heat_maps: HeatPictures,
) -> dict[str, Any]:
    """One image of the worst cases; its zones in the order of the 3 x 2 grid."""
    picture = None
    if thumbnails is not None:
        picture = data_uri(jpeg_of(thumbnails(predictions.file_ids[index])), "jpeg")
    return {
        "file_id": predictions.file_ids[index],
        "picture": picture,
        "csi_true": _known(predictions.csi_true[index]),
        "csi": _known(predictions.csi[index]),
        "heat_maps": heat_cells(heat_maps, predictions.file_ids[index]),
        "zones": [_case_zone(predictions, index, zone) for zone in range(len(ZONES))],
    }


def _case_zone(predictions: Predictions, index: int, zone: int) -> dict[str, Any]:
    true = _known(predictions.targets[index, zone])
    given = int(predictions.grades[index, zone])
    return {
        "title": wording.zone_title(ZONES[zone]),
        "true": None if true is None else int(true),
        "given": given,
        "is_withheld": bool(predictions.is_ungradable[index, zone]),
        "error": 0 if true is None else abs(given - int(true)),
    }


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
