"""Heat maps over the pictures that they explain, for a report's page or as files."""

import hashlib
import re
import textwrap
import unicodedata
from io import BytesIO
from typing import Any

import numpy as np
from matplotlib import colormaps, patheffects
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from csi_predictor.reporting import chart

MAX_PNG_BYTES = 120_000
MAX_JPEG_BYTES = 50_000

_WIDTH_IN = 5.2
_PANEL_IN = 2.1
_JPEG_PANEL_IN = 1.6
_LOWEST, _TALLEST = 0.6, 1.6
"""Of a panel, times its width: room for the colours' meaning; a longer picture is shown smaller."""

_LEVELS = {0.25: ":", 0.5: "--", 0.75: "-"}
"""Contour lines, which are all that a black-and-white print shows of the colours."""

_OPAQUE_FROM = 0.4
_OPACITY = 0.6
_SHRINK = (1.0, 0.85, 0.7, 0.55, 0.4, 0.3)
_QUALITIES = (82, 70, 55, 40, 25, 10)
_LINE = 62
_WHITE = 248
_LONGEST_PART = 40


def draw_heat_map(
    picture: NDArray[Any], heat: NDArray[np.float32], *, title: str, has_sides: bool
) -> bytes:
    """A PNG of at most 120 kB: the picture, beside it with the map, and the colours' meaning.

    Args:
        picture: (H, W) grey or (3, H, W) colour, 0 = black to 1 = white, as the network saw it.
        heat: (H, W) from 0, where the picture is left as it is, to 1, the strongest place.
        title: Above both.
        has_sides: True = a frontal radiograph: the patient's right, on the picture's left, is
            marked R and the left L.

    Raises:
        ValueError: The shapes differ, or the heat isn't from 0 to 1.
    """
    levels = _check(picture, heat)
    panel_in = _PANEL_IN * min(max(heat.shape[0] / heat.shape[1], _LOWEST), _TALLEST)
    lines = textwrap.wrap(title, _LINE, max_lines=2, placeholder=" …") or [""]

    def draw(figure: Figure) -> None:
        figure.suptitle("\n".join(lines), x=0.01, ha="left", fontsize=10, parse_math=False)
        plain, mapped = figure.subplots(1, 2)
        _show(plain, levels, has_sides=has_sides)
        _show(mapped, _blend(levels, heat), has_sides=has_sides)
        _outline(mapped, heat)
        _caption(plain, "Picture")
        _caption(mapped, "Picture and evidence" if heat.any() else "No evidence found in it")
        _explain_colours(figure, mapped)

    content = chart.draw_png(_WIDTH_IN, panel_in + 0.42 + 0.18 * len(lines), draw)
    return _as_small_png(content)


def draw_heat_map_jpeg(
    picture: NDArray[Any], heat: NDArray[np.float32], *, has_sides: bool
) -> bytes:
    """The same pair without words, a JPEG of at most 50 kB for a list of many cases.

    It holds the plain picture too, in the place of a thumbnail.

    Raises:
        ValueError: The shapes differ, or the heat isn't from 0 to 1.
    """
    levels = _check(picture, heat)
    panel_in = _JPEG_PANEL_IN * min(heat.shape[0] / heat.shape[1], _TALLEST)

    def draw(figure: Figure) -> None:
        plain, mapped = figure.subplots(1, 2)
        _show(plain, levels, has_sides=has_sides)
        _show(mapped, _blend(levels, heat), has_sides=has_sides)
        _outline(mapped, heat)

    return _as_small_jpeg(chart.draw_png(2 * _JPEG_PANEL_IN, panel_in, draw, gap_in=0.01))


def pick_slice(heat: NDArray[np.float32]) -> int:
    """The slice of a volume's heat (D, H, W) that holds most of it; the middle one of an empty map.

    Raises:
        ValueError: The heat isn't (D, H, W).
    """
    if heat.ndim != 3 or not len(heat):
        raise ValueError(f"heat has shape {heat.shape}: expected (D, H, W)")
    totals = heat.sum(axis=(1, 2), dtype=np.float64)
    return int(totals.argmax()) if totals.any() else len(heat) // 2


def slice_title(title: str, index: int, num_slices: int) -> str:
    """`title, slice 17 of 64`, counted from 1."""
    return f"{title}, slice {index + 1} of {num_slices}"


def safe_name(index: int, file_id: str, question: str) -> str:
    """A PNG's file name that no other sample or question has, on any file system.

    Folders of the id are left out, other characters than plain ones become `-`, and what is cut
    or folded away is told apart by the hash.

    Args:
        index: Of the sample in the evaluation.
        file_id: As in the labels table.
        question: What the map answers.
    """
    digest = hashlib.sha256(f"{index}\0{file_id}\0{question}".encode()).hexdigest()[:10]
    parts = (re.split(r"[/\\]", file_id)[-1], question)
    return "_".join((f"{index:05d}", *map(_plain, parts), digest)) + ".png"


def _plain(text: str) -> str:
    """Lower-case ASCII letters, digits, `-` and `.` between them."""
    folded = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    words = re.sub(r"[^a-z0-9.]+", "-", folded)[:_LONGEST_PART]
    return words.strip("-.") or "x"


def _check(picture: NDArray[Any], heat: NDArray[np.float32]) -> NDArray[np.float64]:
    """The picture as (H, W, 3) levels from 0 to 1.

    Raises:
        ValueError: The shapes differ, or the heat isn't from 0 to 1.
    """
    is_grey = picture.ndim == 2
    if not is_grey and (picture.ndim != 3 or len(picture) != 3):
        raise ValueError(f"picture has shape {picture.shape}: expected (H, W) or (3, H, W)")
    if heat.shape != picture.shape[-2:]:
        raise ValueError(
            f"heat has shape {heat.shape} and the picture {picture.shape[-2:]}: expected equal ones"
        )
    if not ((heat >= 0) & (heat <= 1)).all():
        raise ValueError("heat has values beyond 0 to 1, or not a number: expected 0 to 1")
    planes = np.stack([picture] * 3) if is_grey else picture
    return np.moveaxis(np.clip(np.nan_to_num(planes.astype(np.float64)), 0, 1), 0, -1)


def _colours() -> ListedColormap:
    """Perceptually uniform, from dark violet to yellow; transparent at 0.

    Source: van der Walt and Smith 2015, matplotlib's plasma.
    """
    steps = np.linspace(0, 1, 256)
    table = colormaps["plasma"](steps)
    table[:, 3] = _opacity(steps)
    return ListedColormap(table, name="heat")


def _opacity(heat: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(_OPACITY * np.minimum(heat / _OPAQUE_FROM, 1))


def _blend(levels: NDArray[np.float64], heat: NDArray[np.float32]) -> NDArray[np.float64]:
    """(H, W, 3) with the map's colours laid over them."""
    table = _colours()(heat.astype(np.float64))
    opacity = table[..., 3:]
    return np.asarray(levels * (1 - opacity) + table[..., :3] * opacity)


def _show(axes: Axes, levels: NDArray[np.float64], *, has_sides: bool) -> None:
    axes.imshow(levels, interpolation="antialiased")
    axes.set_axis_off()
    for side, x, where in (("R", 0.02, "left"), ("L", 0.98, "right")) if has_sides else ():
        axes.text(
            x,
            0.5,
            side,
            transform=axes.transAxes,
            ha=where,
            va="center",
            color="white",
            fontsize=11,
            fontweight="bold",
            path_effects=_halo(2.5),
        )


def _caption(axes: Axes, text: str) -> None:
    axes.set_title(text, fontsize=9, fontweight="normal")


def _outline(axes: Axes, heat: NDArray[np.float32]) -> None:
    for level, style in _LEVELS.items():
        # Before 3.11, matplotlib draws another level where this one isn't reached.
        if heat.min() < level < heat.max():
            lines = axes.contour(
                heat, levels=[level], colors="white", linestyles=style, linewidths=1.1
            )
            lines.set_path_effects(_halo(2))


def _explain_colours(figure: Figure, axes: Axes) -> None:
    """A bar on a radiograph's grey, with the contour lines in it."""
    bar = figure.colorbar(ScalarMappable(Normalize(0, 1), _colours()), ax=axes, fraction=0.08)
    ticks = (0, *_LEVELS, 1)
    bar.set_ticks(ticks, labels=[f"{100 * tick:.0f} %" for tick in ticks])
    bar.ax.tick_params(length=0, labelsize=8)
    bar.ax.set_facecolor("#808080")
    for level, style in _LEVELS.items():
        bar.ax.axhline(level, color="white", linestyle=style, linewidth=1.4, path_effects=_halo(2))
    bar.set_label("evidence, share of\nthe strongest place", fontsize=8)


def _halo(width: float) -> list[patheffects.AbstractPathEffect]:
    return [patheffects.withStroke(linewidth=width, foreground="black")]


def _as_small_png(content: bytes) -> bytes:
    """With a palette of 256 colours, and smaller where noise doesn't pack."""
    drawn = _open(content)
    for share in _SHRINK:
        size = (round(drawn.width * share), round(drawn.height * share))
        sized = drawn if share == 1 else drawn.resize(size, Image.Resampling.LANCZOS)
        packed = _encode(_with_few_colours(sized), "PNG")
        if len(packed) <= MAX_PNG_BYTES:
            break
    return packed


def _with_few_colours(picture: Image.Image) -> Image.Image:
    """With the palette of every fourth pixel a side, for that of all takes seconds.

    Of Pillow's ways it is the one that keeps a few coloured pixels among many grey ones.
    """
    size = (max(picture.width // 4, 1), max(picture.height // 4, 1))
    sample = picture.resize(size, Image.Resampling.NEAREST)
    palette = sample.quantize(256, Image.Quantize.MAXCOVERAGE, 2)
    # The paper stays white, on a white page.
    palette.putpalette([255 if level >= _WHITE else level for level in palette.getpalette() or ()])
    return picture.quantize(palette=palette, dither=Image.Dither.NONE)


def _as_small_jpeg(content: bytes) -> bytes:
    drawn = _open(content)
    for quality in _QUALITIES:
        packed = _encode(drawn, "JPEG", quality=quality)
        if len(packed) <= MAX_JPEG_BYTES:
            break
    return packed


def _open(content: bytes) -> Image.Image:
    with Image.open(BytesIO(content)) as opened:
        return opened.convert("RGB")


def _encode(picture: Image.Image, kind: str, **options: int) -> bytes:
    buffer = BytesIO()
    picture.save(buffer, format=kind, optimize=True, **options)
    return buffer.getvalue()
