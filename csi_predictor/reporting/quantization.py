"""What int8 gives and costs: `quantization.json` for programs, `quantization.md` for people."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from csi_predictor.evaluation.evaluate import FEW_PATIENTS
from csi_predictor.files import write_text
from csi_predictor.reporting.wording import UNDEFINED, interval, number, thousands

JSON_NAME = "quantization.json"
MARKDOWN_NAME = "quantization.md"

_FIGURE_NAMES = {
    "zone_qwk": "QWK over zones",
    "accuracy": "Accuracy",
    "auroc_macro": "AUROC, mean of the labels",
}
_WHAT = {
    "dynamic": "The weights of linear layers are int8 and their inputs are rounded at each call; "
    "convolutions, norms, embeddings and biases stay float32. The bundle keeps its float32 file "
    "and rounds when it loads; the int8 size is that of the same weights as a file.",
    "openvino": "Convolutions and linear layers compute in int8, with ranges that calibration "
    "images of the validation split have shown; norms are folded into them. The int8 size is that "
    "of the files kept in the bundle, the network's structure included.",
}
_SPEED_NAMES = {
    "torch_fp32": "float32, PyTorch",
    "openvino_fp32": "float32, OpenVINO",
    "int8": "int8",
}


def write_quantization(record: Mapping[str, Any], folder: Path) -> None:
    """Write both files, each whole or not at all.

    Args:
        record: Plain JSON values, as `workflows.quantization` puts them together.
        folder: Made if absent.

    Raises:
        ResourceError: The disk is full.
    """
    write_text(folder / JSON_NAME, json.dumps(record, indent=2, allow_nan=False) + "\n")
    write_text(folder / MARKDOWN_NAME, render_quantization(record))


def sentence_of(record: Mapping[str, Any]) -> str:
    """The main figure of both in one line."""
    name = _FIGURE_NAMES[record["figure"]]
    fp32, int8, fall = (number(record[key], 4) for key in ("fp32", "int8", "fall"))
    if record["fall"] is None:
        return (
            f"{name} is undefined on {record['n_images']} images ({fp32} in fp32, {int8} in int8)"
        )
    return (
        f"{name} {fp32} in fp32 and {int8} in int8 on {record['n_images']} images, a fall of {fall}"
    )


def render_quantization(record: Mapping[str, Any]) -> str:
    """The record as Markdown."""
    return "\n\n".join(
        (
            f"# {record['model_id']} in int8: {record['kind']}",
            _verdict(record),
            _WHAT[record["kind"]],
            _figures(record),
            _sizes(record["weights"]),
            _speeds(record["speed"]),
            _notes(record) + "\n",
        )
    )


def _verdict(record: Mapping[str, Any]) -> str:
    word = "Kept" if record["holds"] else "**Refused**"
    text = f"{word}: {sentence_of(record)}; allowed is {record['max_drop']:g}."
    high = record["fall_ci_high"]
    if record["holds"] and high is not None and high > record["max_drop"]:
        text += (
            f" Its interval reaches {number(high, 4)}: on other images the fall may be more than "
            "allowed."
        )
    if record["n_patients"] < FEW_PATIENTS:
        text += f" Only {record['n_patients']} patients: neither figure nor interval is firm."
    return text


def _figures(record: Mapping[str, Any]) -> str:
    rows = [
        (title, number(record[key], 4), interval(record, key, 4) or UNDEFINED)
        for title, key in (("float32", "fp32"), ("int8", "int8"), ("fall", "fall"))
    ]
    return _table((_FIGURE_NAMES[record["figure"]], "value", "95 % interval, by patient"), rows) + (
        f"\n\n{record['n_images']} images of {record['n_patients']} patients, SPLIT = "
        f"{record['split']}. Largest difference of a probability "
        f"{record['largest_probability_difference']:.2g}, mean "
        f"{record['mean_probability_difference']:.2g}; {thousands(record['n_calls_changed'])} of "
        f"{thousands(record['n_calls'])} answers changed."
    )


def _sizes(weights: Mapping[str, Any]) -> str:
    before, after = weights["fp32_bytes"], weights["int8_bytes"]
    rows = [
        ("float32", f"{before / 1e6:.2f} MB", "1.00"),
        ("int8", f"{after / 1e6:.2f} MB", f"{before / after:.2f}"),
    ]
    return _table(("weights as files", "size", "times smaller"), rows) + (
        f"\n\n{thousands(weights['num_int8'])} of {thousands(weights['num_weights'])} weights "
        f"({100 * weights['int8_share']:.1f} %) are int8."
    )


def _speeds(speed: Mapping[str, Any]) -> str:
    rows = []
    for key, title in _SPEED_NAMES.items():
        if f"{key}_ms" in speed:
            ratio = speed.get(f"times_faster_than_{key}")
            shown = UNDEFINED if ratio is None else f"{ratio:.2f}"
            rows.append((title, f"{speed[f'{key}_ms']:.2f}", shown))
    return _table(("network", "ms an image", "int8 is times faster"), rows) + (
        f"\n\nMedian of one image at a time, {speed['threads']} thread(s), the networks taking "
        "turns in one process on this machine: trust the ratio more than the milliseconds."
    )


def _notes(record: Mapping[str, Any]) -> str:
    count = record["num_calibration_images"]
    calibration = f"Calibrated on {thousands(count)} validation images. " if count else ""
    return f"{calibration}Engine: {record['engine']}. Torch {record['versions']['torch']}."


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ("---", *("---:" for _ in head[1:])), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
