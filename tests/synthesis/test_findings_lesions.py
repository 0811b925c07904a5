"""Consolidations and nodules on a lung, measured on the shares that were drawn."""

from dataclasses import replace

import numpy as np
import pytest

from csi_predictor.synthesis.anatomy import LEFT, RIGHT
from csi_predictor.synthesis.findings_lesions import (
    draw_consolidation,
    draw_nodule,
    fissure_distance_mm,
    pick_points,
)
from csi_predictor.synthesis.findings_plan import (
    BLOCK,
    draw_labels,
    heart_of_ratio,
    pick_sides,
    smallest,
    with_heart,
)
from csi_predictor.synthesis.grid import Grid
from csi_predictor.synthesis.habitus import Habitus, draw_habitus
from csi_predictor.synthesis.thorax import build_thorax

GRID = Grid(
    shape=(48, 40, 48),
    extent_mm=(240.0, 160.0, 240.0),
    scale=(1.1, 0.9, 1.05),
    centre_mm=(200, 0, 0),
)


@pytest.fixture(scope="module")
def habitus() -> Habitus:
    return draw_habitus(np.random.default_rng(4), congestion=0.0)


@pytest.fixture
def lung() -> np.ndarray:
    share = np.zeros(GRID.shape, np.float32)
    share[4:-4, 4:-4, 4:20] = 1.0
    return share


@pytest.mark.parametrize("diameter_mm", [6.0, 10.0, 14.0, 20.0])
def test_a_nodule_has_the_volume_of_a_ball_of_its_diameter(
    lung: np.ndarray, diameter_mm: float
) -> None:
    for seed in range(10):
        rng = np.random.default_rng(seed)
        nodule = draw_nodule(GRID, lung, (diameter_mm, diameter_mm), rng)
        mm3 = float(nodule.filling.sum() * np.prod(GRID.spacing_mm))
        # Though small ones fill few voxels of 5 x 4 x 5 mm.
        assert (6 * mm3 / np.pi) ** (1 / 3) == pytest.approx(diameter_mm, rel=0.05)


def test_a_nodule_lies_in_the_lung_where_there_is_room(lung: np.ndarray) -> None:
    for seed in range(10):
        nodule = draw_nodule(GRID, lung, (12.0, 16.0), np.random.default_rng(seed))
        outside = nodule.filling * (1.0 - lung[nodule.box])
        assert outside.sum() < 0.05 * nodule.filling.sum()


def test_points_are_within_half_a_voxel_of_lung(lung: np.ndarray) -> None:
    points = pick_points(GRID, lung, 200, np.random.default_rng(0))
    where = GRID.to_physical(points) / GRID.spacing_mm + np.array(GRID.shape) / 2
    assert lung[tuple(np.floor(where).astype(int).T)].min() == 1.0
    assert len(np.unique(points, axis=0)) == 200


def test_a_consolidation_stays_in_its_lung_and_grows_with_less_overlap(lung: np.ndarray) -> None:
    sizes = []
    for overlap in (0.0, 4.0):
        shares = [
            draw_consolidation(GRID, lung, overlap, np.random.default_rng(seed))
            for seed in range(24)
        ]
        assert all(share[lung == 0].max() == 0.0 and share.max() == 1.0 for share in shares)
        sizes.append(np.mean([share.sum() for share in shares]))
    assert sizes[1] < 0.8 * sizes[0]


def test_an_enlarged_consolidation_fills_more(lung: np.ndarray) -> None:
    small, large = (
        np.mean(
            [
                draw_consolidation(
                    GRID, lung, 1.0, np.random.default_rng(seed), enlargement=enlargement
                ).sum()
                for seed in range(8)
            ]
        )
        for enlargement in (1.0, 1.4)
    )
    assert large > 1.3 * small


def test_lobar_consolidations_end_at_the_fissure(lung: np.ndarray) -> None:
    below = np.broadcast_to(
        fissure_distance_mm(GRID.axis(0)[:, None, None], GRID.axis(1)[None, :, None]), GRID.shape
    )
    one_sided = 0
    for seed in range(30):
        share = draw_consolidation(GRID, lung, 0.0, np.random.default_rng(seed))
        part = share[below > 5].sum() / (share[np.abs(below) > 5].sum())
        one_sided += part < 0.01 or part > 0.99
    assert 12 <= one_sided <= 28


@pytest.mark.parametrize("ratio", [0.4, 0.5, 0.6])
def test_a_heart_of_a_ratio_has_it_in_the_drawn_chest(habitus: Habitus, ratio: float) -> None:
    body = replace(habitus, heart=heart_of_ratio(ratio))
    thorax = build_thorax(body)
    x = thorax.grid.axis(2)
    # Rows through the heart's middle from front to back, above the liver.
    is_lung = thorax.lung > 0.5
    levels = (thorax.grid.axis(0) > 180) & (
        thorax.grid.axis(0) < min(body.right_dome_z_mm, body.left_dome_z_mm) - 3
    )
    y = thorax.grid.axis(1)
    rows = is_lung[levels][:, (y > -38) & (y < -22)]
    right = max(-x[row[row < np.searchsorted(x, 0)].max()] for row in _lit(rows))
    left = max(x[row[row >= np.searchsorted(x, 0)].min()] for row in _lit(rows))
    across = x[np.flatnonzero(is_lung.any(axis=(0, 1)))]
    assert (left + right) / (across[-1] - across[0]) == pytest.approx(ratio, abs=0.02)


def _lit(rows: np.ndarray) -> list[np.ndarray]:
    return [np.flatnonzero(row) for level in rows for row in level]


def test_hearts_keep_their_distance_from_the_limit(habitus: Habitus) -> None:
    limit = heart_of_ratio(0.5)
    for overlap, margin in ((0.0, 0.045), (1.0, 0.0225)):
        rng = np.random.default_rng(0)
        large = [
            with_heart(habitus, is_enlarged=True, overlap=overlap, rng=rng).heart for _ in range(50)
        ]
        usual = [
            with_heart(habitus, is_enlarged=False, overlap=overlap, rng=rng).heart
            for _ in range(50)
        ]
        step = heart_of_ratio(0.5 + margin) - limit
        assert min(large) >= limit + step
        assert max(usual) <= limit - step


def test_labels_of_a_block_have_their_exact_share_and_differ_between_streams() -> None:
    shares = {"a": 0.3, "b": 0.3}
    first = [draw_labels(index, shares, seed=1, stream=1) for index in range(2 * BLOCK)]
    other = [draw_labels(index, shares, seed=1, stream=2) for index in range(2 * BLOCK)]
    for start in (0, BLOCK):
        assert np.sum(first[start : start + BLOCK], axis=0).tolist() == [6, 6]
    assert first != other
    assert [a for a, _ in first] != [b for _, b in first]
    assert first[:BLOCK] != first[BLOCK:]


def test_smallest_sizes_fall_from_plain_towards_subtle() -> None:
    # By hand: 6 + 8 / (1 + overlap).
    assert [smallest(6.0, 14.0, overlap) for overlap in (0, 1, 3)] == [14.0, 10.0, 8.0]


def test_sides_come_alone_or_together_as_often_as_asked() -> None:
    rng = np.random.default_rng(3)
    drawn = [pick_sides(rng, both=0.4) for _ in range(1000)]
    assert drawn.count((RIGHT, LEFT)) == pytest.approx(400, abs=60)
    assert drawn.count((RIGHT,)) == pytest.approx(300, abs=60)
    assert drawn.count((LEFT,)) == pytest.approx(300, abs=60)
