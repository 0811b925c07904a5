"""Who has which finding: even shares of each label, and hearts of a known size."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import numpy as np

from csi_predictor.synthesis.anatomy import CAGE_HALF_WIDTH, LEFT, RIGHT
from csi_predictor.synthesis.habitus import Habitus

BLOCK: Final = 20
"""Cases in which each label has exactly its share, so that even a small set has both kinds."""

LABEL_STREAM: Final = 2**32 - 2
"""Marks the generators of labels, so that they share none with the images' (seed, index)."""

NORMAL_RATIO: Final = 0.5
"""Cardiothoracic ratio above which a heart is enlarged. Source: Danzer, Am J Med Sci
1919;157:513."""

_LEAST_RATIO, _MOST_RATIO = 0.39, 0.63
_CAGE_MM = 2.0 * max(width for _, width in CAGE_HALF_WIDTH)
_LEFT_BORDER_MM, _RIGHT_BORDER_MM = 87.0, 42.0  # `mediastinum`'s heart at its widest level


def draw_labels(
    index: int, prevalences: Mapping[str, float], *, seed: int, stream: int
) -> tuple[int, ...]:
    """0 or 1 a label of one case, the same in a set of any length.

    Each label is shuffled for itself within blocks of 20, so labels are independent of one
    another and of all else that is drawn.

    Args:
        index: Number of the case.
        prevalences: Share of cases with each label.
        seed: Of the whole set.
        stream: Tells the sets apart that share a seed.
    """
    block, place = divmod(index, BLOCK)
    labels = []
    for number, prevalence in enumerate(prevalences.values()):
        rng = np.random.default_rng((seed, LABEL_STREAM, stream, number, block))
        labels.append(int(rng.permutation(BLOCK)[place] < round(prevalence * BLOCK)))
    return tuple(labels)


def smallest(subtle: float, plain: float, overlap: float) -> float:
    """The smallest size of a finding: `plain` without overlap, nearer to `subtle` with more."""
    return subtle + (plain - subtle) / (1.0 + overlap)


def pick_sides(rng: np.random.Generator, *, both: float) -> tuple[int, ...]:
    """Right (-1), left (1) or, in the share `both` of cases, right and left."""
    if rng.random() < both:
        return RIGHT, LEFT
    return (RIGHT,) if rng.random() < 0.5 else (LEFT,)


def with_heart(
    habitus: Habitus, *, is_enlarged: bool, overlap: float, rng: np.random.Generator
) -> Habitus:
    """The body with a heart on the right side of a cardiothoracic ratio of 0.5.

    Args:
        habitus: The body.
        is_enlarged: Whether the ratio is above 0.5.
        overlap: 0 keeps the ratio 0.045 away from 0.5, 1 half as far, and so on.
        rng: The patient's own generator.
    """
    margin = smallest(0.0, 0.045, overlap)
    if is_enlarged:
        ratio = rng.uniform(NORMAL_RATIO + margin, _MOST_RATIO)
    else:
        ratio = rng.uniform(_LEAST_RATIO, NORMAL_RATIO - margin)
    return replace(habitus, heart=heart_of_ratio(float(ratio)))


def heart_of_ratio(ratio: float) -> float:
    """`Habitus.heart` that gives a cardiothoracic ratio.

    The heart's left border moves with its size and the right one half as much; both are widest at
    one level, and the rib cage at another.
    """
    width_mm = ratio * _CAGE_MM
    return (width_mm - 0.5 * _RIGHT_BORDER_MM) / (_LEFT_BORDER_MM + 0.5 * _RIGHT_BORDER_MM)
