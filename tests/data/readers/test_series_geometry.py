from pathlib import Path
from typing import Any

import numpy as np
import pytest

from csi_predictor.data.readers.series_geometry import Stack, stack_slices
from csi_predictor.data.readers.series_slices import Slice
from csi_predictor.errors import ImageError, ReasonCode

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
STEPS = np.arange(10)


def placed(positions: Any, **facts: Any) -> list[Slice]:
    usual: dict[str, Any] = {"size": (13, 11), "orientation": AXIAL, "spacing_mm": (0.8, 0.7)}
    return [
        Slice(path=Path(f"{number}.dcm"), position=tuple(map(float, each)), **{**usual, **facts})
        for number, each in enumerate(positions)
    ]


def column(heights: Any) -> np.ndarray:
    return np.outer(heights, [0, 0, 1])


def stacked(slices: list[Slice], *, is_same: bool = True) -> Stack:
    return stack_slices(slices, folder=Path("series"), is_same=lambda *_: is_same)


def refusal(slices: list[Slice], **rules: Any) -> ImageError:
    with pytest.raises(ImageError) as caught:
        stacked(slices, **rules)
    return caught.value


def test_slices_stand_along_their_normal_whatever_its_direction() -> None:
    heights = np.random.default_rng(0).permutation(10) * 2.0
    stack = stacked(placed(column(heights)))
    assert [each.position[2] for each in stack.slices] == sorted(heights)
    assert stack.spacing_mm == pytest.approx((0.7, 0.8, 2.0))
    np.testing.assert_array_equal(stack.directions, np.eye(3))
    # rows towards the patient's right: the normal points to the feet (hand calculation)
    turned = stacked(placed(column(heights), orientation=(-1, 0, 0, 0, 1, 0)))
    assert [each.position[2] for each in turned.slices] == sorted(heights, reverse=True)
    np.testing.assert_array_equal(turned.directions[2], [0, 0, -1])


def test_a_tilted_gantry_is_refused_with_its_angle() -> None:
    # 693-like: rows stay level, the plane is tilted by 22 degrees, the table moves along the body.
    tilt = np.deg2rad(22.0)
    orientation = (1.0, 0.0, 0.0, 0.0, np.cos(tilt), -np.sin(tilt))
    error = refusal(placed(column(2.0 * STEPS), orientation=orientation))
    assert error.reason == "BAD_HEADER"
    assert error.detail.startswith(
        "gantry tilt of 22.0 degrees: the slices slide sideways by 6.7 mm"
    )
    normal = np.array([0, np.sin(tilt), np.cos(tilt)])
    oblique = stacked(placed(np.outer(2.0 * STEPS, normal), orientation=orientation))
    assert oblique.spacing_mm[2] == pytest.approx(2.0)


def test_slices_beside_each_other_are_refused() -> None:
    positions = column(2.0 * STEPS)
    positions[4, 0] = 9.0
    error = refusal(placed(positions))
    assert "slices up to 9.0 mm beside each other: expected slices one above" in error.detail


def test_rounded_positions_are_accepted() -> None:
    heights = np.round(0.625 * STEPS, 1)  # steps of 0.6 and 0.7 mm
    assert stacked(placed(column(heights))).spacing_mm[2] == pytest.approx(heights[-1] / 9)


@pytest.mark.parametrize(
    ("heights", "reason", "text"),
    [
        (
            np.delete(2.0 * STEPS, [5]),
            "TRUNCATED",
            r"a gap of 4.00 mm from 8.0 to 12.0 mm along the slice normal \(after 4.dcm\): "
            "expected 2.00 mm",
        ),
        (np.delete(2.0 * STEPS, [2, 6, 7]), "TRUNCATED", r"a gap of 4.00 mm .*, and 1 more gaps"),
        (
            np.cumsum([0, 1, 1, 1, 1, 1.3, 1.3, 1.3, 1.3, 1.3]),
            "BAD_HEADER",
            "slices at distances from 1.00 to 1.30 mm: expected equal distances",
        ),
        (np.zeros(10), "TRUNCATED", "all slices lie at one place"),
    ],
)
def test_uneven_stacks_are_refused(heights: Any, reason: ReasonCode, text: str) -> None:
    with pytest.raises(ImageError, match=text) as caught:
        stacked(placed(column(heights)))
    assert caught.value.reason == reason


def test_slices_at_one_place_are_compared() -> None:
    slices = placed(column([0, 2, 2, 4, 6, 6, 6]))
    stack = stacked(slices)
    assert [each.name for each in stack.slices] == ["0.dcm", "1.dcm", "3.dcm", "4.dcm"]
    assert stack.notes == ("3 duplicate slices left out",)
    error = refusal(slices, is_same=False)
    assert "1.dcm and 2.dcm lie at the same place (2.0 mm) with different pixels" in error.detail


@pytest.mark.parametrize(
    ("other", "text"),
    [
        ({"size": (13, 12)}, r"different sizes: 13 x 11 \(9 slices\), 13 x 12 \(1 slices\)"),
        ({"spacing_mm": (0.8, 0.9)}, r"Pixel Spacing from 0.8 x 0.7 to 0.8 x 0.9 mm: expected one"),
        ({"spacing_mm": (0.8, 0.0)}, "Pixel Spacing that isn't positive"),
        ({"orientation": (0, 1, 0, 0, 0, -1)}, r"slices of 2 orientations \(9 and 1 slices\)"),
        ({"orientation": (1, 0, 0, 0, 2, 0)}, "isn't of unit length"),
        ({"orientation": (1, 0, 0, 0.6, 0.8, 0)}, "rows and columns aren't at right angles"),
        ({"orientation": (1, 0, 0, 0, float("nan"), 0)}, "isn't of unit length"),
    ],
)
def test_slices_that_differ_are_refused(other: dict[str, Any], text: str) -> None:
    slices = placed(column(2.0 * STEPS[:9])) + placed([[0, 0, 18]], **other)
    with pytest.raises(ImageError, match=text) as caught:
        stacked(slices)
    assert caught.value.reason == "BAD_HEADER"
