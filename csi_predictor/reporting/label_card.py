"""What the model card says of a bundle that answers labels or classes."""

from collections.abc import Mapping
from typing import Any

from csi_predictor.inference.bundle import BundleFacts
from csi_predictor.reporting.wording import percent
from csi_predictor.specs import InputSpec

CLASS_FIGURES = {
    "accuracy": "Share of right classes",
    "balanced_accuracy": "Balanced accuracy, the mean recall of the classes",
    "auroc_macro": "AUROC, of two classes the second one's, of more the mean against the rest",
    "f1_macro": "F1, mean of the classes",
    "ece": "Calibration error (ECE) of the named class's probability",
    "brier": "Brier score, 0 to 2",
}
LABEL_FIGURES = {
    "auroc_macro": "AUROC, mean of the labels",
    "auprc_macro": "Average precision (AUPRC), mean of the labels",
    "f1_macro": "F1 at the thresholds, mean of the labels",
    "accuracy": "Accuracy at 0.5, mean of the labels",
    "ece": "Calibration error (ECE) of the probabilities",
    "brier": "Brier score, mean of the labels",
}


def label_purpose(facts: BundleFacts) -> list[str]:
    """What a network of labels or classes does, and each of its names."""
    target = facts.spec.target_spec
    picture = "volume" if len(facts.spec.input_spec.size) == 3 else "picture"
    if target.task == "multiclass":
        first = f"Names the one of {len(target.names)} classes that a {picture} belongs to, with a "
        return [f"{first}probability of each:", "", *_names(facts)]
    first = f"Gives the probability that each of {len(target.names)} labels is present in a "
    return [f"{first}{picture};", "any number of them may be:", "", *_names(facts)]


def label_input(spec: InputSpec) -> str:
    """Size and preparation in words: of a volume its units and the distance of its voxels."""
    size = " x ".join(map(str, spec.size))
    if len(spec.size) == 2:
        return f"{spec.channels} channel(s), {size} pixels, fitted by `{spec.fit}`"
    words = [f"{spec.channels} channel(s), {size} voxels (D x H x W)"]
    if spec.spacing_mm is not None:
        words.append(f"of {' x '.join(f'{mm:g}' for mm in spec.spacing_mm)} mm")
    if spec.hu_range is not None:
        low, high = spec.hu_range
        words.append(f"{low:g} to {high:g} HU".replace("-", "−"))
    return ", ".join(words)


def label_limits(facts: BundleFacts) -> list[str]:
    """What such a network must not be used for."""
    picture = "volumes" if len(facts.spec.input_spec.size) == 3 else "images"
    return [
        f"- Body parts, views, devices, ages or {picture} unlike those it learnt from.",
        "- Findings that aren't among its names: it says nothing of them.",
        "- Another hospital, before it was evaluated there: precision depends on how often a "
        "finding occurs.",
        f"- Any decision about a patient without a physician who looks at the {picture[:-1]}.",
    ]


def label_rows(metrics: Mapping[str, Any]) -> list[str]:
    """A table of each label or class: positives, AUROC with its interval, average precision."""
    is_classes = metrics["task"] == "multiclass"
    head = "class" if is_classes else "label"
    rows = [
        "",
        f"| {head} | positives of known | AUROC | 95 % interval | AUPRC |",
        "|---|---|---|---|---|",
    ]
    for name, block in metrics["classes" if is_classes else "labels"].items():
        low, high = block["auroc_ci_low"], block["auroc_ci_high"]
        spread = "" if low is None or high is None else f"{low:.3f} to {high:.3f}"
        rows.append(
            f"| {_cell(name)} | {block['n_positive']} of {block['n_known']} "
            f"| {_number(block['auroc'])} | {spread} | {_number(block['auprc'])} |"
        )
    return rows


def _names(facts: BundleFacts) -> list[str]:
    """A line a name: its share in the training rows, and from where on it is called."""
    names = facts.spec.target_spec.names
    shares = facts.label_prevalence or (None,) * len(names)
    thresholds: tuple[float | None, ...] = facts.label_thresholds or (None,) * len(names)
    lines = []
    for name, share, threshold in zip(names, shares, thresholds, strict=True):
        words = [] if share is None else [f"{percent(share)} of the training rows"]
        words += [] if threshold is None else [f"called from {threshold:.3f} on"]
        lines.append(f"- {name}" + (f" ({', '.join(words)})" if words else ""))
    return lines


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.3f}"


def _cell(name: str) -> str:
    return name.replace("|", "\\|")
