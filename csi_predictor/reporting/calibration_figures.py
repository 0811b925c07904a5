"""Reliability before and after calibration, side by side, with the counts below."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from csi_predictor.reporting import chart
from csi_predictor.reporting.wording import number, thousands

_LOOKS: dict[str, tuple[str, dict[str, Any]]] = {
    "before": ("Before calibration", chart.CONSTANT_MARK | {"linestyle": (0, (4, 3))}),
    "after": ("After calibration", chart.MODEL_MARK | {"linestyle": "-"}),
}


def draw_calibration(block: Mapping[str, Any]) -> dict[str, bytes]:
    """`calibration.png` of `metrics.calibration`; one diagram where nothing was calibrated."""
    sides = ["before"] if block["method"] == "none" else ["before", "after"]
    is_label = block["confidence_of"] == "present"

    def draw(figure: Figure) -> None:
        panels = figure.subplots(
            2, len(sides), sharex=True, sharey="row", squeeze=False, height_ratios=(3.4, 1)
        )
        for column, side in enumerate(sides):
            title, look = _LOOKS[side]
            if len(sides) == 1:
                title, look = "Not calibrated", _LOOKS["after"][1]
            axes, below = panels[:, column]
            draw_reliability_panel(axes, below, block[side]["bins"], look, is_label=is_label)
            axes.set_title(f"{title}\nmean gap (ECE) {number(block[side]['ece'], 3)}")
            below.set_xlabel(
                "Probability that a label is present" if is_label else "Confidence in the answer"
            )
        panels[0, 0].set_ylabel("Share in which it is present" if is_label else "Share right")
        panels[1, 0].set_ylabel("Answers")

    return {"calibration.png": chart.draw_png(4.2 * len(sides) + 0.4, 4.9, draw, gap_in=0.1)}


def draw_reliability_panel(
    axes: Axes,
    below: Axes,
    bins: Sequence[Mapping[str, Any]],
    look: Mapping[str, Any],
    *,
    is_label: bool,
) -> None:
    """How often an answer is true at each confidence, and how many answers that rests on.

    Args:
        axes: Of the shares.
        below: Of the counts, on the same confidence.
        bins: `low`, `high`, `count`, `confidence` and `accuracy` of each.
        look: Of line and marks.
        is_label: Whether the confidence is that of `present`, so that a gap is too high or too low
            and not too sure or too cautious.
    """
    filled = [each for each in bins if each["count"]]
    above_line, under_line = ("too low", "too high") if is_label else ("too cautious", "too sure")
    chart.add_grid(axes)
    axes.plot([0, 1], [0, 1], color=chart.MUTED, linewidth=1)
    axes.plot(
        [each["confidence"] for each in filled], [each["accuracy"] for each in filled], **look
    )
    axes.text(0.03, 0.96, above_line, va="top", color=chart.MUTED, fontsize=9)
    axes.text(0.97, 0.04, under_line, ha="right", color=chart.MUTED, fontsize=9)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.02)
    bars = below.bar(
        [(each["low"] + each["high"]) / 2 for each in bins],
        [each["count"] for each in bins],
        width=0.9 / len(bins),
        color=chart.RULE,
        edgecolor=chart.MUTED,
        linewidth=0.6,
    )
    texts = [thousands(each["count"]) if each["count"] else "" for each in bins]
    below.bar_label(bars, texts, padding=1, fontsize=7, color=chart.MUTED, rotation=90)
    below.margins(y=0.6)
    below.set_yticks([])
    below.tick_params(length=0)
