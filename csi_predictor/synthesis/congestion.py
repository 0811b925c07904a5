"""Pulmonary congestion drawn into a thorax zone by zone.

Severity is continuous, 0 to about 3.4; a grade is its neighbourhood: 0 clear; 1 vessels of the
upper zones widen and septal (Kerley) lines appear; 2 the interstitium leads: reticulation, cuffs
round bronchi, blurred vessels, ground glass; 3 air spaces fill and run together. The stages follow
Gluecker et al., RadioGraphics 1999;19:1507.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from csi_predictor.synthesis.anatomy import (
    CAGE_CENTRE_Y,
    CAGE_HALF_DEPTH,
    CAGE_HALF_WIDTH,
    LEFT,
    RIGHT,
)
from csi_predictor.synthesis.attenuation import LUNG_PER_MM, SOFT_TISSUE_PER_MM, WATER_PER_MM
from csi_predictor.synthesis.grid import Array, profile
from csi_predictor.synthesis.noise import smooth_noise
from csi_predictor.synthesis.strands import Strands, cloud, join, tubes
from csi_predictor.synthesis.thorax import Thorax
from csi_predictor.synthesis.vessels import BLOOD, scatter_targets

TISSUE = SOFT_TISSUE_PER_MM - LUNG_PER_MM
STAGES = (0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5)
HAZE = (0.0, 0.004, 0.025, 0.055, 0.10, 0.14, 0.18, 0.20)
"""Share of the air replaced by water everywhere in a zone, at each of `STAGES`."""
CONFLUENCE = (0.0, 0.0, 0.0, 0.004, 0.02, 0.12, 0.36, 0.55)
"""Share of a zone whose air spaces are filled."""
SEPTAL_LINES = (0.0, 0.12, 0.7, 1.0, 1.0, 0.8, 0.6, 0.5)
RETICULATION = (0.0, 0.06, 0.35, 0.8, 1.0, 0.9, 0.7, 0.6)
CUFFS = (0.0, 0.1, 0.5, 0.9, 1.0, 0.9, 0.6, 0.5)
GRAINS = (0.0, 0.0, 0.03, 0.15, 0.4, 0.8, 1.0, 1.0)
WIDENING = (0.0, 0.08, 0.22, 0.32, 0.38, 0.38, 0.36, 0.36)
"""Vessels' gain in radius."""
BLURRING = (0.0, 0.0, 0.15, 0.5, 0.9, 1.0, 1.0, 1.0)


@dataclass(frozen=True, slots=True)
class Congestion:
    """What congestion adds to a thorax.

    Attributes:
        water: (D, H, W) share of the lung's air that is replaced by water, 0 to 1.
        strands: Vessels as congestion shapes them, lines, cuffs and grains.
    """

    water: Array
    strands: Strands


def draw_congestion(thorax: Thorax, severity: Array, rng: np.random.Generator) -> Congestion:
    """Congestion of the six zones.

    Args:
        thorax: The patient.
        severity: (6,) in the order of `specs.ZONES`, 0 to about 3.4.
        rng: The study's own generator.
    """
    # A generator for each zone, so that one zone's severity doesn't change another's picture.
    zone_rngs = rng.spawn(len(severity))
    field = 0.8 * smooth_noise(thorax.grid.shape, (13, 6, 13), rng)
    field += 0.6 * smooth_noise(thorax.grid.shape, (30, 12, 30), rng)
    water = np.zeros(thorax.grid.shape, dtype=np.float32)
    for side, half in _halves(thorax).items():
        profile_z = severity_at(thorax, side, thorax.grid.axis(0), severity)
        water[:, :, half] = _water(field[:, :, half], profile_z)
    water *= thorax.lung
    parts = [_vessels(thorax, side, severity, rng) for side in (RIGHT, LEFT)]
    for zone, (grade, zone_rng) in enumerate(zip(severity, zone_rngs, strict=True)):
        parts.extend(_zone_strands(thorax, zone, float(grade), water, zone_rng))
    return Congestion(water, join(parts))


def severity_at(thorax: Thorax, side: int, z_mm: Array, severity: Array) -> Array:
    """Severity at levels of one side: each zone's own, passing to the next over 36 mm."""
    _, upper, lower, _ = thorax.zone_levels_mm[side]
    zones = severity[0 if side == RIGHT else 1 :: 2]
    knots = (upper - 18, upper + 18, lower - 18, lower + 18)
    values = (zones[0], zones[1], zones[1], zones[2])
    return np.asarray(np.interp(z_mm, knots, values), dtype=np.float32)


def _halves(thorax: Thorax) -> dict[int, slice]:
    middle = int(np.searchsorted(thorax.grid.axis(2), 0.0))
    return {RIGHT: slice(0, middle), LEFT: slice(middle, None)}


def _water(field: Array, severity: Array) -> Array:
    """Share of air replaced, from noise (D, H, W) in normal scores and severities (D,)."""
    haze = _stage(severity, HAZE)[:, None, None]
    # The share of a normal variate above the threshold is the share filled; none gives infinity.
    threshold = ndtri(1 - _stage(severity, CONFLUENCE)).astype(np.float32)[:, None, None]
    water = field - threshold
    water *= 1.0
    water += 0.5
    np.clip(water, 0.0, 1.0, out=water)
    water *= 0.6
    water += haze * np.clip(1.0 + 0.45 * field, 0.2, 2.0)
    return np.asarray(np.minimum(water, 0.95))


def _stage(severity: Array | float, table: tuple[float, ...]) -> Array:
    return np.asarray(np.interp(severity, STAGES, table), dtype=np.float32)


def _vessels(thorax: Thorax, side: int, severity: Array, rng: np.random.Generator) -> Strands:
    paths, radii = thorax.vessels[side].paths_mm, thorax.vessels[side].radii_mm
    local = severity_at(thorax, side, paths[..., 0], severity)
    # Upright, blood flow favours the bases; congestion evens it out.
    gravity = np.interp(paths[..., 0], (80, 160, 280), (0.78, 1.0, 1.12))
    catching_up = np.interp(paths[..., 0], (80, 160, 280), (1.6, 1.0, 0.7))
    radii = radii * gravity * (1 + _stage(local, WIDENING) * catching_up)
    small = _small_vessels(thorax, side, rng)
    halo = tubes(paths, radii * 2.0, 0.12 * BLOOD, step_mm=1.2)
    blur = _stage(severity_at(thorax, side, halo.points_mm[:, 0], severity), BLURRING)
    return join(
        [
            tubes(paths, radii, BLOOD),
            small,
            Strands(halo.points_mm, halo.content_mm2 * blur, halo.nib),
        ]
    )


def _small_vessels(thorax: Thorax, side: int, rng: np.random.Generator) -> Strands:
    """The many vessels beyond the drawn trees, short and fine, all pointing away from the hilum."""
    hilum = thorax.hila_mm[side]
    middle = int(np.searchsorted(thorax.grid.axis(2), 0.0))
    half = slice(0, middle) if side == RIGHT else slice(middle, None)
    axes = (thorax.grid.axis(0), thorax.grid.axis(1), thorax.grid.axis(2)[half])
    start = scatter_targets(thorax.lung[:, :, half], axes, 900, rng)
    heading = start - hilum
    heading /= np.linalg.norm(heading, axis=1, keepdims=True)
    heading += rng.normal(0, 0.35, heading.shape)
    ends = start + heading * rng.uniform(6, 18, (900, 1))
    radius = rng.uniform(0.35, 0.75, 900) * np.interp(start[:, 0], (80, 160, 280), (0.8, 1.0, 1.2))
    paths = np.stack([start, ends], axis=1).astype(np.float32)
    return tubes(paths, np.stack([radius, 0.6 * radius], axis=1), 2.0 * BLOOD, step_mm=1.0)


def _zone_strands(
    thorax: Thorax, zone: int, grade: float, water: Array, rng: np.random.Generator
) -> list[Strands]:
    side = RIGHT if zone % 2 == 0 else LEFT
    top, bottom = thorax.zone_levels_mm[side][zone // 2 : zone // 2 + 2]
    points, wetness = _scatter(thorax, zone, water, rng)
    if not len(points):
        return []
    return [
        _septal_lines(side, top, bottom, rng.poisson(16 * float(_stage(grade, SEPTAL_LINES))), rng),
        _reticulation(points, rng.poisson(300 * float(_stage(grade, RETICULATION))), rng),
        _cuffs(thorax.hila_mm[side], points, rng.poisson(5 * float(_stage(grade, CUFFS))), rng),
        _grains(points, wetness, rng.poisson(700 * float(_stage(grade, GRAINS))), rng),
    ]


def _scatter(
    thorax: Thorax, zone: int, water: Array, rng: np.random.Generator
) -> tuple[Array, Array]:
    """Points of a zone, at random about a coarse lattice, and the share of water there."""
    z, y, x = np.nonzero(thorax.zones[::4, ::3, ::4] == zone + 1)
    axes = [thorax.grid.axis(dimension)[::step] for dimension, step in enumerate((4, 3, 4))]
    points = np.stack([axes[0][z], axes[1][y], axes[2][x]], axis=1)
    return points + rng.uniform(-5, 5, points.shape).astype(np.float32), water[::4, ::3, ::4][
        z, y, x
    ]


def _septal_lines(
    side: int, top: float, bottom: float, count: int, rng: np.random.Generator
) -> Strands:
    """Kerley B lines: level, 8 to 18 mm inwards from the pleura, each a septum seen edge-on."""
    if count == 0:
        return join([])
    z = rng.uniform(top + 8, bottom + 4, count).astype(np.float32)
    angle = rng.normal(0.0, 0.3, count)
    outward = np.stack([np.zeros(count), np.sin(angle), side * np.cos(angle)], axis=1)
    outer = np.stack(
        [
            z,
            profile(z, CAGE_CENTRE_Y) + profile(z, CAGE_HALF_DEPTH) * outward[:, 1] * 0.9,
            profile(z, CAGE_HALF_WIDTH) * outward[:, 2] * 0.985,
        ],
        axis=1,
    )
    inner = outer - outward * rng.uniform(8, 18, (count, 1))
    inner[:, 0] += rng.normal(0, 1.2, count)
    return _plates(outer, inner, rng.uniform(0.45, 0.7, count), depth=9.0)


def _reticulation(points: Array, count: int, rng: np.random.Generator) -> Strands:
    """A net of short lines in all directions."""
    if count == 0:
        return join([])
    start = points[rng.integers(len(points), size=count)]
    heading = rng.normal(0, 1, (count, 3))
    heading *= rng.uniform(5, 13, (count, 1)) / np.linalg.norm(heading, axis=1, keepdims=True)
    return _plates(start, start + heading, rng.uniform(0.4, 0.75, count), depth=4.0)


def _plates(start: Array, end: Array, radius: Array, *, depth: float) -> Strands:
    paths = np.stack([start, end], axis=1).astype(np.float32)
    return tubes(paths, np.repeat(radius[:, None], 2, axis=1), depth * TISSUE, step_mm=0.8)


def _cuffs(hilum: Array, points: Array, count: int, rng: np.random.Generator) -> Strands:
    """Rings: bronchi near the hilum seen end-on, their walls thick with fluid."""
    near = points[np.linalg.norm((points - hilum) * (1.0, 0.5, 1.0), axis=1) < 68]
    if count == 0 or not len(near):
        return join([])
    centre = near[rng.integers(len(near), size=count)]
    radius = rng.uniform(2.6, 4.6, (count, 1))
    turn = np.linspace(0, 2 * np.pi, 19)
    paths = np.repeat(centre[:, None, :], 19, axis=1)
    paths[..., 0] += radius * np.cos(turn)
    paths[..., 2] += radius * np.sin(turn) * rng.uniform(0.7, 1.0, (count, 1))
    wall = np.broadcast_to(rng.uniform(0.8, 1.3, (count, 1)), (count, 19))
    return tubes(paths.astype(np.float32), wall, 2.3 * TISSUE, step_mm=0.7)


def _grains(points: Array, wetness: Array, count: int, rng: np.random.Generator) -> Strands:
    """Acinar shadows: soft nodules, thickest where air spaces fill."""
    if count == 0:
        return join([])
    chance = wetness + 0.02
    centre = points[rng.choice(len(points), size=count, p=chance / chance.sum())]
    centre = centre + rng.normal(0, 3, centre.shape)
    radius = rng.uniform(1.5, 3.6, count)
    return cloud(centre, 4.19 * radius**3, radius, 0.8 * (WATER_PER_MM - LUNG_PER_MM))
