"""Fixtures that several rooms' tests share."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import torch
from loguru import logger
from numpy.typing import NDArray
from pydicom import Dataset, dcmwrite, uid
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID

WriteDicom = Callable[..., Path]

SHARED = Path(__file__).resolve().parents[2] / "shared"
_COMPUTED_RADIOGRAPHY = "1.2.840.10008.5.1.4.1.1.1"
_BIG_PREDICTOR = 4


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real radiographs beside the project; the test skips where it is absent."""
    folder = SHARED / "data"
    if not folder.is_dir():
        pytest.skip("the shared real data isn't beside the project")
    return folder


@pytest.fixture(scope="session")
def shared_weights() -> Path:
    """The folder of real ImageNet weights beside the project; the test skips where it is absent."""
    folder = SHARED / "weights"
    if not folder.is_dir():
        pytest.skip("the shared weights aren't beside the project")
    return folder


@pytest.fixture(autouse=True)
def _no_sinks_left() -> Iterator[None]:
    """Drop the log sinks that a command under test has opened on its captured streams."""
    yield
    logger.remove()


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """One torch thread a test process: more would wait for each other on busy cores."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def chest() -> NDArray[np.uint16]:
    """(61, 47) 12-bit values, odd sizes, smooth with noise, 0 and 4095 included."""
    rng = np.random.default_rng(3)
    rows, columns = np.mgrid[0:61, 0:47]
    waves = np.sin(rows / 9.0) + np.cos(columns / 7.0) + 0.1 * rng.normal(size=rows.shape)
    scaled = (waves - waves.min()) / (waves.max() - waves.min()) * 4095
    return scaled.round().astype(np.uint16)


@pytest.fixture
def write_dicom(tmp_path: Path) -> WriteDicom:
    """`write_dicom(pixels, syntax=..., name=..., **attributes)` -> the path of a CR file.

    An attribute set to None is left out. Frames are encoded by imagecodecs, RLE and JPEG 2000 by
    pydicom's own encoders.
    """

    def write(
        pixels: NDArray[Any],
        *,
        syntax: str = uid.ExplicitVRLittleEndian,
        name: str = "image.dcm",
        frame: bytes | None = None,
        **attributes: Any,
    ) -> Path:
        dataset = _dataset(pixels, attributes)
        dataset.file_meta.TransferSyntaxUID = UID(syntax)
        _set_pixels(dataset, pixels, UID(syntax), frame)
        path = tmp_path / name
        dcmwrite(path, dataset, enforce_file_format=True, little_endian=None)
        return path

    return write


def _dataset(pixels: NDArray[Any], attributes: dict[str, Any]) -> Dataset:
    dataset = Dataset()
    dataset.SOPClassUID = _COMPUTED_RADIOGRAPHY
    dataset.SOPInstanceUID = "1.2.826.0.1.3680043.8.498.1"
    dataset.StudyInstanceUID = "1.2.826.0.1.3680043.8.498.2"
    dataset.SeriesInstanceUID = "1.2.826.0.1.3680043.8.498.3"
    dataset.PatientID = "CANARY-7"
    dataset.PatientName = "Canary^Yellow"
    dataset.StudyDate = "20240229"
    dataset.Modality = "CR"
    dataset.ViewPosition = "PA"
    dataset.BodyPartExamined = "CHEST"
    dataset.Manufacturer = "Maker"
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.Rows, dataset.Columns = pixels.shape[:2]
    dataset.BitsAllocated = pixels.dtype.itemsize * 8
    dataset.BitsStored = 12 if pixels.dtype.itemsize == 2 else 8
    dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    if "HighBit" not in attributes:
        dataset.HighBit = dataset.BitsStored - 1
    for keyword, value in attributes.items():
        if value is None:
            delattr(dataset, keyword)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = attributes.get("SOPClassUID", dataset.SOPClassUID)
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    return dataset


def _set_pixels(dataset: Dataset, pixels: NDArray[Any], syntax: UID, frame: bytes | None) -> None:
    if not syntax.is_encapsulated:
        order = "<" if syntax.is_little_endian else ">"
        content = pixels.astype(pixels.dtype.newbyteorder(order)).tobytes()
        dataset.PixelData = content + b"\x00" * (len(content) % 2)
        dataset["PixelData"].VR = "OW" if pixels.dtype.itemsize == 2 else "OB"
        return
    if frame is None and syntax in (uid.RLELossless, uid.JPEG2000Lossless):
        dataset.compress(syntax, pixels, encoding_plugin="pylibjpeg", generate_instance_uid=False)
        return
    dataset.PixelData = encapsulate([frame or encoded(pixels, syntax, dataset.BitsStored)])
    dataset["PixelData"].VR = "OB"


def encoded(pixels: NDArray[Any], syntax: UID, bits_stored: int) -> bytes:
    """One frame by imagecodecs."""
    if bits_stored <= 8:
        pixels = pixels.astype(f"{pixels.dtype.kind}1")
    unsigned = pixels.view(f"u{pixels.dtype.itemsize}")
    if syntax in (uid.JPEGLossless, uid.JPEGLosslessSV1):
        predictor = 1 if syntax == uid.JPEGLosslessSV1 else _BIG_PREDICTOR
        return bytes(
            imagecodecs.jpeg8_encode(
                unsigned, lossless=True, predictor=predictor, bitspersample=bits_stored
            )
        )
    if syntax == uid.JPEGLSLossless:
        return bytes(imagecodecs.jpegls_encode(unsigned))
    if syntax == uid.JPEGLSNearLossless:
        return bytes(imagecodecs.jpegls_encode(unsigned, level=2))
    if syntax in (uid.HTJ2KLossless, uid.HTJ2KLosslessRPCL):
        return bytes(imagecodecs.htj2k_encode(pixels, reversible=True))
    if syntax == uid.JPEGBaseline8Bit:
        return bytes(imagecodecs.jpeg8_encode(unsigned, level=95))
    if syntax == uid.JPEGExtended12Bit:
        return bytes(imagecodecs.jpeg8_encode(unsigned, level=95, bitspersample=12))
    raise ValueError(f"no encoder for {syntax.name}")
