"""CT files as readers of NIfTI see them: sides, spacing, the note that names a case."""

import gzip
from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from csi_predictor.data.readers import read_image
from csi_predictor.synthesis.ct_files import ORIENTATIONS, read_note, write_ct

SPACING_MM = (5.0, 2.5, 2.0)


@pytest.fixture(scope="module")
def hu() -> np.ndarray:
    """Different in each voxel; axes run down, to the back, to the patient's left."""
    return np.arange(5 * 7 * 9, dtype=np.int16).reshape(5, 7, 9) - 150


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_each_orientation_reads_as_the_same_patient(
    tmp_path: Path, hu: np.ndarray, orientation: str
) -> None:
    path = tmp_path / "ct.nii.gz"
    write_ct(path, hu, SPACING_MM, orientation=orientation, note="phantom 3 abc")
    image = read_image(path)
    # An Image runs towards the head, the back and the patient's left.
    np.testing.assert_array_equal(image.pixels, hu[::-1])
    assert image.spacing_mm == pytest.approx(SPACING_MM)
    assert image.has_integer_pixels


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_simpleitk_reads_the_same_patient_and_the_stated_orientation(
    tmp_path: Path, hu: np.ndarray, orientation: str
) -> None:
    path = tmp_path / "ct.nii.gz"
    write_ct(path, hu, SPACING_MM, orientation=orientation, note="")
    volume = SimpleITK.ReadImage(path)
    # ITK names the ends that the axes come from up to version 5, DICOMOrient's are where they go.
    turned = SimpleITK.DICOMOrient(volume, "LPS")
    np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(turned), hu[::-1])
    assert turned.GetSpacing() == pytest.approx(SPACING_MM[::-1])
    found = SimpleITK.DICOMOrientImageFilter.GetOrientationFromDirectionCosines(
        volume.GetDirection()
    )
    assert found == orientation
    middle = volume.TransformContinuousIndexToPhysicalPoint(
        [(size - 1) / 2 for size in volume.GetSize()]
    )
    assert middle == pytest.approx((0.0, 0.0, 0.0), abs=1e-4)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_qform_and_sform_say_the_same(tmp_path: Path, hu: np.ndarray, orientation: str) -> None:
    path = tmp_path / "ct.nii.gz"
    write_ct(path, hu, SPACING_MM, orientation=orientation, note="")
    content = bytearray(gzip.decompress(path.read_bytes()))
    pixels = []
    for code in (252, 254):  # qform_code and sform_code: one at a time is left
        single = bytearray(content)
        single[code : code + 2] = b"\0\0"
        other = tmp_path / f"{code}.nii"
        other.write_bytes(single)
        pixels.append(read_image(other).pixels)
    np.testing.assert_array_equal(pixels[0], pixels[1])


def test_the_same_volume_is_the_same_file(tmp_path: Path, hu: np.ndarray) -> None:
    for name in ("one.nii.gz", "two.nii.gz"):
        write_ct(tmp_path / name, hu, SPACING_MM, orientation="LPS", note="a")
    assert (tmp_path / "one.nii.gz").read_bytes() == (tmp_path / "two.nii.gz").read_bytes()


def test_the_note_is_read_back_and_of_no_other_file(tmp_path: Path, hu: np.ndarray) -> None:
    path = tmp_path / "ct.nii.gz"
    assert read_note(path) is None
    write_ct(path, hu, SPACING_MM, orientation="RAS", note="phantom 3 abc")
    assert read_note(path) == "phantom 3 abc"
    path.write_bytes(path.read_bytes()[:40])
    assert read_note(path) is None
    path.write_bytes(b"no gzip at all")
    assert read_note(path) is None
