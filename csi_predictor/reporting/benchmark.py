"""What networks and engines cost: a table for programs, one for people, and a picture."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator

from csi_predictor.benchmarking.records import COLUMNS, BenchmarkRow
from csi_predictor.files import write_bytes, write_text
from csi_predictor.reporting import chart
from csi_predictor.reporting.tables import write_table
from csi_predictor.reporting.wording import UNDEFINED, thousands

CSV_NAME = "benchmark.csv"
MARKDOWN_NAME = "benchmark.md"
PICTURE_NAME = "benchmark.png"

_QUALITY_NAMES = {
    "zone_qwk": "QWK over zones",
    "accuracy": "Accuracy",
    "auroc_macro": "AUROC, mean of the labels",
}
_LOOKS: dict[str, dict[str, Any]] = {
    "eager": {"marker": "o", "color": "#1c2733"},
    "channels_last": {"marker": "s", "color": "#0072b2"},
    "compile": {"marker": "^", "color": "#8a5c9e"},
    "openvino": {"marker": "D", "color": "#b34a00"},
    "onnx": {"marker": "v", "color": "#00785a"},
}
"""Form and colour of an engine; hollow = bf16."""

_NOTE = """\
Milliseconds are of one step (a batch): median and 95th percentile of the timed calls. The engines \
of one network took turns in rounds, in one process; networks came one after another, so rows of \
different networks are not from the same moment. CPU ms: CPU time of the whole process for one \
image. × eager: how many times faster than fp32 eager, same network, size and batch, by the clock \
and by CPU time; where other programs used the machine meanwhile, the latter is the steadier. \
GMACs and activations are of one image, attention's products included, norms and pooling not. Peak \
MiB: of a process of its own that prepares the engine and runs it (on a CPU the resident set, with \
the libraries; on a GPU the tensors). Largest difference: of a logit from fp32 eager's, beside the \
largest logit itself; weights of networks that aren't bundles are random.
"""


def write_benchmark(
    rows: Sequence[BenchmarkRow], run_dir: Path, *, machine: Mapping[str, str]
) -> None:
    """Write `benchmark.csv` and `benchmark.md`.

    Args:
        rows: All that are done.
        run_dir: The run's folder.
        machine: What is known of it, for the head of `benchmark.md`.
    """
    write_table(
        run_dir / CSV_NAME, COLUMNS, ([getattr(row, name) for name in COLUMNS] for row in rows)
    )
    write_text(run_dir / MARKDOWN_NAME, render_markdown(rows, machine))


def write_picture(rows: Sequence[BenchmarkRow], run_dir: Path) -> None:
    """Write `benchmark.png`."""
    write_bytes(run_dir / PICTURE_NAME, draw_benchmark(rows))


def render_markdown(rows: Sequence[BenchmarkRow], machine: Mapping[str, str]) -> str:
    """The machine, the table, and how to read it; columns that no row fills are left out."""
    eager = {_setting(row): row for row in rows if (row.engine, row.precision) == ("eager", "fp32")}
    lines = [_cells(row, eager.get(_setting(row))) for row in rows]
    names = [name for name in _HEADS if any(line[name] != UNDEFINED for line in lines)]
    table = [
        f"| {' | '.join(names)} |",
        f"|{'|'.join('---' if name in _TEXTS else '---:' for name in names)}|",
        *(f"| {' | '.join(line[name] for name in names)} |" for line in lines),
    ]
    facts = [f"- {name}: {value}" for name, value in machine.items()]
    return "\n".join(["# Benchmark", "", *facts, "", *table, "", _NOTE])


def draw_benchmark(rows: Sequence[BenchmarkRow]) -> bytes:
    """PNG: quality over milliseconds an image where bundles bring one, else speed by parameters.

    Speed shows every network; quality, the bundles alone.
    """
    timed = [row for row in rows if row.infer_samples_per_sec]
    judged = [row for row in timed if row.quality is not None]
    num_lines = len({_setting(row) for row in timed})

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        if judged:
            _draw_quality(axes, judged)
        else:
            _draw_speed(axes, timed)
        if timed:
            figure.legend(loc="outside upper left", ncols=4, handletextpad=0.3, columnspacing=1.2)

    return chart.draw_png(7.2, 5.0 if judged else 1.6 + 0.28 * max(num_lines, 3), draw)


def _draw_quality(axes: Axes, rows: Sequence[BenchmarkRow]) -> None:
    """A line of marks a bundle, named above its fastest one."""
    chart.add_grid(axes)
    _marks(axes, [(row, _ms_per_image(row), row.quality or 0.0) for row in rows])
    for setting, name in _titles(rows).items():
        fastest = min((row for row in rows if _setting(row) == setting), key=_ms_per_image)
        axes.annotate(
            name,
            xy=(_ms_per_image(fastest), fastest.quality or 0.0),
            xytext=(-4, 8),
            textcoords="offset points",
            fontsize=9,
        )
    axes.margins(0.12)
    _log_axis(axes)
    axes.set_xlabel("Milliseconds an image")
    metrics = sorted({row.quality_metric for row in rows})
    axes.set_ylabel(" or ".join(_QUALITY_NAMES.get(name, name) for name in metrics))


def _draw_speed(axes: Axes, rows: Sequence[BenchmarkRow]) -> None:
    """A line a network, from few parameters to many: as a cloud their names would overlap."""
    chart.add_grid(axes, "x")
    sizes = {_setting(row): row.param_count or 0.0 for row in rows}
    order = sorted(sizes, key=lambda setting: (sizes[setting], setting))
    place = {setting: float(-index) for index, setting in enumerate(order)}
    _marks(axes, [(r, r.infer_samples_per_sec or 0.0, place[_setting(r)]) for r in rows])
    titles = _titles(rows)
    labels = [f"{titles[setting]}  {_number(sizes[setting])} M" for setting in order]
    axes.set_yticks([place[setting] for setting in order], labels)
    axes.set_ylim(-len(order) + 0.4, 0.6)
    axes.spines["left"].set_visible(False)
    if rows:
        _log_axis(axes)
    axes.set_xlabel("Images a second; networks by their parameters")


def _marks(axes: Axes, points: Sequence[tuple[BenchmarkRow, float, float]]) -> None:
    """A mark a row, its form and colour the engine's; each engine once in the legend."""
    shown: set[str] = set()
    for row, x, y in points:
        word = row.engine if row.precision == "fp32" else f"{row.engine} {row.precision}"
        look = _LOOKS[row.engine]
        axes.plot(
            x,
            y,
            linestyle="none",
            markersize=7,
            markeredgewidth=1.6,
            markerfacecolor="none" if row.precision == "bf16" else look["color"],
            label=None if word in shown else word,
            zorder=3,
            **look,
        )
        shown.add(word)


def _titles(rows: Sequence[BenchmarkRow]) -> dict[tuple[str, str, str], str]:
    """The network's name; with size and batch where it stands in the rows with several."""
    settings = dict.fromkeys(_setting(row) for row in rows)
    names = [name for name, *_ in settings]
    return {
        (name, size, batch): name if names.count(name) == 1 else f"{name} {size} ×{batch}"
        for name, size, batch in settings
    }


def _log_axis(axes: Axes) -> None:
    """Plain numbers at 1, 2 and 5 of each power of ten."""
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(FuncFormatter(lambda *_: ""))
    axes.tick_params(which="both", length=0)


def _setting(row: BenchmarkRow) -> tuple[str, str, str]:
    """What rows must share to be compared."""
    return row.model, row.infer_img_size, str(row.infer_batch_size)


def _ms_per_image(row: BenchmarkRow) -> float:
    return (row.infer_step_time or 0.0) / row.infer_batch_size


_TEXTS = ("Network", "Engine", "Precision", "Why not")
_HEADS = (
    "Network",
    "Size",
    "Batch",
    "Engine",
    "Precision",
    "ms",
    "p95",
    "Images/s",
    "× eager",
    "CPU ms",
    "× eager, CPU",
    "GMACs",
    "M activations",
    "M parameters",
    "Peak MiB",
    "Largest difference",
    "of logits to",
    "Training images/s",
    "Training peak MiB",
    "Quality",
    "Why not",
)


def _cells(row: BenchmarkRow, eager: BenchmarkRow | None) -> dict[str, str]:
    """One line of the table by its heads."""
    return {
        "Network": row.model,
        "Size": row.infer_img_size or UNDEFINED,
        "Batch": str(row.infer_batch_size),
        "Engine": row.engine,
        "Precision": row.precision,
        "ms": _number(row.infer_step_time),
        "p95": _number(row.infer_step_time_p95),
        "Images/s": _number(row.infer_samples_per_sec),
        "× eager": _ratio(eager, row, "infer_step_time"),
        "CPU ms": _number(row.cpu_ms_per_image),
        "× eager, CPU": _ratio(eager, row, "cpu_ms_per_image"),
        "GMACs": _number(row.infer_gmacs),
        "M activations": _number(row.infer_macts),
        "M parameters": _number(row.param_count),
        "Peak MiB": _whole(row.peak_memory_mb),
        "Largest difference": _scientific(row.max_abs_diff),
        "of logits to": _scientific(row.max_abs_logit),
        "Training images/s": _number(row.train_samples_per_sec),
        "Training peak MiB": _whole(row.train_peak_memory_mb),
        "Quality": UNDEFINED if row.quality is None else f"{row.quality:.3f} {row.quality_metric}",
        "Why not": row.error.replace("|", "\\|") or UNDEFINED,
    }


def _ratio(eager: BenchmarkRow | None, row: BenchmarkRow, name: str) -> str:
    """How many times less of a figure than fp32 eager; a dash where either is unknown."""
    theirs, mine = getattr(eager, name, None), getattr(row, name)
    return f"{theirs / mine:.2f}" if theirs and mine else UNDEFINED


def _number(value: float | None) -> str:
    """Three significant digits, and no powers of ten."""
    if value is None:
        return UNDEFINED
    return thousands(round(value)) if value >= 1000 else f"{value:#.3g}".rstrip(".")


def _whole(value: float | None) -> str:
    return UNDEFINED if value is None else thousands(round(value))


def _scientific(value: float | None) -> str:
    if value is None:
        return UNDEFINED
    return "0" if value == 0 else f"{value:.1e}"
