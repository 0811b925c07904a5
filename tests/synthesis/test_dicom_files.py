"""Files as a reader of DICOM sees them."""

from dataclasses import replace
from pathlib import Path
from typing import get_args

import imagecodecs
import numpy as np
import pydicom
import pytest
from pydicom.encaps import generate_frames

from csi_predictor.synthesis.dicom_files import (
    TRANSFER_SYNTAXES,
    Polarity,
    RadiographFacts,
    VoiFunction,
    stored_values,
    write_radiograph,
)

FACTS = RadiographFacts(
    patient_id="PH00001",
    sex="F",
    age_years=71,
    study_date="20240305",
    study_time="081500",
    view_position="PA",
    study_instance_uid="1.2.3",
    series_instance_uid="1.2.3.4",
    sop_instance_uid="1.2.3.4.5",
    pixel_spacing_mm=(0.78125, 0.78125),
    polarity="MONOCHROME2",
    bits_stored=12,
    voi_function="LINEAR",
    transfer_syntax="explicit_le",
)

# PS3.3 A.26 and the modules it names: type 1 must be there with a value, type 2 may be empty.
TYPE_1 = [
    "SOPClassUID",
    "SOPInstanceUID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "Modality",
    "PresentationIntentType",
    "AnatomicRegionSequence",
    "ImageLaterality",
    "ImageType",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "PixelIntensityRelationship",
    "PixelIntensityRelationshipSign",
    "RescaleIntercept",
    "RescaleSlope",
    "RescaleType",
    "PresentationLUTShape",
    "LossyImageCompression",
    "BurnedInAnnotation",
    "PatientOrientation",
    "PixelData",
    "ImagerPixelSpacing",
    "ViewCodeSequence",
]
TYPE_2 = [
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "AccessionNumber",
    "ReferringPhysicianName",
    "StudyID",
    "SeriesNumber",
    "InstanceNumber",
    "Manufacturer",
    "DetectorType",
    "PositionerType",
    "AcquisitionContextSequence",
    "PatientOrientationCodeSequence",
]


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    rows, columns = np.mgrid[:61, :83]
    wave = 0.5 + 0.45 * np.sin(rows / 9.0) * np.cos(columns / 13.0)
    grain = np.random.default_rng(2).normal(0, 0.01, wave.shape)
    return np.asarray(wave + grain, dtype=np.float32)


def written(folder: Path, picture: np.ndarray, facts: RadiographFacts) -> pydicom.Dataset:
    write_radiograph(folder / "file.dcm", picture, facts)
    return pydicom.dcmread(folder / "file.dcm")


def decoded(dataset: pydicom.Dataset) -> np.ndarray:
    syntax = dataset.file_meta.TransferSyntaxUID
    if syntax in (TRANSFER_SYNTAXES["jpeg_lossless"], TRANSFER_SYNTAXES["jpeg_ls"]):
        frame = next(generate_frames(dataset.PixelData, number_of_frames=1))
        is_ls = syntax == TRANSFER_SYNTAXES["jpeg_ls"]
        decode = imagecodecs.jpegls_decode if is_ls else imagecodecs.jpeg8_decode
        return np.asarray(decode(frame))
    return np.asarray(dataset.pixel_array)


def shown(dataset: pydicom.Dataset) -> np.ndarray:
    """The picture in [0, 1] by the formulas of PS3.3 C.11.2.1, 1 for dense."""
    values = decoded(dataset).astype(float)
    centre, width = float(dataset.WindowCenter), float(dataset.WindowWidth)
    function = dataset.get("VOILUTFunction", "LINEAR")
    if function == "SIGMOID":
        shown = 1 / (1 + np.exp(-4 * (values - centre) / width))
    elif function == "LINEAR_EXACT":
        shown = np.clip((values - centre) / width + 0.5, 0, 1)
    else:
        shown = np.clip((values - (centre - 0.5)) / (width - 1) + 0.5, 0, 1)
    return 1 - shown if dataset.PhotometricInterpretation == "MONOCHROME1" else shown


@pytest.mark.parametrize("bits_stored", [12, 14, 16])
@pytest.mark.parametrize("transfer_syntax", list(TRANSFER_SYNTAXES))
def test_each_transfer_syntax_decodes_to_the_stored_values(
    tmp_path: Path, picture: np.ndarray, transfer_syntax: str, bits_stored: int
) -> None:
    facts = replace(FACTS, transfer_syntax=transfer_syntax, bits_stored=bits_stored)
    dataset = written(tmp_path, picture, facts)
    assert dataset.file_meta.TransferSyntaxUID == TRANSFER_SYNTAXES[transfer_syntax]
    np.testing.assert_array_equal(decoded(dataset), stored_values(picture, facts))


def test_the_jpeg_lossless_stream_uses_the_first_predictor(
    tmp_path: Path, picture: np.ndarray
) -> None:
    dataset = written(tmp_path, picture, replace(FACTS, transfer_syntax="jpeg_lossless"))
    frame = next(generate_frames(dataset.PixelData, number_of_frames=1))
    scan = frame.index(b"\xff\xda")
    # ITU-T T.81 B.2.3: marker, length, one component (2 bytes), then the selection value.
    assert frame[scan + 7] == 1


@pytest.mark.parametrize("voi_function", get_args(VoiFunction)[1:])
def test_both_polarities_show_the_same_picture(
    tmp_path: Path, picture: np.ndarray, voi_function: VoiFunction
) -> None:
    facts = replace(FACTS, voi_function=voi_function)
    light = written(tmp_path, picture, facts)
    dark = written(tmp_path, picture, replace(facts, polarity="MONOCHROME1"))
    np.testing.assert_array_equal(decoded(light), 4095 - decoded(dark).astype(int))
    np.testing.assert_allclose(shown(light), shown(dark), atol=1e-9)
    np.testing.assert_allclose(shown(light), np.clip(picture, 0.012, 0.988), atol=0.013)


def test_tags_agree_with_the_polarity(tmp_path: Path, picture: np.ndarray) -> None:
    expected: dict[Polarity, tuple[str, int]] = {
        "MONOCHROME1": ("INVERSE", 1),
        "MONOCHROME2": ("IDENTITY", -1),
    }
    for polarity, (shape, sign) in expected.items():
        dataset = written(tmp_path, picture, replace(FACTS, polarity=polarity))
        assert dataset.PhotometricInterpretation == polarity
        assert dataset.PresentationLUTShape == shape
        assert dataset.PixelIntensityRelationshipSign == sign


def test_a_file_may_state_no_window(tmp_path: Path, picture: np.ndarray) -> None:
    dataset = written(tmp_path, picture, replace(FACTS, voi_function="NONE"))
    assert "WindowCenter" not in dataset
    assert "VOILUTFunction" not in dataset


def test_the_mandatory_attributes_of_a_dx_image_are_there(
    tmp_path: Path, picture: np.ndarray
) -> None:
    dataset = written(tmp_path, picture, FACTS)
    for keyword in TYPE_1:
        assert dataset[keyword].value not in ("", None, []), keyword
    for keyword in TYPE_2:
        assert keyword in dataset
    assert dataset.SOPClassUID == "1.2.840.10008.5.1.4.1.1.1.1"
    assert dataset.PatientOrientation == ["L", "F"]
    assert dataset.ImageType == ["DERIVED", "PRIMARY"]
    assert dataset.PatientAge == "071Y"
    assert dataset.HighBit == dataset.BitsStored - 1


def test_no_half_written_file_is_left(tmp_path: Path, picture: np.ndarray) -> None:
    write_radiograph(tmp_path / "file.dcm", picture, FACTS)
    assert [path.name for path in tmp_path.iterdir()] == ["file.dcm"]
