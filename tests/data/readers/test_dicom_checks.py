from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import uid

from csi_predictor.data.readers import read_image
from csi_predictor.errors import ImageError

WriteDicom = Callable[..., Path]

FOR_PROCESSING = "1.2.840.10008.5.1.4.1.1.1.1.1"
FOR_PRESENTATION = "1.2.840.10008.5.1.4.1.1.1.1"
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"


def _refusal(path: Path, **rules: Any) -> ImageError:
    with pytest.raises(ImageError) as caught:
        read_image(path, **rules)
    return caught.value


@pytest.mark.parametrize(
    ("attributes", "reason", "text"),
    [
        ({"SOPClassUID": FOR_PROCESSING}, "FOR_PROCESSING", "raw detector values"),
        (
            {"SOPClassUID": FOR_PRESENTATION, "PresentationIntentType": "FOR PROCESSING"},
            "FOR_PROCESSING",
            "raw detector values",
        ),
        ({"SOPClassUID": SECONDARY_CAPTURE}, "UNSUPPORTED_SOP_CLASS", "Secondary Capture"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.2"}, "UNSUPPORTED_SOP_CLASS", "CT Image Storage"),
        ({"SOPClassUID": "1.2.3.4"}, "UNSUPPORTED_SOP_CLASS", "unknown or absent"),
        ({"NumberOfFrames": 2}, "MULTI_FRAME", "Number of Frames = 2: expected 1"),
        ({"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"}, "COLOUR", "= RGB with 3"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "COLOUR", "= PALETTE COLOR with 1"),
        ({"SamplesPerPixel": 3}, "BAD_HEADER", "MONOCHROME2 with 3 samples"),
        ({"SamplesPerPixel": None}, "BAD_HEADER", r"(0028,0002) Samples per Pixel is absent"),
        ({"PhotometricInterpretation": None}, "BAD_HEADER", "Photometric Interpretation is absent"),
        ({"Rows": None}, "BAD_HEADER", "(0028,0010) Rows is absent or damaged"),
        ({"Rows": [61, 61]}, "BAD_HEADER", "(0028,0010) Rows is absent or damaged"),
        ({"Columns": 0}, "BAD_HEADER", "size 61 x 0"),
        ({"BitsStored": 17, "HighBit": 16}, "BAD_HEADER", "Bits Stored = 17: expected 1 to 16"),
        ({"BitsAllocated": 32}, "BAD_HEADER", "Bits Allocated = 32: expected 8 or 16"),
        ({"HighBit": 15}, "BAD_HEADER", "High Bit = 15: expected 11"),
        ({"PixelRepresentation": 2}, "BAD_HEADER", "Pixel Representation = 2: expected 0 or 1"),
        ({"Rows": 65535, "Columns": 65535}, "TOO_LARGE", "size 65535 x 65535: expected at most"),
        ({"Rows": 62}, "TRUNCATED", "5734 bytes of pixels: expected 5828"),
        ({"Rows": 20}, "BAD_HEADER", "5734 bytes of pixels: expected 1880"),
        ({"RescaleSlope": 0}, "BAD_HEADER", "Rescale Slope = 0"),
        ({"VOILUTFunction": "MAGIC"}, "BAD_HEADER", "VOI LUT Function is unknown"),
    ],
)
def test_an_unfit_header_is_refused_by_its_reason(
    write_dicom: WriteDicom,
    chest: NDArray[np.uint16],
    attributes: dict[str, Any],
    reason: str,
    text: str,
) -> None:
    error = _refusal(write_dicom(chest, **attributes))
    assert error.reason == reason
    assert text in error.detail
    assert "CANARY" not in str(error)


def test_secondary_capture_is_read_when_it_is_allowed(
    write_dicom: WriteDicom, chest: NDArray[np.uint16]
) -> None:
    path = write_dicom(chest, SOPClassUID=SECONDARY_CAPTURE)
    assert read_image(path, allow_secondary_capture=True).pixels.shape == chest.shape


def test_zero_frames_are_one_frame(write_dicom: WriteDicom, chest: NDArray[np.uint16]) -> None:
    pixels = read_image(write_dicom(chest, NumberOfFrames=0)).pixels
    np.testing.assert_array_equal(pixels, chest)


def test_a_file_without_pixels_is_named(write_dicom: WriteDicom) -> None:
    empty = np.zeros((0, 0), np.uint16)
    assert _refusal(write_dicom(empty, Rows=4, Columns=4)).reason == "NO_PIXELS"


def test_an_unknown_transfer_syntax_is_refused(
    write_dicom: WriteDicom, chest: NDArray[np.uint16]
) -> None:
    error = _refusal(write_dicom(chest, syntax="1.2.840.10008.1.2.4.100", frame=b"\x00\x00"))
    assert error.reason == "UNSUPPORTED_TS"
    assert "JPEG-LS Lossless" in error.detail


def test_the_pixel_cap_comes_from_the_caller(
    write_dicom: WriteDicom, chest: NDArray[np.uint16]
) -> None:
    error = _refusal(write_dicom(chest), max_megapixels=0.002)
    assert error.reason == "TOO_LARGE"
    assert "at most 0.002 megapixels" in error.detail


@pytest.mark.parametrize(
    "syntax", [uid.JPEGLosslessSV1, uid.JPEGLSLossless, uid.HTJ2KLossless, uid.JPEG2000]
)
def test_a_codestream_of_another_size_than_the_header_is_refused(
    write_dicom: WriteDicom, chest: NDArray[np.uint16], syntax: uid.UID
) -> None:
    frame = {
        uid.JPEGLosslessSV1: lambda: imagecodecs.jpeg8_encode(
            chest, lossless=True, bitspersample=12
        ),
        uid.JPEGLSLossless: lambda: imagecodecs.jpegls_encode(chest),
        uid.HTJ2KLossless: lambda: imagecodecs.htj2k_encode(chest, reversible=True),
        uid.JPEG2000: lambda: imagecodecs.jpeg2k_encode(chest, codecformat="j2k"),
    }[syntax]()
    error = _refusal(write_dicom(chest, syntax=syntax, frame=bytes(frame), Rows=4000))
    assert error.reason == "BAD_HEADER"
    assert "a codestream of 61 x 47 at" in error.detail


def test_a_coloured_codestream_in_a_grey_header_is_refused(
    write_dicom: WriteDicom, chest: NDArray[np.uint16]
) -> None:
    frame = imagecodecs.jpeg8_encode(np.zeros((61, 47, 3), np.uint8))
    error = _refusal(
        write_dicom((chest >> 4).astype(np.uint8), syntax=uid.JPEGBaseline8Bit, frame=bytes(frame))
    )
    assert error.reason == "COLOUR"
    assert "3 components" in error.detail
