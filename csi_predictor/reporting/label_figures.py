"""The figures of an evaluation of labels or classes as PNG bytes."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.metrics import precision_recall_curve, roc_curve

from csi_predictor.evaluation.evaluate import Evaluation
from csi_predictor.inference.label_predictions import LabelPredictions
from csi_predictor.inference.predictions import Floats
from csi_predictor.reporting import chart
from csi_predictor.reporting.calibration_figures import draw_reliability_panel
from csi_predictor.reporting.wording import interval, number, short_name, thousands

MAX_PANELS = 24
"""Curves of the names with the most positives; more would be too small to read."""

_COLUMNS = 4
_MOST_COUNTED_CLASSES = 14  # a larger table is shaded without its counts
_Curve = Callable[[Axes, Floats, Floats], None]


def draw_label_figures(evaluation: Evaluation, predictions: LabelPredictions) -> dict[str, bytes]:
    """File name -> PNG of every figure."""
    metrics = evaluation.metrics
    figures = {
        "auroc.png": draw_areas(metrics),
        "roc.png": draw_curves(metrics, predictions, "auroc"),
        "precision_recall.png": draw_curves(metrics, predictions, "auprc"),
        "reliability.png": draw_label_reliability(metrics),
    }
    if predictions.is_multiclass:
        figures["confusion.png"] = draw_class_confusion(metrics)
    return figures


def draw_areas(metrics: Mapping[str, Any]) -> bytes:
    """AUROC of each label or class with its interval, the best on top, chance marked."""
    blocks = _blocks(metrics)
    order = sorted(blocks, key=lambda name: (-(blocks[name]["auroc"] or -1.0), name))
    rows = np.arange(len(order), dtype=np.float64)[::-1]

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        chart.add_grid(axes, "x")
        axes.axvline(0.5, color=chart.CONSTANT, linewidth=1.4, linestyle=(0, (5, 3)))
        lowest = 0.5
        for row, name in zip(rows, order, strict=True):
            value, low, high = (blocks[name][f"auroc{end}"] for end in ("", "_ci_low", "_ci_high"))
            if value is None:
                axes.text(0.5, row, "  not measurable", va="center", color=chart.MUTED, fontsize=9)
                continue
            lowest = min(lowest, value, value if low is None else low)
            if low is not None:
                axes.plot([low, high], [row, row], color=chart.MODEL, linewidth=2.4, zorder=2)
            axes.plot(value, row, linestyle="none", zorder=3, **chart.MODEL_MARK)
        titles = [f"{short_name(n)}  ({thousands(blocks[n]['n_positive'])})" for n in order]
        axes.set_yticks(rows, titles)
        axes.set_ylim(-0.6, len(order) - 0.4)
        axes.set_xlim(max(0.0, lowest - 0.04), 1.01)
        axes.spines["left"].set_visible(False)
        axes.set_xlabel("AUROC (0.5, dashed: chance); in brackets: positives")

    return chart.draw_png(5.2, 1.2 + 0.3 * max(len(order), 4), draw)


def draw_curves(metrics: Mapping[str, Any], predictions: LabelPredictions, area: str) -> bytes:
    """A panel of each label's curve: `auroc` its ROC, `auprc` its precision over its recall."""
    blocks, truth = _blocks(metrics), predictions.truth
    shown = shown_panels(metrics)
    curve, x_label, y_label = _KINDS[area]
    columns = min(_COLUMNS, len(shown))
    lines = -(-len(shown) // columns)

    def draw(figure: Figure) -> None:
        panels = figure.subplots(lines, columns, squeeze=False, sharex=True, sharey=True)
        for axes in panels.flat[len(shown) :]:
            axes.set_visible(False)
        for axes, name in zip(panels.flat, shown, strict=False):
            k = predictions.names.index(name)
            known = ~np.isnan(truth[:, k])
            chart.add_grid(axes)
            axes.set_xlim(-0.02, 1.02)
            axes.set_ylim(-0.02, 1.02)
            axes.set_aspect("equal")
            axes.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
            axes.set_yticks([0, 0.5, 1], ["0", "0.5", "1"])
            axes.set_title(_panel_title(name, blocks[name], area), fontsize=9)
            if blocks[name][area] is None:
                axes.text(0.5, 0.5, "not measurable", ha="center", color=chart.MUTED, fontsize=9)
            else:
                curve(axes, truth[known, k], predictions.probs[known, k])
        for axes in panels[:, 0]:
            axes.set_ylabel(y_label)
        for axes in panels.flat[max(0, len(shown) - columns) : len(shown)]:
            axes.set_xlabel(x_label)
            axes.tick_params(labelbottom=True)

    width = 2.6 * columns if columns > 1 else 4.2
    return chart.draw_png(width, (2.6 if columns > 1 else 4.0) * lines + 0.3, draw, gap_in=0.06)


def shown_panels(metrics: Mapping[str, Any]) -> tuple[str, ...]:
    """Whose curves are drawn, in their own order; of two classes the second one's alone."""
    names = list(metrics["names"])
    if metrics["task"] == "multiclass" and len(names) == 2:
        return (names[1],)
    blocks = _blocks(metrics)
    most = sorted(names, key=lambda name: -blocks[name]["n_positive"])[:MAX_PANELS]
    return tuple(name for name in names if name in most)


def draw_label_reliability(metrics: Mapping[str, Any]) -> bytes:
    """How often an answer is true at each confidence, and how many answers that rests on."""
    bins: Sequence[Mapping[str, Any]] = metrics["calibration"]["bins"]
    is_classes = metrics["task"] == "multiclass"

    def draw(figure: Figure) -> None:
        axes, below = figure.subplots(2, 1, sharex=True, height_ratios=(3.4, 1))
        look = {"linestyle": "-", **chart.MODEL_MARK}
        draw_reliability_panel(axes, below, bins, look, is_label=not is_classes)
        axes.set_ylabel("Share of right classes" if is_classes else "Share in which it is present")
        below.set_ylabel("Images" if is_classes else "Answers")
        below.set_xlabel(
            "Model's confidence in the class it names"
            if is_classes
            else "Model's probability that a label is present"
        )

    return chart.draw_png(5.2, 4.8, draw)


def draw_class_confusion(metrics: Mapping[str, Any]) -> bytes:
    """Counts of true and given classes, shaded by their share of the true class."""
    table = np.array(metrics["confusion"])
    names = [short_name(name) for name in metrics["names"]]
    texts = None
    if len(names) <= _MOST_COUNTED_CLASSES:
        texts = [[thousands(int(count)) for count in row] for row in table]
    size = 2.2 + 0.5 * max(len(names), 4)

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        chart.draw_counts(axes, table, names, texts=texts, is_turned=True, fontsize=9)
        axes.set_xlabel("Class that the model names")
        axes.set_ylabel("True class")

    return chart.draw_png(size, size - 0.3, draw)


def _roc(axes: Axes, truth: Floats, probs: Floats) -> None:
    false_rate, true_rate, _ = roc_curve(truth, probs)
    axes.plot([0, 1], [0, 1], color=chart.MUTED, linewidth=1, linestyle=(0, (4, 3)))
    axes.plot(false_rate, true_rate, color=chart.MODEL, linewidth=1.8)


def _precision_recall(axes: Axes, truth: Floats, probs: Floats) -> None:
    """Steps, as the average precision sums them; dashed: the share of positives."""
    precision, recall, _ = precision_recall_curve(truth, probs)
    has_found = recall > 0  # before the first positive there is no step
    steps = precision[has_found]
    axes.axhline(float(truth.mean()), color=chart.MUTED, linewidth=1, linestyle=(0, (4, 3)))
    axes.step(
        np.append(recall[has_found], 0.0),
        np.append(steps, steps[-1]),
        where="post",
        color=chart.MODEL,
        linewidth=1.8,
    )


_KINDS: dict[str, tuple[_Curve, str, str]] = {
    "auroc": (_roc, "False alarms", "Found"),
    "auprc": (_precision_recall, "Found (recall)", "Precision"),
}


def _panel_title(name: str, block: Mapping[str, Any], area: str) -> str:
    spread = interval(block, area)
    return f"{short_name(name)}\n{number(block[area])}" + (f"  ({spread})" if spread else "")


def _blocks(metrics: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = metrics["classes" if metrics["task"] == "multiclass" else "labels"]
    return found
