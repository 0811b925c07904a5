"""Maps of features in two dimensions, each image a mark, coloured by what it shows."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from importlib import import_module

import numpy as np
from loguru import logger
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_limits

from csi_predictor.inference.features import ImageFeatures
from csi_predictor.inference.predictions import Floats
from csi_predictor.reporting import chart
from csi_predictor.reporting.wording import short_name, thousands
from csi_predictor.specs import NUM_GRADES

MOST_POINTS = 5000
FEWEST_POINTS = 5
MOST_PANELS = 6
MOST_CLASSES = 21
NUM_COMPONENTS = 50
PERPLEXITY = 30.0
"""Both from scikit-learn: what `TSNE`'s documentation advises, and its default."""

_NUM_NEIGHBOURS = 15  # umap-learn's own
_COLUMNS = 3
_MOST_LARGE_LINES = 14
_LEGEND_AREA = 34.0
_COLOURS = ("#0072b2", "#b34a00", "#009e73", "#7a3e9d", "#e69f00", "#56b4e9", "#8c564b")
_MARKERS = ("o", "^", "s")
"""Seven colours by three forms tell 21 classes apart."""

Map = Callable[[NDArray[np.float32], int], Floats]


@dataclass(frozen=True)
class Group:
    """Marks of one kind.

    Attributes:
        name: For the legend.
        is_member: (N,) True = such a mark.
        colour: Of its face.
        marker: matplotlib's.
        size_factor: Times the usual area.
    """

    name: str
    is_member: NDArray[np.bool_]
    colour: str
    marker: str = "o"
    size_factor: float = 1.0


def draw_maps(features: ImageFeatures, *, seed: int) -> dict[str, bytes]:
    """File name -> PNG: `tsne.png`, and `umap.png` where umap-learn is installed.

    Of more than 5000 images 5000 are drawn by lot. Nothing where a map would have no meaning: too
    few images, or features that are all the same; the log says so.

    Args:
        features: Of the images to show.
        seed: Of the lot and of the maps.
    """
    shown = _choose_points(features, seed)
    if len(shown) < FEWEST_POINTS or not np.ptp(shown.values, axis=0).any():
        logger.warning(
            "No map is drawn: {} images, whose features {}: expected at least {} that differ",
            len(shown),
            "differ" if len(shown) and np.ptp(shown.values, axis=0).any() else "are all the same",
            FEWEST_POINTS,
        )
        return {}
    maps: dict[str, Map] = {"t-SNE": embed_tsne, "UMAP": embed_umap}
    if not _has_umap():
        logger.info("umap-learn isn't installed: no umap.png")
        del maps["UMAP"]
    return {
        f"{name.lower().replace('-', '')}.png": draw_map(embed(shown.values, seed), shown, name)
        for name, embed in maps.items()
    }


def embed_tsne(values: NDArray[np.float32], seed: int) -> Floats:
    """(N, F) features -> (N, 2) by t-SNE on their first 50 principal components.

    In one thread: the sums of several end in no fixed order.

    Args:
        values: At least five rows, not all the same.
        seed: Of both steps.

    Source:
        van der Maaten and Hinton 2008, JMLR 9:2579-2605.
    """
    num_components = min(NUM_COMPONENTS, *values.shape)
    perplexity = min(PERPLEXITY, (len(values) - 1) / 3)
    with threadpool_limits(limits=1):
        reduced = PCA(num_components, random_state=seed).fit_transform(values.astype(np.float64))
        start = "pca" if num_components > 1 else "random"
        tsne = TSNE(perplexity=perplexity, init=start, random_state=seed)
        return np.asarray(tsne.fit_transform(reduced), dtype=np.float64)


def embed_umap(values: NDArray[np.float32], seed: int) -> Floats:
    """(N, F) features -> (N, 2) by UMAP; arguments as of `embed_tsne`.

    Source:
        McInnes et al. 2018, arXiv:1802.03426; umap-learn, which isn't installed by itself.
    """
    neighbours = min(_NUM_NEIGHBOURS, len(values) - 1)
    umap = import_module("umap").UMAP(n_neighbors=neighbours, random_state=seed, n_jobs=1)
    return np.asarray(umap.fit_transform(values), dtype=np.float64)


def draw_map(points: Floats, features: ImageFeatures, name: str) -> bytes:
    """The PNG of a map: one panel, or of labels one for each of the six most frequent.

    Args:
        points: (N, 2).
        features: Of the same images.
        name: Of the method.
    """
    panels = choose_panels(features)
    columns = min(_COLUMNS, len(panels))
    lines = -(-len(panels) // columns)
    title = f"{name} of {features.values.shape[1]} features, {thousands(len(points))} images"

    def draw(figure: Figure) -> None:
        figure.suptitle(title, x=0.01, ha="left", fontsize=11, fontweight="bold")
        grid = figure.subplots(lines, columns, squeeze=False)
        for axes in grid.flat[len(panels) :]:
            axes.set_visible(False)
        for axes, (panel, groups) in zip(grid.flat, panels.items(), strict=False):
            axes.set_title(panel, fontsize=10)
            _draw_groups(axes, points, groups)
        _add_legend(figure, grid.flat, is_beside=columns == 1)

    width, height = (6.8, 5.0) if columns == 1 else (3.0 * columns + 0.4, 3.1 * lines + 0.6)
    return chart.draw_png(width, height, draw, gap_in=0.06)


def choose_panels(features: ImageFeatures) -> dict[str, tuple[Group, ...]]:
    """Title -> kinds of marks, those drawn last on top."""
    spec, targets = features.target_spec, features.targets
    if spec.task == "multiclass":
        return {"": _class_groups(targets[:, 0], spec.names)}
    if spec.task == "multilabel":
        counts = np.nansum(targets, axis=0)
        order = np.argsort(-counts, kind="stable")[:MOST_PANELS]
        return {
            f"{short_name(spec.names[k])} ({thousands(int(counts[k]))})": _label_groups(
                targets[:, k]
            )
            for k in order
        }
    return {"Colour: rounded mean grade of the zones": _grade_groups(targets)}


def _choose_points(features: ImageFeatures, seed: int) -> ImageFeatures:
    if len(features) <= MOST_POINTS:
        return features
    rng = np.random.default_rng(seed)
    drawn = np.sort(rng.choice(len(features), MOST_POINTS, replace=False))
    logger.info("The maps show {} of {} images, drawn by lot", MOST_POINTS, len(features))
    return features.take(drawn)


def _has_umap() -> bool:
    try:
        import_module("umap")
    except ModuleNotFoundError:
        return False
    return True


def _grade_groups(targets: Floats) -> tuple[Group, ...]:
    """Light to dark by grade; the mean is rounded half up, as everywhere."""
    num_known = np.isfinite(targets).sum(axis=1)
    mean = np.nansum(targets, axis=1) / np.maximum(num_known, 1)
    grade = np.where(num_known > 0, np.floor(mean + 0.5), np.nan)
    shades = ("#b9d8ec", "#5fa5d2", "#0069a5", "#002b45")
    groups = [
        Group(f"grade {value}", grade == value, shades[value], "os^D"[value])
        for value in range(NUM_GRADES)
    ]
    return _counted([Group("no zone gradable", np.isnan(grade), "none", "x"), *groups])


def _class_groups(classes: Floats, names: Sequence[str]) -> tuple[Group, ...]:
    counts = np.array([(classes == index).sum() for index in range(len(names))])
    shown = np.sort(np.argsort(-counts, kind="stable")[:MOST_CLASSES])
    groups = [
        Group(
            short_name(names[index]),
            classes == index,
            _COLOURS[number % len(_COLOURS)],
            _MARKERS[number // len(_COLOURS)],
        )
        for number, index in enumerate(shown)
    ]
    others = Group("other classes", ~np.isin(classes, shown) & ~np.isnan(classes), chart.RULE)
    return _counted([Group("unknown", np.isnan(classes), "none", "x"), others, *groups])


def _label_groups(truth: Floats) -> tuple[Group, ...]:
    return _present(
        [
            Group("unknown", np.isnan(truth), "none", "x", 0.6),
            Group("absent", truth == 0, chart.RULE, "o", 0.7),
            Group("present", truth == 1, chart.CONSTANT, "^"),
        ]
    )


def _counted(groups: Sequence[Group]) -> tuple[Group, ...]:
    return tuple(
        replace(group, name=f"{group.name} ({thousands(int(group.is_member.sum()))})")
        for group in _present(groups)
    )


def _present(groups: Sequence[Group]) -> tuple[Group, ...]:
    return tuple(group for group in groups if group.is_member.any())


def _draw_groups(axes: Axes, points: Floats, groups: Sequence[Group]) -> None:
    """No numbers on the axes: only which marks lie together has a meaning."""
    area = float(np.clip(9000 / len(points), 7, 42))
    for group in groups:
        is_cross = group.marker == "x"
        axes.scatter(
            points[group.is_member, 0],
            points[group.is_member, 1],
            s=area * group.size_factor,
            marker=group.marker,
            label=group.name,
            color=chart.MUTED if is_cross else group.colour,
            edgecolor=None if is_cross else "white",
            linewidth=0.8 if is_cross else 0.3,
        )
    axes.set_aspect("equal", adjustable="datalim")
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set(visible=True, color=chart.RULE)


def _add_legend(figure: Figure, panels: Iterable[Axes], *, is_beside: bool) -> None:
    """Each kind of mark once, in one size however small the marks are."""
    marks = {str(each.get_label()): each for axes in panels for each in axes.collections}
    handles, names = list(marks.values()), list(marks)
    if is_beside:
        size = 9 if len(names) <= _MOST_LARGE_LINES else 7.5
        legend = figure.legend(
            handles, names, loc="outside right upper", handletextpad=0.2, fontsize=size
        )
    else:
        legend = figure.legend(
            handles, names, loc="outside lower left", ncols=len(names), handletextpad=0.2
        )
    for handle in legend.legend_handles:
        if isinstance(handle, PathCollection):
            handle.set_sizes([_LEGEND_AREA])
