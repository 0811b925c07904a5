"""The figures of triage as PNG bytes; every number in them stands in the block."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from csi_predictor.inference.predictions import Floats
from csi_predictor.reporting import chart
from csi_predictor.reporting.wording import short_name

MOST_ANSWERS = 10
"""Of the confusion tables; more would be too small to read side by side."""

_MARKS = {"threshold": ("o", 13), "budget": ("s", 10), "cost": ("^", 9), "class_critical": ("D", 5)}
"""Form and size: of policies at one place the smaller lies on the larger."""

_TITLES = {
    "model": "Model, all images",
    "reader": "Reader, deferred (expected)",
    "system": "Both together (expected)",
}
_MOST_SIDE_BY_SIDE = 5  # answers; larger tables stand below each other
_LONGEST_LEVEL = 8  # characters of an answer's name that needn't be turned
_WIDE_RANGE = 0.06  # of the accuracies, for which whole percent suffice


def draw_triage(block: Mapping[str, Any]) -> dict[str, bytes]:
    """File name -> PNG of the figures of a triage block; none where there is no image."""
    if not block["n_images"]:
        return {}
    figures = {"triage.png": draw_rates(block)}
    chosen = chosen_policies(block)
    if chosen and len(block["model_alone"]["by_answer"]) <= MOST_ANSWERS:
        figures["triage_confusion.png"] = draw_three_confusions(block, chosen[0])
    return figures


def chosen_policies(block: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of the policies that were not skipped, in their order."""
    return tuple(name for name, policy in block["policies"].items() if not policy["skipped"])


def draw_rates(block: Mapping[str, Any]) -> bytes:
    """What is right over the share of images given to the reader; the frozen policies marked."""
    points = block["sweep"]["points"]
    rates = _column(points, "deferral_rate")
    system, kept = _column(points, "system_accuracy"), _column(points, "kept_accuracy")
    policies = {name: block["policies"][name] for name in chosen_policies(block)}
    reader = block["reader_alone"]["system_accuracy"]

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        chart.add_grid(axes)
        axes.plot(rates, system, color=chart.MODEL, linewidth=2, label="Model and reader together")
        axes.plot(
            rates,
            kept,
            color=chart.INK,
            linewidth=1.4,
            linestyle=(0, (5, 3)),
            label="Model alone, on the images it keeps",
        )
        if reader is not None:
            axes.axhline(
                reader,
                color=chart.MUTED,
                linewidth=1.4,
                linestyle=(0, (1, 2)),
                label="Reader alone (assumed)",
            )
        for name, policy in policies.items():
            _mark(axes, name, policy)
        axes.set_xlim(-0.02, 1.02)
        lowest = _lowest(system, policies.values())
        axes.set_ylim(lowest, 1.005)
        axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
        decimals = 0 if 1 - lowest > _WIDE_RANGE else 1
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=decimals, symbol=" %"))
        axes.set_xlabel("Share of the images that the reader gets")
        axes.set_ylabel("Share of right answers")
        figure.legend(loc="outside upper left", ncols=2, columnspacing=1.4, fontsize=9)

    return chart.draw_png(5.8, 4.6, draw)


def draw_three_confusions(block: Mapping[str, Any], name: str) -> bytes:
    """Of one policy: the model on all images, the reader on the deferred, both together."""
    tables = block["policies"][name]["confusion"]
    answers = [short_name(answer) for answer in block["model_alone"]["by_answer"]]
    size = 0.9 + 0.42 * max(len(answers), 4)
    names_in = 0.08 * max(len(answer) for answer in answers)
    rows, columns = (1, 3) if len(answers) <= _MOST_SIDE_BY_SIDE else (3, 1)

    def draw(figure: Figure) -> None:
        panels = figure.subplots(rows, columns, sharex=True, sharey=True)
        for axes, (key, title) in zip(panels, _TITLES.items(), strict=True):
            _confusion(axes, np.array(tables[key]), answers)
            axes.set_title(title, fontsize=9.5)
        figure.supxlabel("Answer", fontsize=10)
        figure.supylabel("Truth", fontsize=10)

    width, height = columns * size + names_in + 0.4, rows * (size - 0.2) + names_in + 0.4
    return chart.draw_png(width, height, draw)


def _mark(axes: Axes, name: str, policy: Mapping[str, Any]) -> None:
    """Filled: the system's accuracy with its interval; open: that of what the model keeps."""
    rate, system = policy["deferral_rate"], policy["system_accuracy"]
    if rate is None or system is None:
        return
    low, high = policy["system_accuracy_ci_low"], policy["system_accuracy_ci_high"]
    if low is not None:
        axes.plot([rate, rate], [low, high], color=chart.CONSTANT, linewidth=2, zorder=3)
    marker, size = _MARKS[name]
    look: dict[str, Any] = {"marker": marker, "markersize": size, "linestyle": "none", "zorder": 4}
    axes.plot(
        rate,
        system,
        color=chart.CONSTANT,
        markeredgecolor="white",
        label=f"Policy: {name.replace('_', ' ')}",
        **look,
    )
    if policy["kept_accuracy"] is not None:
        axes.plot(
            rate,
            policy["kept_accuracy"],
            color=chart.INK,
            markerfacecolor="none",
            markeredgewidth=1.4,
            **look,
        )


def _confusion(axes: Axes, table: Floats, answers: Sequence[str]) -> None:
    """Counts, whole or expected, shaded by their share of the true answer."""
    texts = [[count_text(float(count)) for count in row] for row in table]
    is_long = max(map(len, answers)) > _LONGEST_LEVEL
    chart.draw_counts(axes, table, answers, texts=texts, is_turned=is_long, fontsize=8)


def count_text(count: float) -> str:
    """A whole number, of a small expected count one decimal: `1,204`, `0.3`, `0`."""
    is_small = count < 10 and round(count, 1) != round(count)
    return f"{count:.1f}" if is_small else f"{count:,.0f}"


def _column(points: Sequence[Mapping[str, Any]], name: str) -> Floats:
    return np.array([np.nan if point[name] is None else point[name] for point in points])


def _lowest(system: Floats, policies: Any) -> float:
    """Where the axis begins: below all marks; a curve of few kept images may leave the picture."""
    names = ("system_accuracy", "system_accuracy_ci_low", "kept_accuracy")
    marks = [policy[name] for policy in policies for name in names if policy[name] is not None]
    values = [*marks, *system[~np.isnan(system)]]
    lowest = min(values, default=0.0)
    return max(0.0, lowest - 0.06 * (1 - lowest) - 0.004)
