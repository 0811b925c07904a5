"""The course of a training: `history.csv` and `training_curves.png`."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from csi_predictor.files import write_bytes
from csi_predictor.reporting import chart
from csi_predictor.reporting.tables import Cell, write_table

History = Sequence[Mapping[str, float]]
_TITLES = {
    "val_zone_mae": "Validation: zone MAE (lower is better)",
    "val_zone_qwk": "Validation: zone QWK (higher is better)",
    "val_loss": "Validation loss (lower is better)",
}
_HIGHER_IS_BETTER = ("qwk", "accuracy", "f1", "auroc", "auprc")


def write_history(rows: History, path: Path) -> None:
    """Write one line an epoch; a figure that an epoch lacks is an empty cell."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    write_table(path, columns, ([_cell(row.get(name)) for name in columns] for row in rows))


def plot_training_curves(
    rows: History, path: Path, *, monitor: str = "val_zone_mae", best_epoch: int | None = None
) -> None:
    """Draw losses, the monitored figure and the learning rate by epoch, the best epoch marked.

    Args:
        rows: One an epoch, as in `history.csv`.
        path: The PNG.
        monitor: The figure that chose the best epoch.
        best_epoch: Whose weights were kept; None = where `monitor` is best, if it is known at all.
    """
    figures = [name for name in ("val_zone_mae", "val_zone_qwk") if _has(rows, name)]
    if monitor not in figures and monitor != "val_loss" and _has(rows, monitor):
        figures.append(monitor)
    best = _best_epoch(rows, monitor) if best_epoch is None else best_epoch

    def draw(figure: Figure) -> None:
        panels = figure.subplots(2 + len(figures), 1, sharex=True)
        _draw_losses(panels[0], rows)
        for axes, name in zip(panels[1:], figures, strict=False):
            _draw_line(axes, rows, name)
            axes.set_title(_TITLES.get(name, name))
        _draw_line(panels[-1], rows, "learning_rate")
        panels[-1].set_title("Learning rate")
        panels[-1].set_xlabel("Epoch")
        panels[-1].xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        panels[-1].set_xlim(rows[0]["epoch"] - 0.5, rows[-1]["epoch"] + 0.5)
        if best is not None:
            for axes in panels:
                axes.axvline(best, color=chart.MUTED, linewidth=1, linestyle=(0, (4, 3)))
            panels[0].set_title(f"Loss   (dashed: best epoch, {best:g}, by {monitor})")

    write_bytes(path, chart.draw_png(7.2, 2.1 * (2 + len(figures)), draw))


def _draw_losses(axes: Axes, rows: History) -> None:
    _draw_line(axes, rows, "train_loss", label="training", linestyle=(0, (5, 2)), color=chart.MUTED)
    if _has(rows, "val_loss"):
        _draw_line(axes, rows, "val_loss", label="validation")
    axes.set_title("Loss")
    axes.legend()


def _draw_line(
    axes: Axes,
    rows: History,
    name: str,
    *,
    label: str | None = None,
    color: str = chart.MODEL,
    linestyle: str | tuple[int, tuple[int, ...]] = "-",
) -> None:
    points = [(row["epoch"], row[name]) for row in rows if _is_known(row.get(name))]
    chart.add_grid(axes)
    axes.plot(
        [epoch for epoch, _ in points],
        [value for _, value in points],
        label=label,
        color=color,
        linestyle=linestyle,
        marker="o" if len(points) < 2 else None,
    )


def _best_epoch(rows: History, monitor: str) -> float | None:
    known = [(row[monitor], row["epoch"]) for row in rows if _is_known(row.get(monitor))]
    if not known:
        return None
    is_higher_better = any(word in monitor for word in _HIGHER_IS_BETTER)
    best = (max if is_higher_better else min)(value for value, _ in known)
    return next(epoch for value, epoch in known if value == best)


def _has(rows: History, name: str) -> bool:
    return any(_is_known(row.get(name)) for row in rows)


def _is_known(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _cell(value: float | None) -> Cell:
    """A whole number without a decimal point, as the epoch."""
    if value is not None and math.isfinite(value) and float(value).is_integer():
        return int(value)
    return value
