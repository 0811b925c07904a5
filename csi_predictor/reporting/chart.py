"""The look that all figures share: ink, fonts, marks that differ in form as well as in colour."""

from collections.abc import Callable
from io import BytesIO
from typing import Any, Literal

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

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
