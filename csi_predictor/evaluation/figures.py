"""From draws to named plain numbers, as they stand in `metrics.json`."""

import math
from collections.abc import Mapping
from typing import Any

from csi_predictor.metrics.bootstrap import LEVEL, Resampling, interval
from csi_predictor.metrics.counts import Floats

Block = dict[str, Any]


def with_intervals(draws: Mapping[str, Floats]) -> Block:
    """`name`, `name_ci_low`, `name_ci_high` of each figure's draws (1 + R,); None = undefined."""
    block: Block = {}
    for name, values in draws.items():
        low, high = interval(values)
        block[name] = plain(values[0])
        block[f"{name}_ci_low"] = plain(low)
        block[f"{name}_ci_high"] = plain(high)
    return block


def plain(value: float) -> float | None:
    """A Python float, or None where it is undefined, as JSON knows no NaN."""
    number = float(value)
    return number if math.isfinite(number) else None


def plain_counts(counts: Floats) -> Any:
    """Nested lists of whole numbers."""
    return counts.astype(int).tolist()


def bootstrap_block(resampling: Resampling, rounds: int, seed: int) -> Block:
    """How the intervals were made; a single patient can't be resampled, so rounds may be fewer."""
    return {
        "rounds": len(resampling.weights) - 1,
        "rounds_asked": rounds,
        "seed": seed,
        "level": LEVEL,
        "unit": "patient",
        "method": "percentile",
    }
