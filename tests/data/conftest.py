"""Fixtures that write CT series."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK
from numpy.typing import NDArray
from pydicom import Dataset, dcmwrite, uid
from pydicom.dataset import FileMetaDataset

WriteSeries = Callable[..., Path]

SERIES_UID = "1.2.826.0.1.3680043.8.498.70"


@pytest.fixture
def write_series(tmp_path: Path) -> WriteSeries:
    """`write_series(hounsfield, ...)` -> a folder with one CT file a slice.

    The pixels (N, Rows, Columns) may be a SimpleITK image too, whose geometry is then taken. Files
    are named and numbered in an order that isn't theirs. `edit(dataset, index)` changes a slice, or
    leaves it out by returning False.
    """

    def write(
        hounsfield: NDArray[Any] | SimpleITK.Image,
        *,
        folder: str = "series",
        spacing_mm: Sequence[float] = (2.0, 0.8, 0.7),
        orientation: Sequence[float] = (1, 0, 0, 0, 1, 0),
        step_mm: Sequence[float] | None = None,
        series_uid: str = SERIES_UID,
        seed: int = 0,
        edit: Callable[[Dataset, int], Any] = lambda dataset, index: None,
        syntax: str = uid.ExplicitVRLittleEndian,
    ) -> Path:
        if isinstance(hounsfield, SimpleITK.Image):
            image = hounsfield
        else:
            image = _as_image(hounsfield, spacing_mm, orientation, step_mm)
        pixels = SimpleITK.GetArrayFromImage(image)
        names = np.random.default_rng(seed).permutation(len(pixels))
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        for index, plane in enumerate(pixels):
            place = image.TransformContinuousIndexToPhysicalPoint((0.0, 0.0, float(index)))
            if step_mm is not None:
                place = index * np.array(step_mm)
            dataset = ct_slice(plane, series_uid, int(names[index]))
            dataset.ImageOrientationPatient = _orientation(image)
            dataset.ImagePositionPatient = [f"{each:.6f}" for each in place]
            dataset.PixelSpacing = list(image.GetSpacing()[1::-1])
            dataset.SliceThickness = image.GetSpacing()[2]
            if edit(dataset, index) is False:
                continue
            dataset.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
            if syntax != uid.ExplicitVRLittleEndian:
                dataset.compress(syntax, encoding_plugin="pylibjpeg", generate_instance_uid=False)
            name = f"{series_uid[-2:]}_{names[index]:04d}.dcm"
            dcmwrite(tmp_path / folder / name, dataset, enforce_file_format=True)
        return tmp_path / folder

    return write


def ct_slice(plane: NDArray[Any], series_uid: str, number: int) -> Dataset:
    """A CT Image Storage data set, without its place."""
    dataset = Dataset()
    dataset.SOPClassUID = uid.CTImageStorage
    dataset.SOPInstanceUID = f"{series_uid}.{number + 1}"
    dataset.StudyInstanceUID = "1.2.826.0.1.3680043.8.498.7"
    dataset.SeriesInstanceUID = series_uid
    dataset.PatientID = "CANARY-7"
    dataset.PatientName = "Canary^Yellow"
    dataset.Modality = "CT"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.InstanceNumber = number + 1
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.Rows, dataset.Columns = plane.shape
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit = 15
    dataset.PixelRepresentation = 1
    dataset.RescaleSlope, dataset.RescaleIntercept = 1, 0
    dataset.RescaleType = "HU"
    dataset.PixelData = plane.astype("<i2").tobytes()
    dataset["PixelData"].VR = "OW"
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    return dataset


@pytest.fixture
def hounsfield() -> NDArray[np.int16]:
    """(9, 13, 11) Hounsfield units, asymmetric, -1000 to 2000, odd sizes."""
    rng = np.random.default_rng(5)
    return rng.integers(-1000, 2000, (9, 13, 11)).astype(np.int16)


def _as_image(
    pixels: NDArray[Any],
    spacing_mm: Sequence[float],
    orientation: Sequence[float],
    step_mm: Sequence[float] | None,
) -> SimpleITK.Image:
    image = SimpleITK.GetImageFromArray(pixels)
    image.SetSpacing([float(each) for each in spacing_mm[::-1]])
    x, y = np.reshape(orientation, (2, 3)).astype(float)
    image.SetDirection(np.stack([x, y, np.cross(x, y)], axis=1).ravel().tolist())
    image.SetOrigin((-40.0, -30.0, 100.0) if step_mm is None else (0.0, 0.0, 0.0))
    return image


def _orientation(image: SimpleITK.Image) -> list[str]:
    directions = np.array(image.GetDirection()).reshape(3, 3)
    return [f"{each:.6f}" for each in directions[:, :2].T.ravel()]
