"""Maps of features: what lies apart stays apart, and each mark has the right kind."""

import sys
from types import ModuleType

import numpy as np
import pytest
from loguru import logger

from csi_predictor.inference.features import ImageFeatures
from csi_predictor.reporting import feature_map
from csi_predictor.reporting.feature_map import (
    MOST_CLASSES,
    choose_panels,
    draw_map,
    draw_maps,
    embed_tsne,
)
from csi_predictor.specs import TargetSpec

NAN = float("nan")


def make(spec: TargetSpec, targets: np.ndarray, values: np.ndarray | None = None) -> ImageFeatures:
    count = len(targets)
    rng = np.random.default_rng(0)
    return ImageFeatures(
        file_ids=tuple(f"{index}" for index in range(count)),
        patient_ids=("p",) * count,
        parts=("",) * count,
        target_spec=spec,
        targets=targets,
        values=rng.normal(size=(count, 60)).astype(np.float32) if values is None else values,
    )


def classes(count: int = 30, num_classes: int = 3) -> ImageFeatures:
    names = tuple(f"kind_{index}" for index in range(num_classes))
    spec = TargetSpec(task="multiclass", names=names, num_classes=num_classes)
    return make(spec, (np.arange(count) % num_classes)[:, None].astype(float))


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, object]]:
    """A module `umap` that notes what it is asked for."""
    asked: list[dict[str, object]] = []

    class Umap:
        def __init__(self, **settings: object) -> None:
            asked.append(settings)

        def fit_transform(self, values: np.ndarray) -> np.ndarray:
            return values[:, :2]

    module = ModuleType("umap")
    module.UMAP = Umap  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "umap", module)
    return asked


@pytest.fixture
def log() -> list[str]:
    lines: list[str] = []
    logger.add(lambda message: lines.append(str(message)), format="{message}")
    return lines


@pytest.mark.parametrize(("count", "width"), [(5, 1), (7, 3), (90, 200)])
def test_two_kinds_far_apart_stay_apart_with_any_number_of_images(count: int, width: int) -> None:
    rng = np.random.default_rng(1)
    kind = np.arange(count) % 2
    values = (rng.normal(size=(count, width)) + 100 * kind[:, None]).astype(np.float32)
    points = embed_tsne(values, 5)
    assert points.shape == (count, 2)
    np.testing.assert_array_equal(embed_tsne(values, 5), points)
    if count > 10:
        distance = np.linalg.norm(points[:, None] - points[None], axis=-1)
        np.fill_diagonal(distance, np.inf)
        assert (kind[distance.argmin(axis=1)] == kind).all()


def test_zones_are_coloured_by_their_rounded_mean_grade() -> None:
    targets = np.array(
        [
            [0, 0, 1, 1, 0, 0],  # 1/3
            [0, 1, NAN, NAN, NAN, NAN],  # 1/2, rounded up
            [2, 2, 3, 3, 3, 2],  # 5/2, rounded up
            [NAN] * 6,
            [1, 1, 2, 2, 2, 1.0],  # 3/2, rounded up
        ]
    )
    ((_, groups),) = choose_panels(make(TargetSpec(), targets)).items()
    found = {group.name: np.flatnonzero(group.is_member).tolist() for group in groups}
    assert found == {
        "no zone gradable (1)": [3],
        "grade 0 (1)": [0],
        "grade 1 (1)": [1],
        "grade 2 (1)": [4],
        "grade 3 (1)": [2],
    }


def test_the_six_most_frequent_labels_have_a_panel_each() -> None:
    rng = np.random.default_rng(2)
    targets = (rng.random((40, 8)) < [0.1, 0.9, 0.3, 0.4, 0.5, 0.6, 0.05, 0.7]).astype(float)
    targets[0, 1] = NAN
    spec = TargetSpec(task="multilabel", names=tuple("abcdefgh"), num_classes=2)
    panels = choose_panels(make(spec, targets))
    counts = np.nansum(targets, axis=0)
    expected = sorted(range(8), key=lambda k: -counts[k])[:6]
    assert list(panels) == [f"{'abcdefgh'[k]} ({int(counts[k])})" for k in expected]
    first = panels[f"b ({int(counts[1])})"]
    assert [group.name for group in first] == ["unknown", "absent", "present"]
    assert np.flatnonzero(first[0].is_member).tolist() == [0]
    assert first[2].is_member.sum() == counts[1]


def test_every_class_has_a_look_of_its_own_and_the_rare_ones_share_one() -> None:
    features = classes(count=2 * 25, num_classes=25)
    features.targets[0] = NAN
    ((_, groups),) = choose_panels(features).items()
    assert groups[0].name == "unknown (1)"
    assert groups[1].name == f"other classes ({2 * (25 - MOST_CLASSES) - 1})"
    looks = {(group.colour, group.marker) for group in groups[2:]}
    assert len(looks) == len(groups) - 2 == MOST_CLASSES
    assert sum(group.is_member.sum() for group in groups) == 50


@pytest.mark.parametrize("task", ["csi", "multilabel", "multiclass"])
def test_every_task_has_a_picture_that_follows_its_truth(task: str) -> None:
    rng = np.random.default_rng(3)
    specs = {
        "csi": (TargetSpec(), rng.integers(0, 4, (30, 6)).astype(float)),
        "multilabel": (
            TargetSpec(task="multilabel", names=("a", "b", "c", "d"), num_classes=2),
            rng.integers(0, 2, (30, 4)).astype(float),
        ),
        "multiclass": (
            TargetSpec(task="multiclass", names=("a", "b"), num_classes=2),
            rng.integers(0, 2, (30, 1)).astype(float),
        ),
    }
    spec, targets = specs[task]
    points = rng.normal(size=(30, 2))
    picture = draw_map(points, make(spec, targets), "t-SNE")
    assert picture.startswith(b"\x89PNG")
    assert draw_map(points, make(spec, targets[::-1].copy()), "t-SNE") != picture


def test_of_many_images_some_are_drawn_by_lot(
    monkeypatch: pytest.MonkeyPatch, log: list[str]
) -> None:
    monkeypatch.setattr(feature_map, "MOST_POINTS", 20)
    seen: list[np.ndarray] = []
    monkeypatch.setattr(
        feature_map, "embed_tsne", lambda values, seed: (seen.append(values), values[:, :2])[1]
    )
    monkeypatch.setitem(sys.modules, "umap", None)
    features = classes(count=50)
    for seed in (1, 1, 2):
        draw_maps(features, seed=seed)
    assert "The maps show 20 of 50 images, drawn by lot\n" in log
    assert [len(values) for values in seen] == [20, 20, 20]
    np.testing.assert_array_equal(seen[0], seen[1])
    assert not np.array_equal(seen[0], seen[2])


def test_umap_is_drawn_where_it_is_installed(stand_in: list[dict[str, object]]) -> None:
    assert set(draw_maps(classes(count=9), seed=7)) == {"tsne.png", "umap.png"}
    assert stand_in == [{"n_neighbors": 8, "random_state": 7, "n_jobs": 1}]


def test_without_umap_the_log_says_so(monkeypatch: pytest.MonkeyPatch, log: list[str]) -> None:
    monkeypatch.setitem(sys.modules, "umap", None)
    assert set(draw_maps(classes(count=9), seed=7)) == {"tsne.png"}
    assert "umap-learn isn't installed: no umap.png\n" in log


def test_no_map_is_drawn_of_too_few_images_or_of_equal_features(log: list[str]) -> None:
    assert draw_maps(classes(count=4), seed=0) == {}
    assert "No map is drawn: 4 images, whose features differ: expected at least 5" in log[-1]
    spec = classes().target_spec
    equal = make(spec, np.zeros((9, 1)), np.ones((9, 3), dtype=np.float32))
    assert draw_maps(equal, seed=0) == {}
    assert "9 images, whose features are all the same" in log[-1]
