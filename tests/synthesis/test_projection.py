"""Line integrals against closed forms."""

import numpy as np
import pytest

from csi_predictor.synthesis.grid import Grid, ellipsoid
from csi_predictor.synthesis.projection import View, project_strands, project_volume
from csi_predictor.synthesis.strands import tube

GRID = Grid(shape=(96, 96, 96), extent_mm=(192.0,) * 3, scale=(1.0,) * 3, centre_mm=(0.0, 0.0, 0.0))


def test_a_ball_projects_to_its_chords() -> None:
    ball = ellipsoid(GRID, (10.0, -5.0, 20.0), (50.0, 50.0, 50.0))
    volume = np.zeros(GRID.shape, np.float32)
    volume[ball.box] = ball.filling * 0.02
    depth = project_volume(volume, GRID, View(0.0, 0.0, (192, 192)))
    # Chord through the middle: 100 mm; 30 mm off the middle: 80 mm.
    assert depth[106, 116] == pytest.approx(2.0, rel=0.02)
    assert depth[106 + 30, 116] == pytest.approx(1.6, rel=0.02)
    assert depth.sum() == pytest.approx(0.02 * 4 / 3 * np.pi * 50**3, rel=0.02)


@pytest.mark.parametrize("rotation_deg", [-12.0, 7.0])
def test_volume_and_strands_turn_together(rotation_deg: float) -> None:
    ball = ellipsoid(GRID, (0.0, 40.0, 0.0), (9.0, 9.0, 9.0))
    volume = np.zeros(GRID.shape, np.float32)
    volume[ball.box] = ball.filling
    view = View(rotation_deg, 0.0, (192, 192))
    depth = project_volume(volume, GRID, view)
    centre = (depth.sum(axis=0) * np.arange(192)).sum() / depth.sum()
    # A point 40 mm behind the middle moves by 40 sin(angle) across the picture.
    assert centre - 95.5 == pytest.approx(40 * np.sin(np.deg2rad(rotation_deg)), abs=0.5)
    needle = tube(np.array([(-20.0, 40.0, 0.0), (20.0, 40.0, 0.0)]), 2.0, 1.0)
    line = project_strands(needle, GRID, view).sum(axis=0)
    assert (line * np.arange(192)).sum() / line.sum() == pytest.approx(centre, abs=0.5)


def test_a_tube_projects_to_its_chords_at_any_slant() -> None:
    for lean_mm in (0.0, 60.0):
        path = np.array([(-60.0, -lean_mm, 0.0), (60.0, lean_mm, 0.0)])
        depth = project_strands(tube(path, 4.8, 0.01), GRID, View(0.0, 0.0, (384, 384)))
        # 9.6 mm through the axis, longer by the secant of the slant.
        secant = np.hypot(120.0, 2 * lean_mm) / 120.0
        assert depth[190:194, 190:194].mean() == pytest.approx(0.096 * secant, rel=0.03)
        assert depth.sum() * 0.25 == pytest.approx(0.01 * np.pi * 4.8**2 * 120 * secant, rel=0.02)


def test_strands_beyond_the_picture_leave_no_trace_on_the_other_side() -> None:
    path = np.array([(0.0, 0.0, 100.0), (0.0, 0.0, 140.0)])
    depth = project_strands(tube(path, 3.0, 1.0), GRID, View(0.0, 0.0, (96, 96)))
    assert np.abs(depth[:, :48]).max() < 1e-3


def test_no_strands_project_to_nothing() -> None:
    nothing = tube(np.zeros((2, 3)), 1.0, 0.0)
    assert not project_strands(nothing, GRID, View(0.0, 0.0, (32, 32))).any()
