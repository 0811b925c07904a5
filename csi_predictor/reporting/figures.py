"""The figures of an evaluation as PNG bytes; every number in them stands in the metrics."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from csi_predictor.evaluation.evaluate import Evaluation
from csi_predictor.inference.predictions import Floats, Predictions
from csi_predictor.reporting import chart
from csi_predictor.reporting.calibration_figures import draw_reliability_panel
from csi_predictor.reporting.wording import number, zone_title
from csi_predictor.specs import MAX_GRADE, NUM_GRADES, ZONES


def draw_figures(evaluation: Evaluation, predictions: Predictions) -> dict[str, bytes]:
    """File name -> PNG of every figure."""
    metrics = evaluation.metrics
    true, given = _known_pairs(predictions)
    return {
        "zone_mae.png": draw_zone_mae(metrics),
        "confusion_by_zone.png": draw_confusion_by_zone(evaluation),
        "csi_scatter.png": draw_csi_scatter(true, given, metrics["risk"]),
        "csi_bland_altman.png": draw_bland_altman(true, given, metrics),
        "grade_distribution.png": draw_grade_distribution(metrics["confusion"]),
        "reliability.png": draw_reliability(metrics["calibration"]["bins"]),
    }


def draw_zone_mae(metrics: Mapping[str, Any]) -> bytes:
    """Mean absolute error by zone with its interval, the constant and the second reader beside."""
    readers = metrics["second_reader"] and metrics["second_reader"]["reader_vs_reader"]
    rows = np.arange(len(ZONES), dtype=np.float64)[::-1]

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        chart.add_grid(axes, "x")
        _intervals(axes, rows, metrics["zones"])
        _marks(axes, rows, metrics["zones"], "Model", chart.MODEL_MARK)
        constant = metrics["baseline"]["zones"]
        _marks(axes, rows, constant, "Constant median", chart.CONSTANT_MARK)
        if readers:
            _marks(axes, rows - 0.24, readers["zones"], "Second reader", chart.READER_MARK)
        axes.set_yticks(rows, [zone_title(zone) for zone in ZONES])
        axes.set_xlim(left=0)
        axes.set_ylim(-0.6, len(ZONES) - 0.5)
        axes.spines["left"].set_visible(False)
        axes.set_xlabel("Mean absolute error of the grade")
        figure.legend(loc="outside upper left", ncols=3, handletextpad=0.4, columnspacing=1.4)

    return chart.draw_png(5.2, 3.7, draw)


def draw_confusion_by_zone(evaluation: Evaluation) -> bytes:
    """Six tables laid out as the zones lie in a frontal image: the patient's right on the left."""
    tables = evaluation.confusion

    def draw(figure: Figure) -> None:
        panels = figure.subplots(3, 2)
        for index, axes in enumerate(panels.flat):
            _draw_confusion(axes, tables[index])
            axes.set_title(f"{zone_title(ZONES[index])}  ({tables[index].sum()})")
        for axes, side in zip(panels[0], ("R  patient's right", "patient's left  L"), strict=True):
            where = "left" if side.startswith("R") else "right"
            axes.annotate(
                side,
                xy=(0 if where == "left" else 1, 1.25),
                xycoords="axes fraction",
                ha=where,
                color=chart.MUTED,
            )
        for axes in panels[:, 0]:
            axes.set_ylabel("Reader's grade")
        for axes in panels[-1]:
            axes.set_xlabel("Model's grade")

    return chart.draw_png(5.2, 7.8, draw, gap_in=0.07)


def draw_csi_scatter(true: Floats, given: Floats, risk: Mapping[str, Any]) -> bytes:
    """CSI of reader and model; a disc's area is its number of images, margins show both spreads."""

    def draw(figure: Figure) -> None:
        grid = figure.add_gridspec(2, 2, width_ratios=(5, 0.8), height_ratios=(0.8, 5))
        axes = figure.add_subplot(grid[1, 0])
        above = figure.add_subplot(grid[0, 0], sharex=axes)
        beside = figure.add_subplot(grid[1, 1], sharey=axes)
        axes.plot([0, MAX_GRADE], [0, MAX_GRADE], color=chart.MUTED, linewidth=1)
        for name in ("medium_above", "high_above"):
            axes.axvline(risk[name], color=chart.MUTED, linewidth=0.8, linestyle=(0, (2, 3)))
            axes.axhline(risk[name], color=chart.MUTED, linewidth=0.8, linestyle=(0, (2, 3)))
        _discs(axes, true, given)
        bins = [(step - 0.5) / 6 for step in range(6 * MAX_GRADE + 2)]
        above.hist(true, bins=bins, color=chart.RULE, edgecolor=chart.MUTED, linewidth=0.5)
        beside.hist(
            given,
            bins=bins,
            orientation="horizontal",
            color=chart.RULE,
            edgecolor=chart.MUTED,
            linewidth=0.5,
        )
        above.axis("off")
        beside.axis("off")
        _square(axes, "CSI by the reader", "CSI by the model")

    return chart.draw_png(5.2, 5.2, draw)


def draw_bland_altman(true: Floats, given: Floats, metrics: Mapping[str, Any]) -> bytes:
    """Difference of the two CSI over their mean, with bias and limits of agreement."""
    lines = {
        "bias": metrics["csi_bias"],
        "upper limit": metrics["csi_limit_high"],
        "lower limit": metrics["csi_limit_low"],
    }

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        chart.add_grid(axes)
        axes.axhline(0, color=chart.MUTED, linewidth=1)
        _discs(axes, (true + given) / 2, given - true)
        for name, value in lines.items():
            if value is not None:
                _labelled_line(axes, name, value)
        reach = max(1.0, 1.1 * float(np.abs(given - true).max(initial=0)))
        axes.set_xlim(-0.1, MAX_GRADE + 0.1)
        axes.set_ylim(-reach, reach)
        axes.set_xlabel("Mean of the reader's and the model's CSI")
        axes.set_ylabel("Model minus reader")

    return chart.draw_png(5.2, 5.2, draw)


def draw_grade_distribution(confusion: Sequence[Sequence[int]]) -> bytes:
    """How often each grade is the truth and how often it is given, over gradable zones."""
    table = np.asarray(confusion, dtype=np.float64)
    total = max(table.sum(), 1)
    series = (
        ("Reader", table.sum(axis=1), -0.2, chart.RULE, "///"),
        ("Model", table.sum(axis=0), 0.2, chart.MODEL, ""),
    )

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        chart.add_grid(axes, "y")
        for name, heights, shift, color, hatch in series:
            bars = axes.bar(
                np.arange(NUM_GRADES) + shift,
                heights / total,
                width=0.36,
                edgecolor=chart.INK,
                linewidth=0.6,
                color=color,
                hatch=hatch,
                label=name,
            )
            axes.bar_label(bars, [f"{int(height):,}" for height in heights], padding=2, fontsize=8)
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
        axes.set_xticks(range(NUM_GRADES))
        axes.set_xlabel("Grade")
        axes.set_ylabel("Share of gradable zones")
        axes.legend()

    return chart.draw_png(5.2, 3.7, draw)


def draw_reliability(bins: Sequence[Mapping[str, Any]]) -> bytes:
    """How often the model is right at each confidence, and how many grades that rests on."""

    def draw(figure: Figure) -> None:
        axes, below = figure.subplots(2, 1, sharex=True, height_ratios=(3.4, 1))
        look = {"linestyle": "-", **chart.MODEL_MARK}
        draw_reliability_panel(axes, below, bins, look, is_label=False)
        axes.set_ylabel("Share of right grades")
        below.set_ylabel("Zones")
        below.set_xlabel("Model's confidence in the grade it gives")

    return chart.draw_png(5.2, 4.8, draw)


def _known_pairs(predictions: Predictions) -> tuple[Floats, Floats]:
    is_known = np.isfinite(predictions.csi_true) & np.isfinite(predictions.csi)
    return predictions.csi_true[is_known], predictions.csi[is_known]


def _marks(
    axes: Axes, rows: Floats, zones: Mapping[str, Any], label: str, look: dict[str, Any]
) -> None:
    values = [np.nan if zones[zone]["mae"] is None else zones[zone]["mae"] for zone in ZONES]
    axes.plot(values, rows, linestyle="none", label=label, zorder=3, **look)


def _intervals(axes: Axes, rows: Floats, zones: Mapping[str, Any]) -> None:
    for row, zone in zip(rows, ZONES, strict=True):
        low, high = zones[zone]["mae_ci_low"], zones[zone]["mae_ci_high"]
        if low is not None:
            axes.plot([low, high], [row, row], color=chart.MODEL, linewidth=2.4, zorder=2)


def _draw_confusion(axes: Axes, table: Floats) -> None:
    """Counts, shaded by their share of the reader's grade."""
    shares = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap=chart.SHADES, vmin=0, vmax=1)
    for (row, column), share in np.ndenumerate(shares):
        is_right = row == column
        axes.text(
            column,
            row,
            f"{table[row, column]:d}",
            ha="center",
            va="center",
            color="white" if share > 0.8 else chart.INK,
            fontweight="bold" if is_right else "normal",
        )
    axes.set_xticks(range(NUM_GRADES))
    axes.set_yticks(range(NUM_GRADES))
    axes.tick_params(length=0)
    axes.set_xticks(np.arange(NUM_GRADES - 1) + 0.5, minor=True)
    axes.set_yticks(np.arange(NUM_GRADES - 1) + 0.5, minor=True)
    axes.grid(visible=True, which="minor", color="white", linewidth=2)
    axes.tick_params(which="minor", length=0)
    for spine in axes.spines.values():
        spine.set(visible=True, color=chart.RULE)


def _discs(axes: Axes, x: Floats, y: Floats) -> None:
    """One disc a distinct point, its area proportional to the number of images there."""
    points, counts = np.unique(np.round(np.stack([x, y], axis=1), 6), axis=0, return_counts=True)
    axes.scatter(
        points[:, 0],
        points[:, 1],
        s=22.0 * counts,
        color=chart.MODEL,
        alpha=0.55,
        edgecolor="white",
        linewidth=0.6,
        zorder=3,
    )


def _square(axes: Axes, x_label: str, y_label: str) -> None:
    chart.add_grid(axes)
    axes.set_xlim(-0.12, MAX_GRADE + 0.12)
    axes.set_ylim(-0.12, MAX_GRADE + 0.12)
    axes.set_xticks(range(NUM_GRADES))
    axes.set_yticks(range(NUM_GRADES))
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)


def _labelled_line(axes: Axes, name: str, value: float) -> None:
    style = "-" if name == "bias" else (0, (5, 3))
    axes.axhline(value, color=chart.CONSTANT, linewidth=1.4, linestyle=style)
    axes.annotate(
        f"{name} {number(value)}",
        xy=(MAX_GRADE + 0.08, value),
        xytext=(0, 3),
        textcoords="offset points",
        ha="right",
        va="bottom",
        color=chart.CONSTANT,
        fontsize=9,
        zorder=4,
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 0.5},
    )
