"""Samples and batches: what the data room hands to a network."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Sample:
    """One image for the network.

    Attributes:
        pixels: (C, H, W) or (C, D, H, W) float32, normalised.
        targets: (Z,) float32, NaN = ungradable; or (2, Z), the second reader's below. Of labels
            and classes (T,), NaN = unknown.
        index: Of the row in its dataset.
    """

    pixels: torch.Tensor
    targets: torch.Tensor
    index: int


@dataclass(frozen=True)
class Batch:
    """Several images for the network.

    Attributes:
        pixels: (B, C, H, W) or (B, C, D, H, W) float32, normalised.
        targets: (B, Z) float32, NaN = ungradable; or (B, 2, Z), the second reader's below. Of
            labels and classes (B, T), NaN = unknown.
        indices: (B,) int64, of the rows in their dataset.
    """

    pixels: torch.Tensor
    targets: torch.Tensor
    indices: torch.Tensor

    def __len__(self) -> int:
        return len(self.pixels)

    def to(self, device: torch.device | str) -> "Batch":
        """The batch on a device; a pinned one is copied while the CPU goes on."""
        return Batch(
            self.pixels.to(device, non_blocking=True),
            self.targets.to(device, non_blocking=True),
            self.indices.to(device, non_blocking=True),
        )

    def pin_memory(self) -> "Batch":
        """The batch in page-locked memory; a DataLoader with `pin_memory=True` calls it."""
        return Batch(self.pixels.pin_memory(), self.targets.pin_memory(), self.indices.pin_memory())


def collate(samples: Sequence[Sample]) -> Batch:
    """Stack samples of equal size."""
    return Batch(
        torch.stack([sample.pixels for sample in samples]),
        torch.stack([sample.targets for sample in samples]),
        torch.tensor([sample.index for sample in samples], dtype=torch.int64),
    )
