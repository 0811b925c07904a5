import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import SimpleITK
from numpy.typing import NDArray
from pydicom import uid
from pydicom.data import get_testdata_file
from pydicom.datadict import tag_for_keyword

from csi_predictor.data.readers import read_image, read_patient_id
from csi_predictor.errors import ImageError

WriteDicom = Callable[..., Path]

LOSSLESS = (
    uid.ImplicitVRLittleEndian,
    uid.ExplicitVRLittleEndian,
    uid.ExplicitVRBigEndian,
    uid.DeflatedExplicitVRLittleEndian,
    uid.RLELossless,
    uid.JPEGLossless,
    uid.JPEGLosslessSV1,
    uid.JPEGLSLossless,
    uid.JPEG2000Lossless,
    uid.HTJ2KLossless,
    uid.HTJ2KLosslessRPCL,
)


def _real(name: str) -> Path:
    path = get_testdata_file(name, download=False)
    if path is None:
        pytest.skip("pydicom-data isn't installed")
    return Path(str(path))


@pytest.mark.parametrize("syntax", LOSSLESS, ids=lambda syntax: syntax.keyword)
@pytest.mark.parametrize("bits", [8, 12, 16, "signed"])
def test_every_lossless_syntax_gives_the_stored_values(
    write_dicom: WriteDicom, chest: NDArray[np.uint16], syntax: uid.UID, bits: int | str
) -> None:
    pixels: dict[int | str, NDArray[Any]] = {
        8: (chest >> 4).astype(np.uint8),
        12: chest,
        16: (chest * 16).astype(np.uint16),
        "signed": (chest.astype(np.int16) * 8 - 16384).astype(np.int16),
    }
    stored = 8 if bits == 8 else 12 if bits == 12 else 16
    image = read_image(write_dicom(pixels[bits], syntax=syntax, BitsStored=stored))
    np.testing.assert_array_equal(image.pixels, pixels[bits])
    assert image.pixels.dtype == np.float32
    assert image.facts.transfer_syntax_uid == syntax


@pytest.mark.parametrize(
    ("syntax", "tolerance"),
    [(uid.JPEGLSNearLossless, 2), (uid.JPEGExtended12Bit, 16), (uid.JPEGBaseline8Bit, 16)],
)
def test_a_lossy_syntax_is_close(
    write_dicom: WriteDicom, chest: NDArray[np.uint16], syntax: uid.UID, tolerance: int
) -> None:
    pixels = (chest >> 4).astype(np.uint8) if syntax == uid.JPEGBaseline8Bit else chest
    read = read_image(write_dicom(pixels, syntax=syntax)).pixels
    assert np.abs(read - pixels).max() <= tolerance


def test_the_real_chest_radiograph_is_equal_uncompressed_and_in_jpeg_2000() -> None:
    raw, compressed = read_image(_real("RG1_UNCR.dcm")), read_image(_real("RG1_J2KR.dcm"))
    np.testing.assert_array_equal(raw.pixels, compressed.pixels)
    # SimpleITK turns MONOCHROME1 by 2^BitsStored - 1 on its own.
    by_itk = (
        2**15 - 1 - SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(_real("RG1_UNCR.dcm"))))[0]
    )
    np.testing.assert_array_equal(raw.pixels, by_itk)
    assert raw.display.is_inverted


@pytest.mark.parametrize("name", ["MR_small_jp2klossless.dcm", "CT_small.dcm", "reportsi.dcm"])
def test_other_kinds_of_image_are_refused_by_their_sop_class(name: str) -> None:
    with pytest.raises(ImageError, match="UNSUPPORTED_SOP_CLASS"):
        read_image(_real(name))


def test_overlay_bits_above_bits_stored_are_cleared(
    write_dicom: WriteDicom, chest: NDArray[np.uint16]
) -> None:
    with_overlay = chest.copy()
    with_overlay[::3] |= 0x8000
    np.testing.assert_array_equal(read_image(write_dicom(with_overlay)).pixels, chest)


def test_signed_values_with_zeroed_high_bits_are_extended(write_dicom: WriteDicom) -> None:
    values = np.array([[-2048, -1], [0, 2047]], np.int16)
    stored = (values & 0x0FFF).astype(np.int16)
    np.testing.assert_array_equal(read_image(write_dicom(stored)).pixels, values)


def test_an_8_bit_codestream_in_16_allocated_bits_is_read(
    write_dicom: WriteDicom, chest: NDArray[np.uint16]
) -> None:
    low = (chest >> 4).astype(np.uint16)
    path = write_dicom(low, syntax=uid.JPEGLosslessSV1, BitsStored=8)
    np.testing.assert_array_equal(read_image(path).pixels, low)


def test_padding_is_masked_up_to_its_range_limit(
    write_dicom: WriteDicom, chest: NDArray[np.uint16]
) -> None:
    path = write_dicom(chest, PixelPaddingValue=0, PixelPaddingRangeLimit=300)
    padding = read_image(path).padding
    np.testing.assert_array_equal(padding, chest <= 300)
    only_one = read_image(write_dicom(chest, PixelPaddingValue=0)).padding
    np.testing.assert_array_equal(only_one, chest == 0)
    assert read_image(write_dicom(chest, PixelPaddingValue=4096)).padding is None


def test_signed_padding_is_read_as_signed(write_dicom: WriteDicom) -> None:
    stored = np.array([[-2000, 5], [7, 9]], np.int16)
    path = write_dicom(stored, BitsStored=16, PixelPaddingValue=-2000)
    np.testing.assert_array_equal(read_image(path).padding, stored == -2000)


def _rewritten(path: Path, representation: str, **values: int) -> Path:
    """The file with its padding attributes in a value representation of the test's choice."""
    dataset = pydicom.dcmread(path)
    for keyword, value in values.items():
        tag = tag_for_keyword(keyword)
        assert tag is not None
        dataset[tag] = pydicom.DataElement(tag, representation, value)
    dataset.save_as(path)
    return path


def test_padding_written_unsigned_beside_signed_pixels_is_masked(write_dicom: WriteDicom) -> None:
    # by hand: 63488 - 2^16 = -2048 and 63490 - 2^16 = -2046
    stored = np.array([[-2048, -2047], [-2045, 9]], np.int16)
    path = _rewritten(write_dicom(stored, BitsStored=16), "US", PixelPaddingValue=63488)
    np.testing.assert_array_equal(read_image(path).padding, [[True, False], [False, False]])
    _rewritten(path, "US", PixelPaddingRangeLimit=63490)
    np.testing.assert_array_equal(read_image(path).padding, [[True, True], [False, False]])


def test_padding_written_signed_beside_unsigned_pixels_is_masked(write_dicom: WriteDicom) -> None:
    # by hand: -2048 + 2^16 = 63488
    stored = np.array([[63488, 2048], [0, 65535]], np.uint16)
    path = _rewritten(write_dicom(stored, BitsStored=16), "SS", PixelPaddingValue=-2048)
    np.testing.assert_array_equal(read_image(path).padding, [[True, False], [False, False]])


@pytest.mark.parametrize(
    ("attributes", "is_noted"),
    [
        ({}, False),
        ({"FieldOfViewRotation": 0, "FieldOfViewHorizontalFlip": "NO"}, False),
        ({"FieldOfViewRotation": 0, "FieldOfViewHorizontalFlip": "YES"}, True),
        ({"FieldOfViewRotation": 180, "FieldOfViewHorizontalFlip": "NO"}, True),
        ({"FieldOfViewHorizontalFlip": "YES", "PatientOrientation": ["L", "F"]}, False),
        ({"FieldOfViewHorizontalFlip": "YES", "PatientOrientation": ["", ""]}, True),
    ],
)
def test_a_turn_after_the_detector_is_noted_unless_patient_orientation_tells_the_result(
    write_dicom: WriteDicom,
    chest: NDArray[np.uint16],
    attributes: dict[str, Any],
    is_noted: bool,
) -> None:
    image = read_image(write_dicom(chest, **attributes))
    note = "turned or flipped after the detector, without Patient Orientation"
    assert image.facts.notes == ((note,) if is_noted else ())
    np.testing.assert_array_equal(image.pixels, chest)


def test_the_facts_say_where_the_picture_came_from(
    write_dicom: WriteDicom, chest: NDArray[np.uint16]
) -> None:
    path = write_dicom(
        chest,
        syntax=uid.JPEGLSLossless,
        ImageType=["ORIGINAL", "PRIMARY"],
        AcquisitionDate="20240301",
        AcquisitionTime="101112",
        ImagerPixelSpacing=[0.2, 0.1],
    )
    image = read_image(path)
    facts = image.facts
    assert image.spacing_mm == (0.2, 0.1)
    assert facts.decoder.startswith("imagecodecs 20")
    assert facts.image_type == ("ORIGINAL", "PRIMARY")
    assert facts.acquired_at == "20240301101112"
    assert (facts.patient_id, facts.study_date) == ("CANARY-7", "20240229")
    assert (facts.view_position, facts.body_part_examined) == ("PA", "CHEST")
    assert (facts.rows, facts.columns, facts.modality) == (61, 47, "CR")
    assert len(facts.sha256) == 64
    assert pickle.loads(pickle.dumps(facts)) == facts


def test_a_logged_record_of_facts_names_no_patient(
    write_dicom: WriteDicom, chest: NDArray[np.uint16]
) -> None:
    text = repr(read_image(write_dicom(chest)).facts)
    assert "CANARY" not in text
    assert "20240229" not in text
    assert "1.2.826" not in text


def test_the_patient_id_is_read_from_the_header_alone(
    write_dicom: WriteDicom, chest: NDArray[np.uint16], tmp_path: Path
) -> None:
    path = write_dicom(chest, syntax=uid.JPEG2000Lossless)
    path.write_bytes(path.read_bytes()[:-400])
    assert read_patient_id(path) == "CANARY-7"
    deflated = write_dicom(chest, syntax=uid.DeflatedExplicitVRLittleEndian)
    deflated.write_bytes(deflated.read_bytes()[:-400])
    assert read_patient_id(deflated) == "CANARY-7"
    assert read_patient_id(write_dicom(chest, PatientID=None)) is None
    np.savez(tmp_path / "a.npz", chest)
    assert read_patient_id(tmp_path / "a.npz") is None


def test_a_contradiction_of_polarity_is_noted(
    write_dicom: WriteDicom, chest: NDArray[np.uint16]
) -> None:
    path = write_dicom(
        chest, PhotometricInterpretation="MONOCHROME1", PresentationLUTShape="IDENTITY"
    )
    assert any("contradict" in note for note in read_image(path).facts.notes)
    assert pydicom.dcmread(path).PhotometricInterpretation == "MONOCHROME1"
