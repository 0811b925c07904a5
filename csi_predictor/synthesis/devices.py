"""What is no anatomy: electrodes, catheters, generators, tubes, markers and plates."""

from collections.abc import Iterator

import numpy as np

from csi_predictor.synthesis.anatomy import LEFT, RIGHT
from csi_predictor.synthesis.attenuation import LEAD_PER_MM, METAL_PER_MM
from csi_predictor.synthesis.grid import Array
from csi_predictor.synthesis.strands import Strands, cloud, join, smooth_path, tube

LETTERS = {
    "L": [[(-6, -4), (6, -4), (6, 4)]],
    "R": [[(6, -4), (-6, -4), (-6, 2), (-4, 4), (-2, 4), (0, 2), (0, -4)], [(0, 0), (6, 4)]],
}
"""Strokes of the lead letters, (down, right) in mm."""


def draw_devices(rng: np.random.Generator, *, is_bedside: bool) -> Strands:
    """Devices at random, more of them on patients in bed; none hides a zone."""
    parts: list[Strands] = [_marker(rng)]
    if rng.random() < (0.65 if is_bedside else 0.08):
        parts.extend(_electrodes(rng))
    if rng.random() < (0.4 if is_bedside else 0.04):
        parts.append(_central_line(rng))
    if rng.random() < (0.25 if is_bedside else 0.0):
        path = smooth_path([(-20, 6, 2), (60, 14, 0), (rng.uniform(100, 122), 16, -2)])
        parts.append(tube(path, 0.9, 0.05))
    if rng.random() < 0.06:
        parts.extend(_pacemaker(rng))
    return join(parts)


def _marker(rng: np.random.Generator) -> Strands:
    side = RIGHT if rng.random() < 0.5 else LEFT
    letter = "R" if side == RIGHT else "L"
    middle = np.array([rng.uniform(28, 60), -130.0, side * rng.uniform(150, 178)])
    lean = rng.normal(0, 0.12)
    parts = []
    for stroke in LETTERS[letter]:
        flat = np.array(stroke, dtype=np.float64) @ np.array(
            [[np.cos(lean), np.sin(lean)], [-np.sin(lean), np.cos(lean)]]
        )
        path = middle + np.stack([flat[:, 0], np.zeros(len(flat)), flat[:, 1]], axis=1)
        parts.append(tube(path.astype(np.float32), 0.9, LEAD_PER_MM))
    return join(parts)


def _electrodes(rng: np.random.Generator) -> Iterator[Strands]:
    corner = rng.choice([-1, 1])
    for z, x in ((88, -112), (92, 115), (275, 118), (262, -122))[: int(rng.integers(2, 5))]:
        pad = np.array([[z + rng.normal(0, 9), -118.0, x + rng.normal(0, 9)]], dtype=np.float32)
        yield cloud(pad, 75.0, 5.2, 0.05)
        yield cloud(pad, 9.0, 1.6, METAL_PER_MM)
        knots = [
            tuple(pad[0]),
            (z + 45, -125, x * 0.6),
            (250 + rng.normal(0, 20), -125, corner * rng.uniform(10, 70)),
            (420, -125, corner * 110),
        ]
        yield tube(smooth_path(knots), 0.55, 0.22)


def _central_line(rng: np.random.Generator) -> Strands:
    knots = [
        (20, -30, -62),
        (58, -20, -46),
        (95, 0, -24),
        (150, 0, -24),
        (rng.uniform(175, 205), 2, -23),
    ]
    return tube(smooth_path(knots), 0.8, 0.14)


def _pacemaker(rng: np.random.Generator) -> Iterator[Strands]:
    box = np.array([108.0 + rng.normal(0, 6), -112.0, 112.0 + rng.normal(0, 6)], np.float32)
    u, v = (axis.ravel() for axis in np.meshgrid(np.linspace(-1, 1, 24), np.linspace(-1, 1, 24)))
    inside = np.abs(u) ** 3 + np.abs(v) ** 3 < 1
    spots = box + np.stack([17 * u, 0 * u, 20 * v], axis=1)[inside]
    yield cloud(spots, 36 * 38 / 24**2 * 3.0, 1.7, 1.6 * METAL_PER_MM)
    lead = [
        tuple(box - (14, 0, 4)),
        (78, -70, 70),
        (86, -20, 10),
        (120, 0, -20),
        (190, -8, -26),
        (255, -40, 30),
        (278, -45, 62),
    ]
    yield tube(smooth_path(lead), 0.7, 0.3)


def draw_plate(middle_mm: Array, rng: np.random.Generator) -> Strands:
    """A metal plate of a pump or a defibrillator that hides the zone behind it."""
    u, v = (axis.ravel() for axis in np.meshgrid(np.linspace(-1, 1, 60), np.linspace(-1, 1, 60)))
    inside = np.abs(u) ** 5 + np.abs(v) ** 5 < 1
    height, width = rng.uniform(42, 52), rng.uniform(46, 56)
    spots = np.asarray(middle_mm) + np.stack([height * u, 0 * u - 135, width * v], axis=1)[inside]
    return cloud(spots.astype(np.float32), 4 * height * width / 60**2 * 12.0, 1.7, METAL_PER_MM)
