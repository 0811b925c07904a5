"""How a volume's file axes meet the patient's: L (left), P (back), S (head)."""

from dataclasses import dataclass
from itertools import permutations
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

_NOTED_DEG = 1.0

Scalar = TypeVar("Scalar", bound=np.generic)


@dataclass(frozen=True)
class Turn:
    """Which file axis becomes which axis of the patient, without resampling.

    Attributes:
        order: File axis (0 = x, 1 = y, 2 = z) that becomes L, P and S.
        reversed_axes: File axes that run the other way.
        oblique_deg: Largest angle between a file axis and the patient's axis that it becomes.
    """

    order: tuple[int, int, int]
    reversed_axes: tuple[int, ...]
    oblique_deg: float

    @property
    def file_axes(self) -> tuple[int, int, int]:
        """The file axis of D, H and W."""
        x, y, z = self.order
        return (z, y, x)

    @property
    def is_turning(self) -> bool:
        """Whether anything moves."""
        return bool(self.reversed_axes) or self.order != (0, 1, 2)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a volume's facts say of an orientation that can't be met without resampling."""
        if self.oblique_deg < _NOTED_DEG:
            return ()
        return (f"oblique by {self.oblique_deg:.1f} degrees: turned to the nearest axes",)

    def apply(self, stored: NDArray[Scalar]) -> NDArray[Scalar]:
        """File pixels (z, y, x) -> a view of them along (S, P, L)."""
        flipped = np.flip(stored, self._flipped)
        return flipped.transpose(self._axes)

    def undo(self, volume: NDArray[Scalar]) -> NDArray[Scalar]:
        """A volume along (S, P, L) -> a view of it in the file's order (z, y, x)."""
        inverse = [self._axes.index(axis) for axis in range(3)]
        return np.flip(volume.transpose(inverse), self._flipped)

    @property
    def _axes(self) -> tuple[int, ...]:
        return tuple(2 - axis for axis in self.file_axes)

    @property
    def _flipped(self) -> tuple[int, ...]:
        return tuple(2 - axis for axis in self.reversed_axes)


def turn_to_lps(directions: NDArray[np.float64]) -> Turn:
    """The turn that brings a volume nearest to the patient's axes.

    Args:
        directions: (3, 3) unit direction of the file axes x, y, z along L, P, S.
    """
    x, y, z = max(
        permutations(range(3)),
        key=lambda order: sum(abs(directions[order[axis], axis]) for axis in range(3)),
    )
    order = (x, y, z)
    met = [float(directions[axis, target]) for target, axis in enumerate(order)]
    angle = np.rad2deg(np.arccos(np.clip(np.abs(met), 0.0, 1.0)).max())
    return Turn(
        order=order,
        reversed_axes=tuple(axis for axis, cosine in zip(order, met, strict=True) if cosine < 0),
        oblique_deg=float(angle),
    )
