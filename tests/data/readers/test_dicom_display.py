from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import Dataset, uid

from csi_predictor.data.readers import read_image
from csi_predictor.errors import ImageError

WriteDicom = Callable[..., Path]


def _lut(descriptor: list[int], data: bytes | list[int], vr: str = "OW") -> Dataset:
    item = Dataset()
    item.add_new(0x00283002, "US", descriptor)
    item.add_new(0x00283006, vr, data)
    return item


@pytest.mark.parametrize(
    ("photometric", "shape", "is_inverted"),
    [
        ("MONOCHROME1", None, True),
        ("MONOCHROME1", "INVERSE", True),
        ("MONOCHROME1", "IDENTITY", True),
        ("MONOCHROME2", None, False),
        ("MONOCHROME2", "IDENTITY", False),
        ("MONOCHROME2", "INVERSE", True),
    ],
)
def test_polarity_is_one_inversion_however_it_is_said(
    write_dicom: WriteDicom,
    chest: NDArray[np.uint16],
    photometric: str,
    shape: str | None,
    is_inverted: bool,
) -> None:
    attributes: dict[str, Any] = {} if shape is None else {"PresentationLUTShape": shape}
    path = write_dicom(chest, PhotometricInterpretation=photometric, **attributes)
    assert read_image(path).display.is_inverted is is_inverted


def test_windows_pair_centres_with_widths_and_drop_a_surplus(
    write_dicom: WriteDicom, chest: NDArray[np.uint16]
) -> None:
    path = write_dicom(chest, WindowCenter=[10, 20, 30], WindowWidth=[5, 6])
    display = read_image(path).display
    assert [(w.center, w.width) for w in display.windows] == [(10.0, 5.0), (20.0, 6.0)]
    assert read_image(write_dicom(chest, WindowCenter=10)).display.windows == ()


@pytest.mark.parametrize(
    "syntax", [uid.ExplicitVRLittleEndian, uid.ExplicitVRBigEndian, uid.ImplicitVRLittleEndian]
)
def test_a_modality_lut_takes_the_place_of_the_rescale(
    write_dicom: WriteDicom, chest: NDArray[np.uint16], syntax: uid.UID
) -> None:
    entries = np.arange(4096, dtype=np.uint16)[::-1]
    order = "<u2" if syntax.is_little_endian else ">u2"
    path = write_dicom(
        chest,
        syntax=syntax,
        ModalityLUTSequence=[_lut([4096, 0, 12], entries.astype(order).tobytes())],
        RescaleSlope=3,
    )
    display = read_image(path).display
    assert display.modality_lut is not None
    np.testing.assert_array_equal(display.modality_lut.entries, entries)
    assert display.rescale_slope == 1.0


def test_a_lut_of_0_entries_has_65536(write_dicom: WriteDicom, chest: NDArray[np.uint16]) -> None:
    data = np.arange(65536, dtype="<u2").tobytes()
    path = write_dicom(chest, VOILUTSequence=[_lut([0, 0, 16], data)])
    assert read_image(path).display.voi_luts[0].entries.size == 65536


def test_a_lut_of_bytes_packed_two_a_word_is_unpacked(
    write_dicom: WriteDicom, chest: NDArray[np.uint16]
) -> None:
    path = write_dicom(chest, VOILUTSequence=[_lut([256, 0, 8], bytes(range(256)))])
    np.testing.assert_array_equal(read_image(path).display.voi_luts[0].entries, np.arange(256))


def test_a_voi_lut_without_its_entries_is_dropped(
    write_dicom: WriteDicom, chest: NDArray[np.uint16]
) -> None:
    path = write_dicom(chest, VOILUTSequence=[_lut([4096, 0, 12], b"\x00\x00")])
    assert read_image(path).display.voi_luts == ()


def test_a_modality_lut_without_its_entries_is_refused(
    write_dicom: WriteDicom, chest: NDArray[np.uint16]
) -> None:
    path = write_dicom(chest, ModalityLUTSequence=[_lut([4096, 0, 12], b"\x00\x00")])
    with pytest.raises(ImageError, match="Modality LUT Sequence is damaged") as caught:
        read_image(path)
    assert caught.value.reason == "BAD_HEADER"


def test_two_rescale_slopes_are_refused(write_dicom: WriteDicom, chest: NDArray[np.uint16]) -> None:
    with pytest.raises(ImageError, match="RescaleSlope has no single number"):
        read_image(write_dicom(chest, RescaleSlope=[1, 2]))
