"""Pictures as DICOM DX images for presentation, in both polarities and many syntaxes.

Source: PS3.3 A.26 (the DX IOD) and C.8.11 (its modules) for the attributes; PS3.5 A.4 for the
    encapsulations.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Final, Literal

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom import uid
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.filewriter import dcmwrite
from pydicom.pixels.encoders.base import get_encoder
from pydicom.sequence import Sequence

from csi_predictor.files import write_bytes
from csi_predictor.synthesis.grid import Array

Polarity = Literal["MONOCHROME1", "MONOCHROME2"]
VoiFunction = Literal["NONE", "LINEAR", "LINEAR_EXACT", "SIGMOID"]

TRANSFER_SYNTAXES: Final = {
    "explicit_le": uid.ExplicitVRLittleEndian,
    "implicit_le": uid.ImplicitVRLittleEndian,
    "deflated": uid.DeflatedExplicitVRLittleEndian,
    "rle": uid.RLELossless,
    "jpeg_lossless": uid.JPEGLosslessSV1,
    "jpeg_ls": uid.JPEGLSLossless,
    "jpeg_2000": uid.JPEG2000Lossless,
}
"""All lossless, so that a picture is the same in each."""

SIGMOID_WIDTH = 0.4
"""Window width of a sigmoid VOI relative to the stored range, nine tenths of which it uses."""


@dataclass(frozen=True, slots=True)
class RadiographFacts:
    """What a file says about its picture.

    Attributes:
        patient_id: As in the labels table.
        sex: M or F.
        age_years: On the day of the study.
        study_date: YYYYMMDD.
        study_time: HHMMSS.
        view_position: PA or AP.
        study_instance_uid: Unique identifier of the study.
        series_instance_uid: Of its only series.
        sop_instance_uid: Of the picture.
        pixel_spacing_mm: At the detector, (down, across).
        polarity: Which end of the stored range is black.
        bits_stored: 8 to 16.
        voi_function: How the display window is stated; NONE writes no window.
        transfer_syntax: A key of `TRANSFER_SYNTAXES`.
    """

    patient_id: str
    sex: str
    age_years: int
    study_date: str
    study_time: str
    view_position: Literal["PA", "AP"]
    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    pixel_spacing_mm: tuple[float, float]
    polarity: Polarity
    bits_stored: int
    voi_function: VoiFunction
    transfer_syntax: str


def write_radiograph(path: Path, picture: Array, facts: RadiographFacts) -> None:
    """Write a picture whole or not at all.

    Args:
        path: Where; a file there is replaced.
        picture: (rows, columns) in [0, 1], 1 for dense.
        facts: What the file says about it.

    Raises:
        ResourceError: The disk is full.
    """
    syntax = TRANSFER_SYNTAXES[facts.transfer_syntax]
    stored = stored_values(picture, facts)
    dataset = _describe(stored.shape, facts)
    _add_window(dataset, facts)
    _add_pixels(dataset, stored, syntax)
    dataset.file_meta = _file_meta(facts.sop_instance_uid, syntax)
    buffer = BytesIO()
    dcmwrite(buffer, dataset, enforce_file_format=True)
    write_bytes(path, buffer.getvalue())


def stored_values(picture: Array, facts: RadiographFacts) -> NDArray[np.uint16]:
    """Stored values of a picture, which the window (or a sigmoid VOI) turns back into it."""
    top = 2**facts.bits_stored - 1
    if facts.voi_function == "SIGMOID":
        bounded = np.clip(picture, 0.012, 0.988)
        share: Array = 0.5 + 0.25 * SIGMOID_WIDTH * np.log(bounded / (1 - bounded))
    else:
        share = 0.04 + 0.92 * np.clip(picture, 0.0, 1.0)
    values = np.rint(share * top).astype(np.uint16)
    return np.asarray(top - values, dtype=np.uint16) if facts.polarity == "MONOCHROME1" else values


def _add_window(dataset: Dataset, facts: RadiographFacts) -> None:
    if facts.voi_function == "NONE":
        return
    top = 2**facts.bits_stored - 1
    width = (SIGMOID_WIDTH if facts.voi_function == "SIGMOID" else 0.92) * top
    # PS3.3 C.11.2.1.2: LINEAR is centred half a value higher and one value wider than exact.
    is_linear = facts.voi_function == "LINEAR"
    dataset.WindowCenter = f"{0.5 * top + 0.5 * is_linear:.1f}"
    dataset.WindowWidth = f"{width + is_linear:.2f}"
    if not is_linear:
        dataset.VOILUTFunction = facts.voi_function


def _describe(shape: tuple[int, ...], facts: RadiographFacts) -> Dataset:
    dataset = Dataset()
    for add in (_add_patient, _add_study, _add_acquisition):
        add(dataset, facts)
    is_inverse = facts.polarity == "MONOCHROME1"
    dataset.ImageType = ["DERIVED", "PRIMARY"]
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = facts.polarity
    dataset.Rows, dataset.Columns = shape
    dataset.BitsAllocated, dataset.BitsStored = 16, facts.bits_stored
    dataset.HighBit, dataset.PixelRepresentation = facts.bits_stored - 1, 0
    dataset.PresentationLUTShape = "INVERSE" if is_inverse else "IDENTITY"
    dataset.PixelIntensityRelationship = "LOG"
    dataset.PixelIntensityRelationshipSign = 1 if is_inverse else -1
    dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = "0", "1", "US"
    dataset.BurnedInAnnotation, dataset.LossyImageCompression = "NO", "00"
    return dataset


def _add_patient(dataset: Dataset, facts: RadiographFacts) -> None:
    dataset.PatientName = f"Phantom^{facts.patient_id}"
    dataset.PatientID = facts.patient_id
    dataset.PatientBirthDate = ""
    dataset.PatientSex = facts.sex
    dataset.PatientAge = f"{facts.age_years:03d}Y"


def _add_study(dataset: Dataset, facts: RadiographFacts) -> None:
    dataset.SOPClassUID = uid.DigitalXRayImageStorageForPresentation
    dataset.SOPInstanceUID = facts.sop_instance_uid
    dataset.StudyInstanceUID = facts.study_instance_uid
    dataset.SeriesInstanceUID = facts.series_instance_uid
    dataset.StudyDate = dataset.SeriesDate = dataset.AcquisitionDate = dataset.ContentDate = (
        facts.study_date
    )
    dataset.StudyTime = dataset.SeriesTime = dataset.AcquisitionTime = dataset.ContentTime = (
        facts.study_time
    )
    dataset.AccessionNumber = dataset.ReferringPhysicianName = dataset.StudyID = ""
    dataset.StudyDescription = "Chest, procedural phantom"
    dataset.SeriesNumber = dataset.InstanceNumber = "1"
    dataset.Manufacturer = "CSI-Predictor phantom"
    dataset.Modality = "DX"
    dataset.PresentationIntentType = "FOR PRESENTATION"


def _add_acquisition(dataset: Dataset, facts: RadiographFacts) -> None:
    is_pa = facts.view_position == "PA"
    dataset.BodyPartExamined = "CHEST"
    dataset.AnatomicRegionSequence = Sequence([_code("51185008", "Chest")])
    dataset.ImageLaterality = "U"
    dataset.ViewPosition = facts.view_position
    view = (
        _code("399348003", "antero-posterior")
        if not is_pa
        else _code("272479007", "postero-anterior")
    )
    view.ViewModifierCodeSequence = Sequence()
    dataset.ViewCodeSequence = Sequence([view])
    # Rows run to the patient's left and columns to the feet, whichever way the beam went.
    dataset.PatientOrientation = ["L", "F"]
    dataset.PatientOrientationCodeSequence = Sequence()
    dataset.KVP = "120" if is_pa else "90"
    dataset.DetectorType = "DIRECT"
    dataset.PositionerType = "NONE"
    dataset.ImagerPixelSpacing = [f"{step:.6g}" for step in facts.pixel_spacing_mm]
    dataset.AcquisitionContextSequence = Sequence()


def _code(value: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "SCT", meaning
    return item


def _add_pixels(dataset: Dataset, stored: NDArray[np.uint16], syntax: uid.UID) -> None:
    if not syntax.is_encapsulated:
        dataset.PixelData = stored.astype("<u2").tobytes()
        dataset["PixelData"].VR = "OW"
        return
    frame = _FRAME_ENCODERS[syntax](stored, int(dataset.BitsStored))
    dataset.PixelData = encapsulate([frame])
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True


def _encode_with_pydicom(syntax: uid.UID, stored: NDArray[np.uint16], bits_stored: int) -> bytes:
    return get_encoder(syntax).encode(
        stored.astype("<u2").tobytes(),
        rows=stored.shape[0],
        columns=stored.shape[1],
        number_of_frames=1,
        samples_per_pixel=1,
        bits_allocated=16,
        bits_stored=bits_stored,
        pixel_representation=0,
        photometric_interpretation="MONOCHROME2",
        transfer_syntax_uid=syntax,
    )


def _encode_jpeg_lossless(stored: NDArray[np.uint16], bits_stored: int) -> bytes:
    return bytes(
        imagecodecs.jpeg8_encode(stored, lossless=True, predictor=1, bitspersample=bits_stored)
    )


def _encode_jpeg_ls(stored: NDArray[np.uint16], bits_stored: int) -> bytes:
    del bits_stored
    return bytes(imagecodecs.jpegls_encode(stored))


_FRAME_ENCODERS: Final[dict[uid.UID, Callable[[NDArray[np.uint16], int], bytes]]] = {
    uid.RLELossless: partial(_encode_with_pydicom, uid.RLELossless),
    uid.JPEG2000Lossless: partial(_encode_with_pydicom, uid.JPEG2000Lossless),
    uid.JPEGLosslessSV1: _encode_jpeg_lossless,
    uid.JPEGLSLossless: _encode_jpeg_ls,
}


def _file_meta(sop_instance_uid: str, syntax: uid.UID) -> FileMetaDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = uid.DigitalXRayImageStorageForPresentation
    meta.MediaStorageSOPInstanceUID = uid.UID(sop_instance_uid)
    meta.TransferSyntaxUID = syntax
    return meta
