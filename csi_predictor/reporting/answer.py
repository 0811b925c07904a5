"""A report's first screen: the answer in sentences, three figures beside their yardsticks."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from csi_predictor.reporting.scale import place_on_scale, scale_end
from csi_predictor.reporting.wording import counted, interval, number

Metrics = Mapping[str, Any]


@dataclass(frozen=True)
class Yardstick:
    """One line of a tile: a mark at `place`, with its interval where it has one.

    Attributes:
        kind: `model`, `reader` or `constant`.
        label: For people.
        text: The figure.
        place: Of the mark, percent of the scale's width; None = undefined.
        low: Of the interval, likewise.
        high: Likewise.
    """

    kind: str
    label: str
    text: str
    place: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Tile:
    """One headline figure on a common scale with its yardsticks.

    Attributes:
        title: For people.
        meaning: One line that says which way is better.
        value: The model's figure.
        interval: Its interval, or empty.
        scale_end: The scale runs from 0 to here.
        yardsticks: The model first.
    """

    title: str
    meaning: str
    value: str
    interval: str
    scale_end: str
    yardsticks: tuple[Yardstick, ...]


def answer_sentences(metrics: Metrics) -> tuple[str, ...]:
    """What a clinician wants to know first, in the order of asking."""
    images = counted(metrics["n_images"], "radiograph", "radiographs")
    patients = counted(metrics["n_patients"], "patient", "patients")
    spread = interval(metrics, "zone_mae")
    within = f" (95 % interval {spread})" if spread else ""
    sentences = [
        f"On {images} of {patients}, the model’s grade of a lung zone lies on average "
        f"{number(metrics['zone_mae'])} grades from the reader’s{within}."
    ]
    constant = number(metrics["baseline"]["zone_mae"])
    sentences.append(
        f"Always giving the zone’s median grade would be {constant} away. {_verdict(metrics)}"
    )
    if metrics["second_reader"]:
        readers = number(metrics["second_reader"]["reader_vs_reader"]["zone_mae"])
        sentences.append(f"Two readers of the same images are {readers} apart.")
    return tuple(sentences)


def headline_tiles(metrics: Metrics) -> tuple[Tile, ...]:
    """Zone error, zone agreement and CSI error."""
    return (
        _tile(metrics, "zone_mae", "Zone error", "mean absolute error, 0 is best"),
        _tile(
            metrics, "zone_qwk", "Zone agreement", "quadratic weighted kappa, 1 is best", end=1.0
        ),
        _tile(metrics, "csi_mae", "CSI error", "mean absolute error, 0 is best"),
    )


def _verdict(metrics: Metrics) -> str:
    gain = metrics["gain_over_baseline"]
    low, high = gain["zone_mae_ci_low"], gain["zone_mae_ci_high"]
    if low is None or high is None:
        return "Whether the difference is more than chance wasn’t computed."
    if low > 0:
        return "The model is better than that, beyond chance."
    if high < 0:
        return "The model is worse than that, beyond chance."
    return "The model can’t be told from that: the difference may be chance."


def _tile(
    metrics: Metrics, name: str, title: str, meaning: str, *, end: float | None = None
) -> Tile:
    blocks = [("model", "Model", metrics), ("constant", "Constant median", metrics["baseline"])]
    if metrics["second_reader"]:
        readers = metrics["second_reader"]["reader_vs_reader"]
        blocks.insert(1, ("reader", "Second reader", readers))
    scale = end or scale_end([block for _, _, block in blocks], name, steps_per_unit=2)
    return Tile(
        title=title,
        meaning=meaning,
        value=number(metrics[name]),
        interval=interval(metrics, name),
        scale_end=f"{scale:g}",
        yardsticks=tuple(
            _yardstick(kind, label, block, name, scale) for kind, label, block in blocks
        ),
    )


def _yardstick(kind: str, label: str, block: Metrics, name: str, scale: float) -> Yardstick:
    low, high = block[f"{name}_ci_low"], block[f"{name}_ci_high"]
    return Yardstick(
        kind=kind,
        label=label,
        text=number(block[name]),
        place=place_on_scale(block[name], scale),
        low=place_on_scale(low, scale),
        high=place_on_scale(high, scale),
    )
