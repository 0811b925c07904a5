"""`model_card.md`: what a bundle is, what it learnt from, how good it was, what it isn't for."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from csi_predictor.files import write_text
from csi_predictor.inference.bundle import BundleFacts
from csi_predictor.reporting.label_card import (
    CLASS_FIGURES,
    LABEL_FIGURES,
    label_input,
    label_limits,
    label_purpose,
    label_rows,
)

_ZONE_FIGURES = {
    "zone_mae": "Mean absolute error of a zone's grade (0-3)",
    "zone_qwk": "Quadratic weighted kappa of a zone's grade",
    "zone_within_one": "Zones within one grade",
    "csi_mae": "Mean absolute error of the CSI (0-3)",
    "global_pearson": "Pearson correlation of the sum over six zones (0-18)",
}
_ZONE_PURPOSE = [
    "Grades congestion in six lung zones of a frontal chest radiograph, 0 to 3 each, or says",
    "that a zone can't be graded; their mean is the Congestion Score Index (CSI).",
]
_ZONE_LIMITS = [
    "- Lateral views, other body parts, children, or images unlike those it learnt from.",
    "- Any decision about a patient without a physician who looks at the image.",
]
_FIGURES = {"csi": _ZONE_FIGURES, "multilabel": LABEL_FIGURES, "multiclass": CLASS_FIGURES}


def write_model_card(
    path: Path, facts: BundleFacts, metrics: Mapping[str, Any] | None = None
) -> None:
    """Write the card of a bundle of six zones, of labels or of classes.

    Args:
        path: `model/model_card.md`.
        facts: Of the bundle.
        metrics: Of the evaluation on unseen images; None where there were none.

    Raises:
        ValueError: The bundle's task is another one.
    """
    spec = facts.spec
    task = spec.target_spec.task
    if task not in _FIGURES:
        raise ValueError(f"task = {task}: expected one of {', '.join(_FIGURES)}")
    is_zones = task == "csi"
    members = "one network" if facts.num_members == 1 else f"{facts.num_members} networks, averaged"
    focus = f", zone focus `{spec.zone_focus}`" if is_zones else ""
    lines = [
        f"# {facts.model_id}",
        "",
        "Research use only. Not a medical device; not for diagnosis or treatment decisions.",
        "",
        "## What it does",
        "",
        *(_ZONE_PURPOSE if is_zones else label_purpose(facts)),
        "",
        "## What it is",
        "",
        f"- Network: `{spec.architecture}`, head `{spec.head}`{focus}; {members}",
        f"- Input: {label_input(spec.input_spec)}; mirrored look at test time: `{facts.test_time}`",
        f"- Weights: SHA-256 `{facts.model_sha256}`",
        f"- INI: SHA-256 `{facts.config_sha256}` (whole text in `bundle.json`)",
        "",
        "## What it learnt from",
        "",
        *(f"- {name.replace('_', ' ')}: {value}" for name, value in facts.training.items()),
        "",
        "## How good it was on images that it had not seen",
        "",
        *_figures(metrics, _FIGURES[task]),
        *([] if is_zones or metrics is None else label_rows(metrics)),
        "",
        "## How far its answers can be trusted",
        "",
        *trust_lines(metrics),
        "",
        "## What it must not be used for",
        "",
        *(_ZONE_LIMITS if is_zones else label_limits(facts)),
        "",
        "## Versions",
        "",
        *(f"- {name} {version}" for name, version in facts.versions.items()),
        "",
    ]
    write_text(path, "\n".join(lines))


def trust_lines(metrics: Mapping[str, Any] | None) -> list[str]:
    """Calibration, prediction sets and triage on images that nothing was fitted on."""
    if metrics is None or not metrics.get("uncertainty"):
        return ["Not measured."]
    calibration, held, triage = (metrics[name] for name in ("calibration", "conformal", "triage"))
    before, after = (calibration[side]["ece"] for side in ("before", "after"))
    lines = [f"- Calibration: {calibration['description']} (fitted on {calibration['fitted_on']})"]
    if before is not None and after is not None:
        lines.append(
            f"- Mean gap of confidence and truth (ECE): {before:.3f} before, {after:.3f} after"
        )
    if held is not None and held["coverage"] is not None:
        lines.append(
            f"- Prediction sets asked to hold the truth in {held['coverage_asked']:.0%} of the "
            f"answers hold it in {held['coverage']:.1%}, with {held['mean_size']:.1f} of "
            f"{held['num_possible']} answers on average"
        )
    policies = {} if triage is None else triage["policies"]
    lines += [
        f"- Triage, {name.replace('_', ' ')}: {p['sentence']}" for name, p in policies.items()
    ]
    return lines


def _figures(metrics: Mapping[str, Any] | None, shown: Mapping[str, str]) -> list[str]:
    if metrics is None:
        return ["No test images were set aside ([DATA] TEST_FRACTION = 0): not measured."]
    rows = [
        f"{metrics['n_images']} images.",
        "",
        "| figure | value | 95 % interval |",
        "|---|---|---|",
    ]
    for name, title in shown.items():
        low, high = metrics.get(f"{name}_ci_low"), metrics.get(f"{name}_ci_high")
        interval = f"{low:.3f} to {high:.3f}" if low is not None and high is not None else ""
        value = metrics.get(name)
        rows.append(
            f"| {title} | {'undefined' if value is None else f'{value:.3f}'} | {interval} |"
        )
    return rows
