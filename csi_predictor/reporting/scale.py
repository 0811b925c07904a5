"""Where a figure stands on the scale of a tile."""

import math
from collections.abc import Mapping, Sequence
from typing import Any


def place_on_scale(value: float | None, scale: float) -> float | None:
    """Percent of a scale from 0; what lies beyond an end stands at the end, None stays None."""
    return None if value is None else round(100 * min(max(value / scale, 0.0), 1.0), 2)


def scale_end(blocks: Sequence[Mapping[str, Any]], name: str, *, steps_per_unit: int) -> float:
    """The next step above a figure and its interval in every block, at least one step.

    Args:
        blocks: Of `metrics.json`: the model's, the baseline's.
        name: The figure's.
        steps_per_unit: 2 = halves, 10 = tenths.
    """
    values = [block[key] for block in blocks for key in (name, f"{name}_ci_high")]
    largest = max((value for value in values if value is not None), default=0.0)
    return max(1, math.ceil(largest * steps_per_unit)) / steps_per_unit
