"""Pooled features of labelled images, by one network or several side by side."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from csi_predictor.data.cache import PixelStore
from csi_predictor.data.manifest import Row
from csi_predictor.errors import CsiError
from csi_predictor.inference.predictions import Floats
from csi_predictor.inference.rows import row_loader
from csi_predictor.models.staged import StagedModel
from csi_predictor.progress import track
from csi_predictor.specs import TargetSpec


@dataclass(frozen=True, kw_only=True)
class ImageFeatures:
    """Features of N images, and what is known of the images.

    Attributes:
        file_ids: N ids, as in the labels table.
        patient_ids: N patients.
        parts: N times `train`, `val` or `test`; empty = no split is known.
        target_spec: What the targets mean.
        targets: (N, T) as in the labels table, NaN = ungradable or unknown.
        values: (N, F) float32.
    """

    file_ids: tuple[str, ...]
    patient_ids: tuple[str, ...]
    parts: tuple[str, ...]
    target_spec: TargetSpec
    targets: Floats
    values: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.file_ids)

    def take(self, index: NDArray[np.int64]) -> "ImageFeatures":
        """The images of an index, in its order."""
        return replace(
            self,
            file_ids=tuple(self.file_ids[i] for i in index),
            patient_ids=tuple(self.patient_ids[i] for i in index),
            parts=tuple(self.parts[i] for i in index),
            targets=self.targets[index],
            values=self.values[index],
        )


@torch.inference_mode()
def extract_features(
    models: Sequence[StagedModel],
    rows: Sequence[Row],
    cache: PixelStore,
    *,
    batch_size: int,
    device: torch.device,
) -> NDArray[np.float32]:
    """Each image's pooled features, computed in float32 from the picture as it is.

    The features of several networks stand side by side in their order: they have no common axes,
    so that a mean of them would mean nothing.

    Args:
        models: On the device, in evaluation mode; they take the same picture.
        rows: Of a labels table.
        cache: Of images prepared for the networks.
        batch_size: Images a pass.
        device: Of the networks.

    Returns:
        (N, F) float32; F is the sum over the networks.

    Raises:
        CsiError: A feature isn't a finite number.
    """
    loader = row_loader(rows, spec=models[0].input_spec, cache=cache, batch_size=batch_size)
    parts = []
    for batch in track(loader, "extracting features", total=len(loader), unit="batches"):
        pixels = batch.pixels.to(device)
        each = [model.extract_features(pixels).float().cpu() for model in models]
        parts.append(torch.cat(each, dim=1))
    values: NDArray[np.float32] = torch.cat(parts).numpy()
    num_wrong = int((~np.isfinite(values)).any(axis=1).sum())
    if num_wrong:
        raise CsiError(
            f"{models[0].spec.architecture}: {num_wrong} of {len(rows)} images have features that "
            "are infinite or not a number: expected finite ones: check its weights"
        )
    return values
