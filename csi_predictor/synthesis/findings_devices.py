"""Implanted devices that a radiograph shows whole: defibrillators, ports, wired sternums."""

from collections.abc import Callable
from typing import Final

import numpy as np

from csi_predictor.synthesis.anatomy import CAGE_CENTRE_Y, CAGE_HALF_DEPTH
from csi_predictor.synthesis.attenuation import METAL_PER_MM
from csi_predictor.synthesis.grid import profile
from csi_predictor.synthesis.strands import Strands, cloud, join, smooth_path, tube


def draw_device(rng: np.random.Generator) -> Strands:
    """One device of a kind at random."""
    kinds = tuple(_KINDS)
    return _KINDS[kinds[int(rng.integers(len(kinds)))]](rng)


def _defibrillator(rng: np.random.Generator) -> Strands:
    """A generator below the left collarbone and a lead with a shock coil in the right ventricle."""
    box = np.array([112.0 + rng.normal(0, 7), -110.0, 106.0 + rng.normal(0, 7)], np.float32)
    lattice = np.linspace(-1, 1, 41)
    u, v = (axis.ravel() for axis in np.meshgrid(lattice, lattice))
    inside = np.abs(u) ** 2.6 + np.abs(v) ** 2.6 < 1
    half_height, half_width = rng.uniform(20, 27), rng.uniform(22, 29)
    spots = box + np.stack([half_height * u, 0 * u, half_width * v], axis=1)[inside]
    case = cloud(
        spots, 4 * half_height * half_width / len(lattice) ** 2 * 4.0, 1.7, 1.4 * METAL_PER_MM
    )
    tip = (285.0 + rng.normal(0, 5), -48.0, 56.0 + rng.normal(0, 8))
    knots = [
        (float(box[0]) - half_height, -105.0, float(box[2])),
        (80, -66, 68),
        (88, -20, 12),
        (125, 0, -20),
        (200, -8, -28),
        (258, -38, 20),
        tip,
    ]
    path = smooth_path(knots)
    return join([case, tube(path, 0.8, 0.3), tube(path[-9:], 1.5, 0.3)])


def _port(rng: np.random.Generator) -> Strands:
    """A chamber under the skin of the right chest and its catheter down to the atrium."""
    middle = (118.0 + rng.normal(0, 9), -112.0, -88.0 + rng.normal(0, 10))
    turn = np.linspace(0, 2 * np.pi, 33)
    parts = []
    for radius, strength in ((11.0, 0.5), (7.0, 0.9)):
        ring = np.stack(
            [radius * np.cos(turn), 0 * turn, radius * rng.uniform(0.85, 1) * np.sin(turn)], axis=1
        )
        parts.append(tube(np.asarray(middle) + ring, 1.7, strength * METAL_PER_MM))
    end = (rng.uniform(190, 225), 2.0, -23.0)
    knots = [middle, (72, -60, -70), (64, -24, -44), (95, 0, -24), (150, 0, -24), end]
    parts.append(tube(smooth_path(knots), 1.1, 0.3))
    return join(parts)


def _sternal_wires(rng: np.random.Generator) -> Strands:
    """Five to seven wire loops round the sternum and clips of a bypass along the heart's border."""
    parts = []
    for z in np.linspace(112, 228, int(rng.integers(5, 8))) + rng.normal(0, 3):
        turn = np.linspace(0, 2 * np.pi, 25)
        lean = rng.normal(0, 0.25)
        front = float(profile(z, CAGE_CENTRE_Y) - profile(z, CAGE_HALF_DEPTH)) - 6.0
        loop = np.stack(
            [
                z + 5.0 * np.sin(turn) + 9.0 * lean * np.cos(turn),
                front + 6.0 * np.sin(turn),
                9.0 * np.cos(turn),
            ],
            axis=1,
        )
        parts.append(tube(loop, 0.6, 2.0 * METAL_PER_MM))
    for _ in range(int(rng.integers(3, 8))):
        z = rng.uniform(150, 250)
        x = np.interp(z, (150, 250), (34, 74)) + rng.normal(0, 5)
        clip = np.array([(z, -40.0, x), (z + 4.0, -40.0, x + 2.5)])
        parts.append(tube(clip, 0.8, 2.0 * METAL_PER_MM))
    return join(parts)


_KINDS: Final[dict[str, Callable[[np.random.Generator], Strands]]] = {
    "defibrillator": _defibrillator,
    "port": _port,
    "sternal_wires": _sternal_wires,
}
