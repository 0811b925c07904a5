"""What damaged images look like, and what growing damage does to the answers, as PNG bytes."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from csi_predictor.reporting import chart
from csi_predictor.reporting.wording import interval, number

FIGURE_WORDS = {
    "zone_qwk": "Agreement (QWK)",
    "zone_mae": "Error (MAE)",
    "auroc_macro": "AUROC, macro",
    "accuracy": "Accuracy",
}

_COLUMNS = 4
_COLUMNS_OF_PICTURES = 5
_DASHED: Any = (0, (5, 3))
_UNDAMAGED: dict[str, dict[str, Any]] = {
    "main": {"color": chart.MODEL, "linewidth": 1.1, "linestyle": (0, (1, 2))},
    "ece": {"color": chart.CONSTANT, "linewidth": 1.1, "linestyle": (0, (6, 2, 1, 2))},
}


def draw_robustness(block: Mapping[str, Any]) -> dict[str, bytes]:
    """File name -> PNG: a panel for each kind of damage; none where none was measured.

    Args:
        block: Of `evaluation.robustness.robustness_block`.
    """
    kinds = block["corruptions"]
    if not kinds:
        return {}
    columns = min(_COLUMNS, len(kinds))
    lines = -(-len(kinds) // columns)
    bottom = _lowest(block)

    def draw(figure: Figure) -> None:
        panels = figure.subplots(lines, columns, squeeze=False, sharey=True)
        for axes, kind in zip(panels.flat, kinds.values(), strict=False):
            _draw_kind(axes, kind, block)
            axes.set_ylim(bottom, 1.03)
        for axes in panels.flat[len(kinds) :]:
            axes.set_visible(False)
        figure.legend(
            handles=_legend(FIGURE_WORDS[block["main"]]),
            loc="outside upper left",
            ncols=4 if columns > 2 else 2,
            handlelength=2.6,
            columnspacing=1.4,
        )

    width = max(2.55 * columns, 4.2)
    return {"robustness.png": chart.draw_png(width, 2.55 * lines + 0.5, draw, gap_in=0.06)}


def draw_corruption_examples(pictures: Mapping[str, NDArray[Any]]) -> bytes:
    """One image as it is and under each kind of damage, side by side.

    Args:
        pictures: Title -> (H, W) grey or (3, H, W) colour in [0, 1].

    Raises:
        ValueError: There is no picture, or one has another shape.
    """
    if not pictures:
        raise ValueError("no picture: expected at least one")
    shown = {title: _channels_last(title, pixels) for title, pixels in pictures.items()}
    columns = min(_COLUMNS_OF_PICTURES, len(shown))
    lines = -(-len(shown) // columns)
    height, width = next(iter(shown.values())).shape[:2]

    def draw(figure: Figure) -> None:
        panels = figure.subplots(lines, columns, squeeze=False)
        for axes in panels.flat:
            axes.axis("off")
        for axes, (title, pixels) in zip(panels.flat, shown.items(), strict=False):
            axes.imshow(pixels, cmap="gray", vmin=0, vmax=1, interpolation="antialiased")
            axes.set_title(title, fontsize=9)

    tall = min(max(height / width, 0.5), 2.0)
    return chart.draw_png(2.0 * columns, (2.0 * tall + 0.25) * lines, draw, gap_in=0.03)


def _draw_kind(axes: Axes, kind: Mapping[str, Any], block: Mapping[str, Any]) -> None:
    main, clean, every = block["main"], block["clean"], kind["severities"]
    places = [each["severity"] for each in every]
    chart.add_grid(axes, "y")
    for name, look in _UNDAMAGED.items():
        level = clean[main if name == "main" else name]
        if level is not None:
            axes.axhline(level, **look)
    for each in every:
        low, high = each[f"{main}_ci_low"], each[f"{main}_ci_high"]
        if low is not None and high is not None:
            axes.plot([each["severity"]] * 2, [low, high], color=chart.MODEL, linewidth=2, zorder=2)
    axes.plot(places, _values(every, main), zorder=3, **_MAIN_LINE)
    axes.plot(places, _values(every, "ece"), zorder=3, **_ECE_LINE)
    axes.set_xlim(0.6, len(every) + 0.4)
    axes.set_xticks(places, [f"{each['strength']:g}" for each in every], fontsize=8)
    axes.set_xlabel(kind["unit"], fontsize=8, color=chart.MUTED)
    axes.set_title(_title(kind), fontsize=9)


_MAIN_LINE: dict[str, Any] = {**chart.MODEL_MARK, "markersize": 5, "linewidth": 1.6}
_ECE_LINE: dict[str, Any] = {
    **chart.CONSTANT_MARK,
    "markersize": 5.5,
    "markeredgewidth": 1.2,
    "linestyle": _DASHED,
    "linewidth": 1.4,
}


def _legend(word: str) -> list[Line2D]:
    return [
        Line2D([], [], label=word, **_MAIN_LINE),
        Line2D([], [], label="undamaged", **_UNDAMAGED["main"]),
        Line2D([], [], label="Calibration error (ECE)", **_ECE_LINE),
        Line2D([], [], label="undamaged", **_UNDAMAGED["ece"]),
    ]


def _title(kind: Mapping[str, Any]) -> str:
    spread = interval(kind, "mean_drop")
    fall = f"mean drop {number(kind['mean_drop'])}" + (f"  ({spread})" if spread else "")
    return f"{kind['title']}\n{fall}"


def _values(severities: list[Mapping[str, Any]], name: str) -> list[float]:
    return [np.nan if each[name] is None else each[name] for each in severities]


def _lowest(block: Mapping[str, Any]) -> float:
    """Where the panels begin: at 0, or lower where agreement is worse than chance."""
    main = block["main"]
    every = [
        block["clean"],
        *(s for kind in block["corruptions"].values() for s in kind["severities"]),
    ]
    lows = [value for each in every for value in (each[main], each[f"{main}_ci_low"])]
    lowest = min((value for value in lows if value is not None), default=0.0)
    return lowest - 0.05 if lowest < 0 else 0.0


def _channels_last(title: str, pixels: NDArray[Any]) -> NDArray[Any]:
    if pixels.ndim == 3 and len(pixels) == 3:
        return np.moveaxis(pixels, 0, -1)  # (3, H, W) -> (H, W, 3)
    if pixels.ndim != 2:
        raise ValueError(f"{title} has shape {pixels.shape}: expected (H, W) or (3, H, W)")
    return pixels
