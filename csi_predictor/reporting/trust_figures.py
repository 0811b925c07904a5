"""The figures that both kinds of evaluation share."""

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from csi_predictor.reporting.calibration_figures import draw_calibration
from csi_predictor.reporting.robustness_figures import draw_corruption_examples, draw_robustness
from csi_predictor.reporting.subgroup_figures import draw_subgroups
from csi_predictor.reporting.triage_figures import draw_triage
from csi_predictor.reporting.uncertainty_figures import draw_uncertainty


def draw_trust_figures(
    metrics: Mapping[str, Any], examples: Mapping[str, NDArray[Any]]
) -> dict[str, bytes]:
    """File name -> PNG of each block that `metrics` has.

    Args:
        metrics: As in `metrics.json`.
        examples: Title -> (H, W) or (3, H, W), one image as it is and as it was damaged.
    """
    figures: dict[str, bytes] = {}
    if metrics.get("uncertainty"):
        figures |= draw_calibration(metrics["calibration"])
        figures |= draw_uncertainty(metrics["uncertainty"], metrics["conformal"])
    if metrics.get("triage"):
        figures |= draw_triage(metrics["triage"])
    if metrics.get("subgroups"):
        figures |= draw_subgroups(metrics["subgroups"])
    if metrics.get("robustness"):
        figures |= draw_robustness(metrics["robustness"])
        if examples:
            figures["corruptions.png"] = draw_corruption_examples(examples)
    return figures
