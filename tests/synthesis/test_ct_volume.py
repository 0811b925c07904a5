"""CT volumes agree with their labels: each finding is measured on the HU that were drawn."""

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest
from scipy import ndimage

from csi_predictor.synthesis.anatomy import LEFT, RIGHT
from csi_predictor.synthesis.ct_body import FIELD_MM, ct_grid, draw_chest
from csi_predictor.synthesis.ct_lungs import draw_crescent
from csi_predictor.synthesis.ct_volume import (
    CT_LABELS,
    CT_PREVALENCES,
    CtCase,
    plan_ct_case,
    render_ct,
)

SHAPE = (64, 96, 96)
STEP_MM = tuple(field / edge for field, edge in zip(FIELD_MM, SHAPE, strict=True))
VOXEL_MM3 = float(np.prod(STEP_MM))
SEED = 6


def case_with(index: int, *labels: str, overlap: float = 0.0) -> CtCase:
    """A case with these findings and the heart that was planned."""
    planned = plan_ct_case(index, seed=SEED, overlap=overlap)
    return replace(planned, labels=tuple(int(name in labels) for name in CT_LABELS))


@lru_cache(maxsize=32)
def drawn(index: int, *labels: str, overlap: float = 0.0) -> np.ndarray:
    case = case_with(index, *labels, overlap=overlap)
    return render_ct(case, shape=SHAPE, seed=SEED, noise=0.0, overlap=overlap).astype(float)


def lungs_of(index: int) -> dict[int, np.ndarray]:
    habitus = plan_ct_case(index, seed=SEED, overlap=0.0).habitus
    return draw_chest(ct_grid(SHAPE, habitus), habitus, np.random.default_rng(0)).lungs


def ratio_of(hu: np.ndarray, top_of_liver: int) -> float:
    """The cardiothoracic ratio: the heart's borders left and right of the midline, rib to rib."""
    air = hu < -500
    lung = air & np.stack([ndimage.binary_fill_holes(level) for level in ~air])
    middle = hu.shape[2] // 2
    # Rows through the middle of the heart from front to back.
    rows = lung[20:top_of_liver, 34:42]
    borders = [
        half.argmax(axis=2).max() for half in (rows[..., middle - 1 :: -1], rows[..., middle:])
    ]
    across = np.flatnonzero(lung[20:].any(axis=(0, 1)))
    return float(sum(borders) / (np.ptp(across) + 1))


@pytest.mark.parametrize("index", range(8))
def test_the_cardiothoracic_ratio_is_above_a_half_where_the_label_says_so(index: int) -> None:
    planned = plan_ct_case(index, seed=SEED, overlap=0.0)
    top_mm = min(planned.habitus.right_dome_z_mm, planned.habitus.left_dome_z_mm) - 4.0
    top = int(np.searchsorted(ct_grid(SHAPE, planned.habitus).axis(0), top_mm))
    ratio = ratio_of(drawn(index), top)
    # Danzer 1919: more than half. Overlap 0 keeps 0.045 away from it; a voxel is 0.012.
    assert ratio > 0.52 if planned.has("cardiomegaly") else ratio < 0.48


@pytest.mark.parametrize("index", [0, 1, 2])
def test_an_effusion_is_water_that_lies_at_the_back(index: int) -> None:
    without, hu = drawn(index), drawn(index, "effusion")
    poured = hu - without > 500
    fluid = poured & (np.abs(hu - 10) <= 10)
    assert fluid.sum() > 0.75 * poured.sum()  # the rest is the layer's edge
    lung = sum(lungs_of(index).values()) > 0.5
    assert np.nonzero(fluid)[1].mean() > np.nonzero(lung)[1].mean() + 10
    thickest_mm = fluid.sum(axis=1).max() * STEP_MM[1]
    assert 22 - STEP_MM[1] <= thickest_mm <= 50 + STEP_MM[1]


def test_fluid_before_heart_and_dome_is_not_drawn() -> None:
    lung = lungs_of(1)[RIGHT]
    habitus = plan_ct_case(1, seed=SEED, overlap=0.0).habitus
    layer = draw_crescent(ct_grid(SHAPE, habitus), lung, 30.0, 60.0) * lung
    for level in range(15, 55):
        columns = np.flatnonzero(layer[level].max(axis=0) > 0.9)
        for column in columns:
            rows = np.flatnonzero(layer[level, :, column] > 0.5)
            assert rows.max() >= np.flatnonzero(lung[level, :, column] > 0.5).max() - 1
            assert np.all(np.diff(rows) == 1)


@pytest.mark.parametrize("index", range(4))
def test_emphysema_is_below_950_and_above_the_hila(index: int) -> None:
    lung = sum(lungs_of(index).values()) > 0.99
    upper = np.zeros_like(lung)
    levels = np.flatnonzero(lung.any(axis=(1, 2)))
    upper[: int(np.median(levels))] = True

    def low_share(hu: np.ndarray, where: np.ndarray) -> float:
        return float((hu[where] <= -950).mean())

    clear, holes = drawn(index), drawn(index, "emphysema")
    # Schroeder et al., AJR 2013;201:W460: LAA-950 above 5 % is emphysema.
    assert low_share(clear, lung) < 0.01
    assert 0.08 < low_share(holes, lung) < 0.5
    assert low_share(holes, lung & upper) > 1.3 * low_share(holes, lung & ~upper)


@pytest.mark.parametrize("index", range(4))
def test_a_consolidation_has_the_density_of_tissue_and_air_in_its_bronchi(index: int) -> None:
    without, hu = drawn(index), drawn(index, "consolidation")
    filled = hu - without > 700
    assert filled.sum() * VOXEL_MM3 > 15_000
    assert 20 <= np.median(hu[filled]) <= 60
    inside = ndimage.binary_closing(filled, iterations=2)
    lung = sum(lungs_of(index).values())
    assert (hu - without)[lung == 0.0].max() == 0.0
    assert (hu[inside & (lung > 0.99)] <= 60).all()


def test_air_bronchograms_are_seen_in_most_consolidations() -> None:
    seen = []
    for index in range(6):
        without, hu = drawn(index), drawn(index, "consolidation")
        filled = hu - without > 700
        core = ndimage.binary_erosion(ndimage.binary_closing(filled, iterations=2), iterations=1)
        seen.append(bool((hu[core] < -200).any()))
    assert sum(seen) >= 4


@pytest.mark.parametrize("index", range(4))
def test_nodules_are_round_and_of_the_stated_size(index: int) -> None:
    without, hu = drawn(index), drawn(index, "nodule")
    parts, count = ndimage.label(np.abs(hu - without) > 20, structure=np.ones((3, 3, 3)))
    assert 1 <= count <= 14
    # Of a voxel at the edge, the share that isn't lung of about -840 HU.
    share = np.clip((hu + 840.0) / 880.0, 0, 1)
    for number in range(1, count + 1):
        volume_mm3 = float(share[parts == number].sum()) * VOXEL_MM3
        diameter_mm = (6.0 * volume_mm3 / np.pi) ** (1 / 3)
        # Two that touch are one here.
        assert 18.5 < diameter_mm < 45.0
    assert 0 < hu[(share > 0.9) & (parts > 0)].mean() < 75


def test_only_the_lungs_change_with_findings_of_the_lungs() -> None:
    lung = sum(lungs_of(3).values())
    every = drawn(3, "effusion", "consolidation", "emphysema", "nodule")
    change = np.abs(every - drawn(3))
    assert change[lung < 0.001].max() <= 1.0
    assert change[lung > 0.5].mean() > 50


def test_more_overlap_draws_subtler_findings_and_nearer_hearts() -> None:
    def distances(overlap: float) -> np.ndarray:
        hearts = [plan_ct_case(index, seed=1, overlap=overlap).habitus.heart for index in range(60)]
        return np.abs(np.array(hearts) - 1.125)  # 143 mm of 286, see heart_of_ratio

    assert distances(0.0).min() > 0.1
    assert distances(3.0).min() < 0.05
    sizes = [
        np.mean(
            [
                (drawn(index, "effusion", overlap=overlap) - drawn(index, overlap=overlap)).sum()
                for index in (0, 1, 2)
            ]
        )
        for overlap in (0.0, 3.0)
    ]
    assert sizes[1] < sizes[0]


def test_each_label_has_its_share_and_goes_with_nothing_else() -> None:
    cases = [plan_ct_case(index, seed=11, overlap=1.0) for index in range(600)]
    labels = np.array([case.labels for case in cases], dtype=float)
    np.testing.assert_allclose(labels.mean(axis=0), list(CT_PREVALENCES.values()), atol=1e-9)
    assert all(0.25 <= share <= 0.4 for share in CT_PREVALENCES.values())
    body = np.array(
        [
            [case.habitus.sex == "F", *case.habitus.scale, case.habitus.fat_mm, case.index]
            for case in cases
        ],
        dtype=float,
    )
    together = np.corrcoef(np.hstack([labels, body]).T)[: len(CT_LABELS)]
    np.fill_diagonal(together, 0.0)
    # Four standard errors of no correlation.
    assert np.abs(together).max() < 4 / np.sqrt(len(cases))


def test_even_a_set_of_twenty_has_both_kinds_of_each_label() -> None:
    labels = np.array([plan_ct_case(index, seed=2, overlap=1.0).labels for index in range(20)])
    assert set(labels.sum(axis=0)) <= {6, 7, 8}


def test_noise_is_of_the_asked_strength_and_only_within_the_body() -> None:
    case = case_with(0)
    clear = drawn(0)
    grain = render_ct(case, shape=SHAPE, seed=SEED, noise=1.0, overlap=0.0) - clear
    inside = clear > -900
    # 18 HU, spread over patients by a factor of 0.6 to 1.6.
    assert 10 < grain[inside].std() < 30
    assert np.all(grain[clear == -1000] == 0)


def test_the_apex_of_the_heart_is_left_and_the_liver_right() -> None:
    hu = drawn(1)
    middle = SHAPE[2] // 2
    x = np.arange(SHAPE[2]) - middle
    lungs = lungs_of(1)
    assert np.nonzero(lungs[RIGHT])[2].max() < middle
    assert np.nonzero(lungs[LEFT])[2].min() >= middle - 1
    heart_levels = hu[36:46, 24:48]
    tissue = (heart_levels > 0) & (np.abs(x) < 26)
    assert (tissue * x).sum() > 0
    abdomen = hu[-4:, 30:60]
    # Liver is 60 HU throughout; on the left, fat lies between the organs.
    assert np.median(abdomen[..., 20:40]) == pytest.approx(60, abs=3)
    assert np.median(abdomen[..., 56:76]) < 45
