"""Ribs, clavicles, scapulae, humeri and spine as strands, in the nominal frame of `anatomy`."""

from collections.abc import Callable, Iterator

import numpy as np

from csi_predictor.synthesis.anatomy import (
    CAGE_CENTRE_Y,
    CAGE_HALF_DEPTH,
    CAGE_HALF_WIDTH,
    LEFT,
    RIGHT,
)
from csi_predictor.synthesis.attenuation import (
    CORTICAL_BONE_PER_MM,
    SOFT_TISSUE_PER_MM,
    TRABECULAR_BONE_PER_MM,
)
from csi_predictor.synthesis.grid import Array, profile
from csi_predictor.synthesis.habitus import Habitus
from csi_predictor.synthesis.strands import (
    Strands,
    cloud,
    join,
    rib_tube,
    shell,
    smooth_path,
    tube,
    tubes,
)

Place = Callable[[float, float, float], tuple[float, float, float]]

CORTEX = CORTICAL_BONE_PER_MM - SOFT_TISSUE_PER_MM
MARROW = TRABECULAR_BONE_PER_MM - SOFT_TISSUE_PER_MM

RIB_END_DEGREES = (128, 140, 148, 152, 154, 154, 150, 143, 134, 122, 88, 55)
"""How far each rib's bone goes round the cage: 0 is the spine, 90 the side, 180 the sternum."""

RIB_DROP_MM = (30, 48, 66, 82, 94, 104, 110, 112, 106, 92, 52, 24)
"""How far each rib has fallen at its front end."""


BODY_LATTICE = (np.arange(10) + 0.5) / 5 - 1


def vertebra_z_mm(number: int) -> float:
    """Level of the middle of the body of thoracic vertebra 1 to 12 (13 is the first lumbar one)."""
    return 40.0 + 22.0 * (number - 1) + 0.28 * (number - 1) ** 2


def draw_bones(habitus: Habitus) -> Strands:
    """The skeleton of the thorax."""
    rng = np.random.default_rng((habitus.seed, 1))
    # Bone thins with age: about a quarter of its mineral from 30 to 90 years.
    density = float(np.interp(habitus.age_years, (30, 90), (1.25, 0.9)))
    parts: list[Strands] = []
    for side in (RIGHT, LEFT):
        parts.extend(_ribs(habitus, side, density, rng))
        parts.extend(_shoulder(side, density, rng))
    parts.extend(_spine(density, rng))
    return join(parts)


def _ribs(
    habitus: Habitus, side: int, density: float, rng: np.random.Generator
) -> Iterator[Strands]:
    ends = np.array(RIB_END_DEGREES) + rng.normal(0, 3, 12)
    drops = np.array(RIB_DROP_MM) * habitus.rib_slope + rng.normal(0, 2, 12)
    for index, path in enumerate(rib_paths(side, ends, drops)):
        size = 0.85 if index in (0, 10, 11) else 1.0
        yield rib_tube(path, wall=density * CORTEX, core=density * MARROW, size=size)


def rib_paths(side: int, end_degrees: Array, drop_mm: Array) -> Array:
    """The axes (12, P, 3) of the ribs of one side, from the vertebra round the cage.

    Args:
        side: -1 right, 1 left.
        end_degrees: (12,) how far round the cage: 0 is the spine, 90 the side.
        drop_mm: (12,) how far the front end lies below the back end.
    """
    turn = 8 / 180 + np.linspace(0, 1, 70) * (end_degrees[:, None] - 8) / 180
    # The back falls gently, the side steeply, the front gently again: a rib is a tilted hoop.
    fall = 0.12 * turn + 0.88 / (1 + np.exp(-(turn - 0.54) / 0.105))
    heads = np.array([vertebra_z_mm(number) for number in range(1, 13)])[:, None]
    z = heads - 3 + drop_mm[:, None] * fall
    angle = turn * np.pi
    x = side * np.maximum((profile(z, CAGE_HALF_WIDTH) + 2) * np.sin(angle) ** 0.78, 17 + 10 * turn)
    bulge = np.sign(np.cos(angle)) * np.abs(np.cos(angle)) ** 0.78
    y = profile(z, CAGE_CENTRE_Y) + (profile(z, CAGE_HALF_DEPTH) + 3) * bulge
    return np.stack([z, y, x], axis=-1).astype(np.float32)


def _shoulder(side: int, density: float, rng: np.random.Generator) -> Iterator[Strands]:
    lift, spread = rng.normal(0, 5), rng.normal(0, 4)
    wall, core = density * CORTEX * 0.9, density * MARROW

    def at(z: float, y: float, x: float) -> tuple[float, float, float]:
        return z + lift, y, side * (x + spread)

    collar = smooth_path(
        [
            (93, -62, side * 19),
            (84, -66, side * 42),
            (76 + lift / 2, -50, side * 85),
            at(66, -10, 125),
            at(67, 8, 160),
        ]
    )
    yield shell(collar, 5.9, 1.8, wall=1.2 * wall, core=1.5 * core)
    yield shell(collar[:6], 8.0, 0.9, wall=0.5 * wall, core=0.6 * core)
    yield from _scapula(at, wall, core)
    humerus = smooth_path([at(104, 0, 178), at(140, -2, 184), at(230, -10, 206), at(330, -15, 236)])
    yield shell(humerus[4:], 11.5, 3.2, wall=wall * 0.8, core=core * 0.5)


def _scapula(at: Place, wall: float, core: float) -> Iterator[Strands]:
    glenoid, inferior, superior = at(112, 30, 152), at(216, 72, 136), at(72, 58, 102)
    root = at(104, 70, 108)
    yield shell(smooth_path([glenoid, at(150, 52, 147), inferior]), 4.6, 1.6, wall=wall, core=core)
    yield tube(smooth_path([superior, root, at(160, 76, 112), inferior]), 1.6, 0.6 * wall)
    yield tube(smooth_path([superior, at(80, 46, 125), at(88, 34, 140)]), 1.3, 0.6 * wall)
    yield shell(
        smooth_path([root, at(92, 60, 132), at(70, 34, 160), at(70, 12, 172)]),
        5.0,
        1.1,
        wall=0.6 * wall,
        core=core,
    )
    yield shell(
        smooth_path([at(92, 25, 146), at(82, 0, 146), at(88, -18, 152)]),
        4.6,
        1.0,
        wall=0.7 * wall,
        core=core,
    )
    rim = np.linspace(0, 2 * np.pi, 24)
    centre = np.array(at(108, 25, 157))
    yield tube(
        centre + np.stack([15 * np.cos(rim), 0 * rim, 5 * np.sin(rim)], axis=1), 1.2, 0.8 * wall
    )
    blade = _triangle(np.array([superior, glenoid, inferior]))
    yield cloud(blade, 9.0 * 2.6, 2.4, 1.1 * wall)


def _triangle(corners: Array) -> Array:
    """Points 3 mm apart that fill a triangle (3, 3)."""
    share = (np.arange(40) + 0.5) / 40
    u, v = (axis.ravel() for axis in np.meshgrid(share, share, indexing="ij"))
    keep = u + v < 1
    points = (
        corners[0]
        + u[keep, None] * (corners[1] - corners[0])
        + v[keep, None] * (corners[2] - corners[0])
    )
    return np.asarray(points, dtype=np.float32)


def _spine(density: float, rng: np.random.Generator) -> Iterator[Strands]:
    curve = rng.normal(0, 3.5)
    for number in range(-4, 16):
        z = vertebra_z_mm(number)
        middle = curve * np.sin((z - 40) / 330 * np.pi) + rng.normal(0, 0.4)
        half_height = 0.37 * (vertebra_z_mm(number + 1) - z)
        half_width = 13.0 + 0.42 * max(number, 0) + (1.5 if number > 12 else 0.0)
        yield from _vertebra(z, middle, half_height, half_width, density)


def _vertebra(
    z: float, x: float, half_height: float, half_width: float, density: float
) -> Iterator[Strands]:
    wall, core = density * CORTEX, density * MARROW
    down, across = (
        axis.ravel() for axis in np.meshgrid(half_height * BODY_LATTICE, half_width * BODY_LATTICE)
    )
    body = np.stack([z + down, np.full_like(down, 58.0), x + across], axis=1)
    yield cloud(body, 4 * half_width * half_height / len(body) * 14.0, 2.4, core)
    yield tubes(_outline(z, x, half_height, half_width), np.full((6, 16), 1.0), wall)
    for edge in (-1, 1):
        process = np.array([(z - 3, 84.0, x + edge * 9), (z - 5, 92.0, x + edge * 30)])
        yield shell(process, 4.2, 0.9, wall=0.45 * wall, core=core)
    yield shell(
        np.array([(z + 3.0, 92.0, x), (z + 13.0, 106.0, x)]), 3.0, 0.9, wall=wall, core=core
    )


def _outline(z: float, x: float, half_height: float, half_width: float) -> Array:
    """Edges (6, 16, 3) that show of a vertebra: two end plates, two waisted sides, two pedicles."""
    share = np.linspace(-1, 1, 16)
    plates = [(z + edge * half_height + 0 * share, x + half_width * share) for edge in (-1, 1)]
    sides = [
        (z + half_height * share, x + edge * (half_width - 2.2 * (1 - share**2)))
        for edge in (-1, 1)
    ]
    turn = share * np.pi
    pedicles = [
        (z - 2 + 4.6 * np.cos(turn), x + edge * (half_width - 5) + 2.8 * np.sin(turn))
        for edge in (-1, 1)
    ]
    return np.stack(
        [
            np.stack([down, 0 * share + 62.0, across], axis=1)
            for down, across in [*plates, *sides, *pedicles]
        ]
    )
