"""The drawn picture: sides, grades, reasons for ungradable zones."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from csi_predictor.specs import ZONES
from csi_predictor.synthesis.cases import Case, plan_cases
from csi_predictor.synthesis.congestion import draw_congestion
from csi_predictor.synthesis.render import render_case
from csi_predictor.synthesis.thorax import Thorax, build_thorax


@pytest.fixture(scope="module")
def case() -> Case:
    return plan_cases(count=1, seed=5, ungradable_fraction=0.0, grade_overlap=0.0)[0]


@pytest.fixture(scope="module")
def thorax(case: Case) -> Thorax:
    return build_thorax(case.habitus)


def drawn(case: Case, severity: tuple[float, ...]) -> np.ndarray:
    changed = replace(case, severity=severity)
    return render_case(changed, size=160, seed=5, noise=0.0, rotation_deg=0.0)


def test_opacity_of_the_right_lung_brightens_the_left_of_the_image(case: Case) -> None:
    change = drawn(case, (3, 0, 3, 0, 3, 0)) - drawn(case, (0,) * 6)
    assert change[30:120, :70].mean() > 0.05
    assert change[30:120, :70].mean() > 8 * abs(change[30:120, 90:].mean())


@pytest.mark.parametrize(("row", "rows"), [(0, slice(28, 48)), (2, slice(92, 108))])
def test_opacity_of_one_zone_stays_in_its_third(case: Case, row: int, rows: slice) -> None:
    severity = [0.0] * 6
    severity[2 * row] = severity[2 * row + 1] = 3.0
    change = drawn(case, tuple(severity)) - drawn(case, (0,) * 6)
    others = [part for part in (slice(28, 48), slice(92, 108)) if part != rows]
    assert change[rows, 20:60].mean() > 5 * abs(change[others[0], 20:60].mean())


def test_the_lungs_grow_denser_with_each_grade_on_average(thorax: Thorax) -> None:
    def water(grade: float) -> float:
        rng = np.random.default_rng(8)
        fields = [
            draw_congestion(thorax, np.full(6, grade, np.float32), rng).water[thorax.zones > 0]
            for _ in range(2)
        ]
        return float(np.mean(fields))

    shares = [water(grade) for grade in (0, 1, 2, 3)]
    assert shares[0] == 0.0
    assert np.all(np.diff(shares) > 0.01)


def test_pictures_brighten_with_each_grade_on_average(case: Case) -> None:
    levels = [drawn(case, (grade,) * 6)[30:110, 20:140].mean() for grade in (0.0, 1.0, 2.0, 3.0)]
    assert np.all(np.diff(levels) > 0.0)


def test_a_picture_has_the_greys_of_a_radiograph(case: Case) -> None:
    picture = drawn(case, (0,) * 6)
    assert picture.dtype == np.float32
    assert picture.min() >= 0.0
    assert picture.max() <= 1.0
    lung, abdomen, air = picture[60:80, 35:50], picture[-20:-8, 60:100], picture[:12, :12]
    assert air.mean() < lung.mean() < 0.5 < abdomen.mean()


def test_each_hindrance_hides_its_zone(case: Case) -> None:
    clear = drawn(case, (1.0,) * 6)
    no_left_mid = (1, 1, 1, None, 1, 1)
    plate = replace(case, severity=(1.0,) * 6, hindrance="plate", grades=no_left_mid)
    burnt = replace(plate, hindrance="overexposed")
    draw = partial(render_case, size=160, seed=5, noise=0.0, rotation_deg=0.0)
    middle = slice(62, 82), slice(98, 116)
    assert draw(plate)[middle].mean() > clear[middle].mean() + 0.2
    assert draw(burnt)[middle].mean() < 0.1
    apex = replace(plate, hindrance="collimated_apex", grades=(None, None, 1, 1, 1, 1))
    base = replace(plate, hindrance="collimated_base", grades=(1, 1, 1, 1, None, None))
    assert draw(apex)[:25].max() == 0.0
    assert draw(base)[-25:].max() == 0.0


def test_the_volume_holds_both_lungs_and_six_zones_by_the_patients_side(thorax: Thorax) -> None:
    x = thorax.grid.axis(2)
    for index, name in enumerate(ZONES):
        _, _, columns = np.nonzero(thorax.zones == index + 1)
        assert len(columns) > 10_000
        assert np.all((x[columns] < 0) == name.startswith("right"))
    litres = thorax.lung.sum() * np.prod(thorax.grid.spacing_mm) / 1e6
    # Total lung capacity of adults: 4 to 8 l (Stocks and Quanjer, Eur Respir J 1995;8:492).
    assert 3.0 < litres < 9.0


def test_lung_and_soft_tissue_attenuate_as_the_tables_say(thorax: Thorax) -> None:
    # NISTIR 5632 at 70 keV: lung of 0.26 g/cm3 0.050 per cm, muscle 0.20 per cm.
    inside = thorax.lung > 0.99
    assert thorax.attenuation_per_mm[inside].mean() == pytest.approx(0.0050, rel=0.02)
    assert thorax.attenuation_per_mm.max() == pytest.approx(0.031, rel=0.1)
