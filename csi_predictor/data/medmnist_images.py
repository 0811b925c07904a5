"""The pictures and volumes of a MedMNIST set as a network takes them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from csi_predictor.data.cache import CacheKind
from csi_predictor.data.geometry import fit
from csi_predictor.data.image import Image, SourceFacts
from csi_predictor.data.manifest import Row
from csi_predictor.data.medmnist import MedMnistSet
from csi_predictor.data.official_processor import run_official_processor
from csi_predictor.data.volume_geometry import axis_taps, resample
from csi_predictor.errors import ConfigError
from csi_predictor.specs import InputSpec

Floats = NDArray[np.float32]
_STORED_RANGE = (0.0, 255.0)
_KINDS = {2: "pictures", 3: "volumes"}


class MedMnistImages:
    """Takes the place of `PreparedCache`: the file's own memory is the cache.

    0 becomes 0 and 255 becomes 1, as in the publisher's loader, of masks too; `percentiles`, `voi`,
    `hu_range` and `spacing_mm` of the spec are for files of patients and aren't used. A grey
    picture goes into any number of channels; one in colour into three alone: turned to grey it
    would be another set than the published one.

    Args:
        medmnist: The set.
        spec: What the network takes.

    Raises:
        ConfigError: Pictures for a network of volumes or the other way round, colour for another
            number of channels than three, or a network that learnt from another range of values.
    """

    kind: CacheKind = "memory"

    def __init__(self, medmnist: MedMnistSet, spec: InputSpec) -> None:
        _check(medmnist, spec)
        self.spec = spec
        self._medmnist = medmnist

    def get(self, row: Row) -> Floats:
        """(H, W) grey, (3, H, W) colour or (D, H, W) in [0, 1], at the spec's size.

        Raises:
            LabelsError: The file is damaged.
        """
        pixels: Floats = np.divide(self._medmnist.get(row), 255, dtype=np.float32)
        if self._medmnist.facts.dimensions == 3:
            return _sized_volume(pixels, self.spec.size)
        if self._medmnist.facts.channels == 1:
            return _sized(pixels, self.spec, row.path)
        planes = [_sized(pixels[..., plane], self.spec, row.path) for plane in range(3)]
        return np.stack(planes)  # (H, W, 3) -> (3, H, W)

    def fill(self, rows: Sequence[Row], workers: int = 0) -> None:
        """Read the parts that the rows are of, so that damage shows now and processes share them.

        Args:
            rows: Images of this set.
            workers: Of no use here: pictures this small are prepared faster than passed on.

        Raises:
            LabelsError: The file is damaged.
        """
        first_of_part = {row.file_id.partition("_")[0]: row for row in rows}
        for row in first_of_part.values():
            self.get(row)


def _check(medmnist: MedMnistSet, spec: InputSpec) -> None:
    facts = medmnist.facts
    if len(spec.size) != facts.dimensions:
        held, taken = _KINDS[facts.dimensions], _KINDS[len(spec.size)]
        raise ConfigError(
            f"[DATA] MEDMNIST_FLAG = {facts.flag}: holds {held}, and the network takes {taken}: "
            f"set [MODEL] MODEL_ARCH to a network of {held}"
        )
    if spec.value_range != _STORED_RANGE:
        raise ConfigError(
            "[DATA] SOURCE = medmnist: its values are 0 to 255, and the network learnt from "
            "images stretched by their own contrast: evaluate it on images as it learnt from, or "
            "train it with SOURCE = medmnist"
        )
    if facts.channels == 3 and spec.channels != 3:
        raise ConfigError(
            f"[DATA] MEDMNIST_FLAG = {facts.flag}: is in colour, and the network takes "
            f"{spec.channels} channels: set [MODEL] IN_CHANNELS = 3"
        )


def _sized(plane: Floats, spec: InputSpec, path: Path) -> Floats:
    """A plane (H, W) at the network's size, by the official processor if the spec has one."""
    if spec.processor is None and plane.shape == spec.size:
        return np.ascontiguousarray(plane)
    facts = SourceFacts(
        path=path, format="npz", sha256="", decoder="", rows=plane.shape[0], columns=plane.shape[1]
    )
    image = Image(pixels=plane, facts=facts)
    if spec.processor is not None:
        return np.ascontiguousarray(run_official_processor(image, spec))
    return np.ascontiguousarray(fit(image, spec).pixels)


def _sized_volume(volume: Floats, size: tuple[int, ...]) -> Floats:
    """A volume (D, H, W) at the network's size: trilinear, antialiased where it becomes smaller."""
    if volume.shape == size:
        return volume
    depth, height, width = map(axis_taps, volume.shape, size)
    return resample(volume.__getitem__, (depth, height, width))
