"""Labelled images as a torch dataset that gives equal bits in any order and process."""

from collections.abc import Sequence

import numpy as np
import torch
from torch.utils.data import Dataset

from csi_predictor.data.augment import Augmentation, augment
from csi_predictor.data.augment_volume import augment_volume
from csi_predictor.data.batch import Sample
from csi_predictor.data.cache import PixelStore
from csi_predictor.data.manifest import Row
from csi_predictor.data.prepare import to_tensor
from csi_predictor.specs import MIRRORED_ZONE_INDEX, InputSpec


class ImageDataset(Dataset[Sample]):
    """Samples by `(epoch, index)` or `(epoch, index, draw)`, or by index alone for epoch 0.

    The random generator of a sample is seeded with (seed, epoch, index) and, where a row is drawn
    more than once in an epoch, the number of the draw, and nothing else: so a sample is the same
    whatever was read before it, after a resume and with any number of workers.

    Args:
        rows: The images, in this order.
        spec: What the network takes.
        cache: Where prepared pixels come from.
        augmentation: None leaves the images as they are.
        seed: Of the augmentation.
        has_sides: Whether the targets are zones, which change sides in a mirrored image.
    """

    def __init__(
        self,
        rows: Sequence[Row],
        *,
        spec: InputSpec,
        cache: PixelStore,
        augmentation: Augmentation | None = None,
        seed: int = 0,
        has_sides: bool = True,
    ) -> None:
        self.rows = tuple(rows)
        self.spec = spec
        self.cache = cache
        self.augmentation = augmentation
        self.seed = seed
        self._mirrored_order = MIRRORED_ZONE_INDEX if has_sides else None

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, key: int | tuple[int, ...]) -> Sample:
        epoch, index, *draw = key if isinstance(key, tuple) else (0, key)
        row = self.rows[index]
        pixels = self.cache.get(row)
        readers = (row.targets, row.second_targets) if row.second_targets else row.targets
        targets = np.array(readers, dtype=np.float32)
        if self.augmentation is not None:
            rng = np.random.default_rng((self.seed, epoch, index, *draw))
            if len(self.spec.size) == 3:
                pixels = augment_volume(pixels, self.augmentation, rng)
            else:
                pixels, targets = augment(
                    pixels,
                    targets,
                    self.augmentation,
                    rng,
                    mirrored_order=self._mirrored_order,
                )
        return Sample(to_tensor(pixels, self.spec), torch.from_numpy(targets), index)
