"""Pulmonary vessels and airways: trees grown from the hilum to points scattered in a lung."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from csi_predictor.synthesis.attenuation import AIR_PER_MM, LUNG_PER_MM, SOFT_TISSUE_PER_MM
from csi_predictor.synthesis.grid import Array
from csi_predictor.synthesis.strands import Strands, join, shell, smooth_path

BLOOD = SOFT_TISSUE_PER_MM - LUNG_PER_MM
LEAF_RADIUS_MM = 0.62
VERTICES = 7
BRANCHING_EXPONENT = 2.3
"""r0^n = r1^n + r2^n at each fork. Source: Murray's law has n = 3; the human pulmonary arterial
tree measures near 2.3 (Huang et al., J Appl Physiol 1996;81:2123)."""


@dataclass(frozen=True, slots=True)
class Tree:
    """Stretches of vessel between forks.

    Attributes:
        paths_mm: (T, P, 3) vertices of each stretch, from its parent's end outwards.
        radii_mm: (T, P) radius at each vertex.
    """

    paths_mm: Array
    radii_mm: Array


def grow_tree(root_mm: Array, targets_mm: Array, rng: np.random.Generator) -> Tree:
    """A tree from `root_mm` (3,) that reaches every target (N, 3), forking where the targets part.

    Each branch goes part of the way to the middle of its targets, then splits them across their
    longest extent.
    """
    stretches: list[tuple[Array, Array, Array, int]] = []
    waiting: list[tuple[Array, Array, Array]] = [(root_mm, np.zeros(3, np.float32), targets_mm)]
    while waiting:
        start, heading, targets = waiting.pop()
        count = len(targets)
        straight = np.add.reduce(targets, axis=0) / count - start
        length = math.sqrt(straight @ straight)
        if count > 1:
            straight = rng.uniform(0.26, 0.42) * straight + (0.05 * length) * rng.standard_normal(3)
            length = math.sqrt(straight @ straight)
        knee = start + 0.35 * straight + (0.25 * length) * heading
        end = start + straight
        stretches.append((start, knee, end, count))
        if count > 1:
            tangent = end - knee
            heading = tangent / (math.sqrt(tangent @ tangent) + 1e-6)
            waiting.extend((end, heading, part) for part in _split(targets, rng))
    return _curve(stretches)


def _curve(stretches: list[tuple[Array, Array, Array, int]]) -> Tree:
    """Bezier curves through (start, knee, end), as thick as the number of targets asks."""
    start, knee, end = (
        np.stack([stretch[part] for stretch in stretches])[:, None, :] for part in range(3)
    )
    count = np.array([stretch[3] for stretch in stretches])[:, None]
    share = np.linspace(0, 1, VERTICES)
    along = share[:, None]
    paths = (1 - along) ** 2 * start + 2 * along * (1 - along) * knee + along**2 * end
    taper = np.where(count == 1, 0.45, 0.06)
    radii = LEAF_RADIUS_MM * count ** (1 / BRANCHING_EXPONENT) * (1 - taper * share)
    return Tree(paths.astype(np.float32), radii.astype(np.float32))


def join_trees(trees: Sequence[Tree]) -> Tree:
    """All stretches of several trees."""
    return Tree(
        np.concatenate([tree.paths_mm for tree in trees]),
        np.concatenate([tree.radii_mm for tree in trees]),
    )


def _split(targets: Array, rng: np.random.Generator) -> tuple[Array, Array]:
    lean = rng.normal(0.0, 0.35, 3)
    lean[np.argmax(np.maximum.reduce(targets) - np.minimum.reduce(targets))] = 1.0
    order = np.argsort(targets @ lean)
    cut = int(np.clip(round(len(targets) * rng.uniform(0.36, 0.64)), 1, len(targets) - 1))
    return targets[order[:cut]], targets[order[cut:]]


def scatter_targets(
    lung: Array, axes: tuple[Array, Array, Array], count: int, rng: np.random.Generator
) -> Array:
    """Points (count, 3) spread evenly through a lung's filling (D, H, W) with nominal axes."""
    z, y, x = np.nonzero(lung[::3, ::2, ::3] > 0.9)
    chosen = rng.choice(len(z), size=count, replace=False)
    points = np.stack(
        [axes[0][::3][z[chosen]], axes[1][::2][y[chosen]], axes[2][::3][x[chosen]]], axis=1
    )
    return np.asarray(points + rng.normal(0, 1.5, points.shape), dtype=np.float32)


def draw_airways(hilum_mm: dict[int, Array]) -> Strands:
    """Trachea and main bronchi: air in a thin wall, within soft tissue."""
    air, wall = AIR_PER_MM - SOFT_TISSUE_PER_MM, 0.002
    carina = (141.0, 12.0, -1.0)
    trachea = smooth_path([(-10, 6, 0), (60, 14, 0), (110, 16, -3), carina])
    parts = [shell(trachea, 8.6, 1.2, wall=wall, core=0.9 * air)]
    for side, hilum in hilum_mm.items():
        z, y, x = (float(value) for value in hilum)
        path = smooth_path(
            [carina, (0.5 * (carina[0] + z) + 2, 12.0, x * 0.45), (z + 2, y + 4, x * 0.9)]
        )
        parts.append(shell(path, 6.4 if side < 0 else 5.8, 1.0, wall=wall, core=0.9 * air))
    return join(parts)
