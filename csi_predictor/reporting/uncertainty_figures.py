"""Figures of uncertainty and of prediction sets as PNG bytes; every number stands in the blocks."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from csi_predictor.reporting import chart
from csi_predictor.reporting.wording import short_name, thousands, zone_title
from csi_predictor.specs import ZONES

Block = Mapping[str, Any]
_Rows = list[tuple[float, str, Block]]

_GROUP_GAP = 0.6  # rows
_FEW_ANSWERS = 5
_DASHES, _DOTS = (0, (5, 3)), (0, (1.2, 1.8))


def draw_uncertainty(block: Block, conformal: Block | None = None) -> dict[str, bytes]:
    """File name -> PNG of every figure.

    Args:
        block: `metrics["uncertainty"]`.
        conformal: `metrics["conformal"]`; None = no figure of prediction sets.
    """
    figures = {"risk_coverage.png": draw_risk_coverage(block)}
    if conformal is not None:
        figures["conformal.png"] = draw_conformal(conformal)
    return figures


def draw_risk_coverage(block: Block) -> bytes:
    """What stays wrong when only the surest answers are kept, beside chance and the best order."""
    curve, chosen = block["curve"], block["measures"][block["measure"]]
    coverage, whole = curve["coverage"], chosen["risk_at_100"]

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        chart.add_grid(axes)
        axes.set_xlim(-0.015, 1.015)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
        axes.set_xlabel("Answers kept, the surest first")
        axes.set_ylabel("Share wrong among them")
        if whole is None:
            axes.text(0.5, 0.5, "not measurable", ha="center", color=chart.MUTED)
            return
        axes.axhline(
            whole, color=chart.MUTED, linewidth=1.2, linestyle=_DASHES, label="Random order"
        )
        axes.plot(
            coverage,
            curve["ideal"],
            color=chart.CONSTANT,
            linewidth=1.6,
            linestyle=_DOTS,
            label="Errors last (ideal)",
        )
        axes.plot(coverage, curve["risk"], color=chart.MODEL, linewidth=2, label="Model")
        _kept_mark(axes, block["kept"], chosen)
        top = max(1.15 * max(*curve["risk"], whole), 0.02)
        axes.set_ylim(-0.02 * top, top)
        figure.legend(loc="outside upper left", ncols=3, handletextpad=0.6, columnspacing=1.4)

    return chart.draw_png(5.2, 3.9, draw)


def draw_conformal(block: Block) -> bytes:
    """Coverage and mean size of the sets: all, by question and by true answer."""
    rows = _rows(block)
    asked, most = block["coverage_asked"], _widest(block, [each for _, _, each in rows])

    def draw(figure: Figure) -> None:
        left, right = figure.subplots(1, 2, sharey=True, width_ratios=(1.5, 1))
        left.axvline(asked, color=chart.CONSTANT, linewidth=1.4, linestyle=_DASHES)
        lowest = min(asked, *(_least(each, "coverage", asked) for _, _, each in rows))
        for axes, name in ((left, "coverage"), (right, "mean_size")):
            chart.add_grid(axes, "x")
            axes.spines["left"].set_visible(False)
            for place, _, each in rows:
                _interval_mark(axes, place, each, name)
        left.set_yticks([place for place, _, _ in rows], [title for _, title, _ in rows])
        left.set_ylim(rows[-1][0] - 0.6, 0.6)
        left.set_xlim(lowest - 0.05 * (1 - lowest), 1 + 0.05 * (1 - lowest))
        left.xaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
        left.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
        left.set_xlabel("Truth in the set")
        right.set_xlim(1 - 0.04 * (most - 1), most + 0.04 * (most - 1))
        right.xaxis.set_major_locator(MaxNLocator(5, integer=True, steps=[1, 2, 5, 10]))
        right.set_xlabel(f"Mean size, of {block['num_possible']}")

    return chart.draw_png(6.2, 1.1 + 0.29 * (1 - rows[-1][0]), draw, gap_in=0.06)


def _kept_mark(axes: Axes, kept: float, chosen: Block) -> None:
    value, low, high = (chosen[f"risk_at_80{end}"] for end in ("", "_ci_low", "_ci_high"))
    if low is not None:
        axes.plot([kept, kept], [low, high], color=chart.MODEL, linewidth=2.4, zorder=3)
    axes.plot(kept, value, linestyle="none", zorder=4, **chart.MODEL_MARK)


def _rows(block: Block) -> _Rows:
    """Place from the top, title and figures of each row; a single question is that of all."""
    groups = [[("All answers", block)]]
    if len(block["by_question"]) > 1:
        groups.append([(_title(name), each) for name, each in block["by_question"].items()])
    groups.append(
        [(f"Truth: {_answer(name, block)}", each) for name, each in block["by_answer"].items()]
    )
    rows: _Rows = []
    place = 0.0
    for group in groups:
        for title, each in group:
            rows.append((place, f"{title}  ({thousands(each['n'])})", each))
            place -= 1
        place -= _GROUP_GAP
    return rows


def _title(name: str) -> str:
    return zone_title(name) if name in ZONES else short_name(name)


def _answer(name: str, block: Block) -> str:
    return f"grade {name}" if block["is_ordered"] else short_name(name)


def _least(block: Block, name: str, otherwise: float) -> float:
    values = (block[name], block[f"{name}_ci_low"])
    return min((value for value in values if value is not None), default=otherwise)


def _widest(block: Block, rows: Sequence[Block]) -> int:
    """End of the axis of sizes: all answers, of many only as far as the sets reach."""
    most = int(block["num_possible"])
    reached = [each[f"mean_size{end}"] or 1 for each in rows for end in ("", "_ci_high")]
    return most if most <= _FEW_ANSWERS else min(most, math.ceil(max(reached)) + 1)


def _interval_mark(axes: Axes, place: float, block: Block, name: str) -> None:
    value, low, high = (block[f"{name}{end}"] for end in ("", "_ci_low", "_ci_high"))
    if value is None:
        axes.text(
            0.5,
            place,
            "not measurable" if name == "coverage" else "",
            transform=axes.get_yaxis_transform(),
            ha="center",
            va="center",
            color=chart.MUTED,
            fontsize=9,
        )
        return
    if low is not None:
        axes.plot([low, high], [place, place], color=chart.MODEL, linewidth=2.4, zorder=2)
    axes.plot(value, place, linestyle="none", zorder=3, **chart.MODEL_MARK)
