"""The look that all figures share: ink, fonts, marks that differ in form as well as in colour."""

from collections.abc import Callable, Sequence
from io import BytesIO
from typing import Any, Literal

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from numpy.typing import NDArray

INK = "#1c2733"
MUTED = "#5b6875"
RULE = "#d5dce3"
MODEL = "#0072b2"
CONSTANT = "#b34a00"
READER = "#1c2733"
"""Blue and vermilion after Okabe and Ito 2008, "Color universal design"; the red is darkened."""

SHADES = LinearSegmentedColormap.from_list("shades", ["#ffffff", "#cfe3f1", "#6aaed6", MODEL])

MODEL_MARK: dict[str, Any] = {"marker": "o", "color": MODEL, "markersize": 7}
CONSTANT_MARK: dict[str, Any] = {
    "marker": "^",
    "color": CONSTANT,
    "markerfacecolor": "white",
    "markersize": 7.5,
    "markeredgewidth": 1.6,
}
READER_MARK: dict[str, Any] = {
    "marker": "D",
    "color": READER,
    "markerfacecolor": "white",
    "markersize": 6.5,
    "markeredgewidth": 1.6,
}

_DPI = 160
_STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "text.color": INK,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelcolor": INK,
    "axes.edgecolor": MUTED,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "grid.color": RULE,
    "grid.linewidth": 0.8,
    "legend.frameon": False,
    "hatch.linewidth": 0.8,
}


def draw_png(
    width_in: float, height_in: float, draw: Callable[[Figure], None], *, gap_in: float = 0.04
) -> bytes:
    """The PNG of a figure that `draw` fills; the same drawing gives the same bytes."""
    with mpl.rc_context(_STYLE):
        layout = ConstrainedLayoutEngine(h_pad=gap_in, w_pad=gap_in)
        figure = Figure(figsize=(width_in, height_in), layout=layout, facecolor="white")
        FigureCanvasAgg(figure)
        draw(figure)
        buffer = BytesIO()
        figure.savefig(buffer, format="png", dpi=_DPI, metadata={"Software": None})
    return buffer.getvalue()


def add_grid(axes: Axes, axis: Literal["x", "y", "both"] = "both") -> None:
    """Quiet lines behind the marks, and no ticks beside them."""
    axes.grid(visible=True, axis=axis)
    axes.tick_params(length=0)


def draw_counts(
    axes: Axes,
    table: NDArray[Any],
    names: Sequence[str],
    *,
    texts: Sequence[Sequence[str]] | None,
    is_turned: bool,
    fontsize: float,
) -> None:
    """A confusion table: a row is a truth, a column an answer, shaded by its share of the row.

    Args:
        axes: Of the table.
        table: (K, K) counts.
        names: K.
        texts: K of K, in the cells; None = too many to be read.
        is_turned: Whether the names below are too long to stand straight.
        fontsize: Of the texts, points.
    """
    shares = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap=SHADES, vmin=0, vmax=1)
    for row, line in enumerate(texts or ()):
        for column, text in enumerate(line):
            axes.text(
                column,
                row,
                text,
                ha="center",
                va="center",
                fontsize=fontsize,
                color="white" if shares[row, column] > 0.8 else INK,
                fontweight="bold" if row == column else "normal",
            )
    index = range(len(names))
    if is_turned:
        axes.set_xticks(index, names, rotation=45, ha="right", rotation_mode="anchor")
    else:
        axes.set_xticks(index, names)
    axes.set_yticks(index, names)
    axes.set_xticks(np.arange(len(names) - 1) + 0.5, minor=True)
    axes.set_yticks(np.arange(len(names) - 1) + 0.5, minor=True)
    axes.grid(visible=True, which="minor", color="white", linewidth=2)
    axes.tick_params(which="both", length=0)
    for spine in axes.spines.values():
        spine.set(visible=True, color=RULE)
