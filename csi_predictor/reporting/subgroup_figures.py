"""The main figure of each group of patients as a forest plot, as PNG bytes."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from csi_predictor.reporting import chart
from csi_predictor.reporting.wording import number, short_name, thousands

_TITLES = {
    "zone_mae": "Mean absolute error of the grade",
    "auroc_macro": "AUROC, macro",
    "accuracy": "Accuracy",
}
_MARKS: dict[str, dict[str, Any]] = {
    "No gap beyond chance": chart.MODEL_MARK,
    "Gap beyond chance": {**chart.CONSTANT_MARK, "markerfacecolor": chart.CONSTANT},
    "Not compared": {
        "marker": "o",
        "color": chart.MUTED,
        "markerfacecolor": "white",
        "markersize": 6.5,
        "markeredgewidth": 1.4,
    },
}
_INCH_A_ROW = 0.27


def draw_subgroups(block: Mapping[str, Any]) -> dict[str, bytes]:
    """File name -> PNG: each group's main figure with its interval, all images as dashed line.

    Args:
        block: Of `evaluation.subgroups.subgroups_block`.
    """
    lines = _lines(block)
    places = -np.arange(len(lines), dtype=np.float64)
    main = block["main"]

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        chart.add_grid(axes, "x")
        if block["overall"][main] is not None:
            axes.axvline(
                block["overall"][main], color=chart.INK, linewidth=1, linestyle=(0, (5, 3))
            )
        for place, (_, row) in zip(places, lines, strict=True):
            if row is not None:
                _draw_group(axes, place, row, main)
        axes.set_yticks(places, [title for title, _ in lines])
        for label, (_, row) in zip(axes.get_yticklabels(), lines, strict=True):
            label.set_fontweight("bold" if row is None else "normal")
        axes.set_ylim(places[-1] - 0.7, 0.7)
        axes.spines["left"].set_visible(False)
        better = "left" if main in block["lower_is_better"] else "right"
        axes.set_xlabel(f"{_TITLES[main]}\nfurther {better} is better; dashed: all images")
        _add_legend(figure, [row for _, row in lines if row is not None])

    return {"subgroups.png": chart.draw_png(6.6, 1.15 + _INCH_A_ROW * max(len(lines), 4), draw)}


def _lines(block: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any] | None]]:
    """From the top: an attribute's name without a row, then each group with its own."""
    lines: list[tuple[str, Mapping[str, Any] | None]] = []
    for attribute, groups in block["by_attribute"].items():
        lines.append((short_name(attribute), None))
        for value, row in groups.items():
            lines.append((f"{short_name(value)}  ({thousands(row['n_patients'])})", row))
    return lines


def _draw_group(axes: Axes, place: float, row: Mapping[str, Any], main: str) -> None:
    value, low, high = (row[f"{main}{end}"] for end in ("", "_ci_low", "_ci_high"))
    if value is None:
        axes.annotate(
            "not measurable",
            xy=(0.02, place),
            xycoords=("axes fraction", "data"),
            va="center",
            color=chart.MUTED,
            fontsize=9,
        )
        return
    mark = _MARKS[_kind(row)]
    if low is not None:
        axes.plot([low, high], [place, place], color=mark["color"], linewidth=2.2, zorder=2)
    axes.plot(value, place, linestyle="none", zorder=3, **mark)
    axes.annotate(
        number(value),
        xy=(1.01, place),
        xycoords=("axes fraction", "data"),
        va="center",
        fontsize=9,
        color=chart.INK,
    )


def _kind(row: Mapping[str, Any]) -> str:
    if row["warning"]:
        return "Gap beyond chance"
    return "No gap beyond chance" if row["gap"] is not None else "Not compared"


def _add_legend(figure: Figure, rows: list[Mapping[str, Any]]) -> None:
    """The marks that occur."""
    present = {_kind(row) for row in rows}
    axes = figure.axes[0]
    for kind, mark in _MARKS.items():
        if kind in present:
            axes.plot([], [], linestyle="none", label=kind, **mark)
    figure.legend(loc="outside upper left", ncols=3, handletextpad=0.3, columnspacing=1.4)
