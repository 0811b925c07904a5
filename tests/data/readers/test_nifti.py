import struct
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK
from numpy.typing import NDArray

from csi_predictor.data.readers import read_image
from csi_predictor.errors import ImageError

PICTURE = np.arange(35, dtype=np.float32).reshape(5, 7)


def _written(path: Path, pixels: NDArray[Any], direction: Any = None) -> Path:
    image = SimpleITK.GetImageFromArray(pixels)
    image.SetSpacing([0.5, 0.25, 2.0][: pixels.ndim])
    if direction is not None:
        image.SetDirection(np.asarray(direction, float).ravel().tolist())
    SimpleITK.WriteImage(image, str(path))
    return path


def _edited(path: Path, offset: int, types: str, *values: Any) -> Path:
    content = bytearray(path.read_bytes())
    struct.pack_into("<" + types, content, offset, *values)
    path.write_bytes(content)
    return path


def _refusal(path: Path, **rules: Any) -> ImageError:
    with pytest.raises(ImageError) as caught:
        read_image(path, **rules)
    return caught.value


@pytest.mark.parametrize("name", ["x.nii", "x.nii.gz"])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32, np.float32, np.float64])
def test_a_picture_written_by_simpleitk_comes_back(
    tmp_path: Path, name: str, dtype: type[np.generic]
) -> None:
    image = read_image(_written(tmp_path / name, PICTURE.astype(dtype)))
    np.testing.assert_array_equal(image.pixels, PICTURE)
    assert image.spacing_mm == (0.25, 0.5)
    assert image.has_integer_pixels is np.issubdtype(dtype, np.integer)


def test_a_single_slice_is_a_picture(tmp_path: Path) -> None:
    image = read_image(_written(tmp_path / "x.nii.gz", PICTURE[None]))
    np.testing.assert_array_equal(image.pixels, PICTURE)


def test_columns_towards_the_patients_right_are_reversed(tmp_path: Path) -> None:
    path = _written(tmp_path / "x.nii", PICTURE, [[-1, 0], [0, 1]])
    np.testing.assert_array_equal(read_image(path).pixels, PICTURE[:, ::-1])


def test_rows_towards_the_front_are_reversed_as_dcm2niix_stores_them(tmp_path: Path) -> None:
    # dcm2niix: x to the patient's left as in the DICOM file, rows from the bottom up.
    path = _written(tmp_path / "x.nii", PICTURE[::-1], [[1, 0], [0, -1]])
    np.testing.assert_array_equal(read_image(path).pixels, PICTURE)


@pytest.mark.parametrize("axes", ["LPS", "RAS", "RPS", "LAS", "PLS", "ARS"])
def test_a_single_slice_comes_back_whichever_way_simpleitk_turns_it(
    tmp_path: Path, axes: str
) -> None:
    turned = SimpleITK.DICOMOrient(SimpleITK.GetImageFromArray(PICTURE[None]), axes)
    SimpleITK.WriteImage(turned, str(tmp_path / "x.nii"))
    image = read_image(tmp_path / "x.nii")
    np.testing.assert_array_equal(image.pixels, PICTURE)
    assert image.facts.notes == (() if axes == "LPS" else ("turned by its affine",))


def test_a_picture_taken_as_stored_has_no_note(tmp_path: Path) -> None:
    path = _written(tmp_path / "x.nii", PICTURE, [[-1, 0], [0, -1]])
    assert read_image(path).facts.notes == ("turned by its affine",)
    assert read_image(_edited(path, 252, "2h", 0, 0)).facts.notes == ()
    assert read_image(_written(tmp_path / "y.nii", PICTURE)).facts.notes == ()


def test_rows_upwards_are_reversed_in_a_coronal_picture(tmp_path: Path) -> None:
    # (x, 1, z): columns to the left, rows towards the head.
    path = _written(tmp_path / "x.nii", PICTURE[:, None, :])
    image = read_image(path)
    np.testing.assert_array_equal(image.pixels, PICTURE[::-1])
    assert image.spacing_mm == (2.0, 0.5)


def test_a_picture_stored_on_its_side_is_turned(tmp_path: Path) -> None:
    # The first file axis runs towards the back, the second towards the patient's left.
    path = _written(tmp_path / "x.nii", PICTURE, [[0, 1], [1, 0]])
    image = read_image(path)
    np.testing.assert_array_equal(image.pixels, PICTURE.T)
    assert image.spacing_mm == (0.5, 0.25)


def test_a_picture_without_orientation_codes_stays_as_stored(tmp_path: Path) -> None:
    path = _written(tmp_path / "x.nii", PICTURE, [[-1, 0], [0, -1]])
    _edited(path, 252, "2h", 0, 0)
    np.testing.assert_array_equal(read_image(path).pixels, PICTURE)


@pytest.mark.parametrize("code", ["qform", "sform"])
def test_a_volume_is_turned_to_lps_as_simpleitk_turns_it(tmp_path: Path, code: str) -> None:
    volume = np.arange(3 * 4 * 5, dtype=np.int16).reshape(3, 4, 5)
    for number, order in enumerate(permutations(range(3))):
        direction = np.eye(3)[list(order)]
        direction[:, number % 3] *= -1
        path = _written(tmp_path / "x.nii", volume, direction)
        _edited(path, 252, "2h", int(code == "qform"), int(code == "sform"))
        image = read_image(path)
        expected = SimpleITK.DICOMOrient(SimpleITK.ReadImage(str(path)), "LPS")
        np.testing.assert_array_equal(image.pixels, SimpleITK.GetArrayFromImage(expected))
        assert image.spacing_mm == pytest.approx(expected.GetSpacing()[::-1])


def test_an_oblique_volume_is_turned_to_the_nearest_axes_and_noted(tmp_path: Path) -> None:
    volume = np.arange(3 * 4 * 5, dtype=np.int16).reshape(3, 4, 5)
    rotation = SimpleITK.Euler3DTransform((0, 0, 0), 0, 0, 0.25).GetMatrix()
    image = read_image(_written(tmp_path / "x.nii", volume, rotation))
    np.testing.assert_array_equal(image.pixels, volume)
    degrees = np.rad2deg(0.25)
    assert image.facts.notes == (f"oblique by {degrees:.1f} degrees: turned to the nearest axes",)


def test_the_scale_of_the_header_is_handed_on(tmp_path: Path) -> None:
    path = _edited(_written(tmp_path / "x.nii", PICTURE.astype(np.int16)), 112, "2f", 2.5, -7.0)
    image = read_image(path)
    scaled = image.pixels * image.display.rescale_slope + image.display.rescale_intercept
    by_itk = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path)))
    np.testing.assert_allclose(scaled, by_itk)


def test_nan_is_padding(tmp_path: Path) -> None:
    holes = PICTURE.copy()
    holes[0, 1] = np.nan
    holes[4, 6] = np.inf
    image = read_image(_written(tmp_path / "x.nii.gz", holes))
    np.testing.assert_array_equal(image.padding, ~np.isfinite(holes))
    assert np.isfinite(image.pixels).all()


def test_the_content_decides_and_not_the_name(tmp_path: Path) -> None:
    path = _written(tmp_path / "x.nii.gz", PICTURE)
    renamed = path.rename(tmp_path / "scan.dcm")
    assert read_image(renamed).facts.format == "nifti"


@pytest.mark.parametrize("name", ["x.nii", "x.nii.gz"])
def test_a_truncated_file_is_refused_and_never_filled(
    tmp_path: Path, name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    path = _written(tmp_path / name, PICTURE)
    path.write_bytes(path.read_bytes()[:-20])
    assert _refusal(path).reason == "TRUNCATED"
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("offset", "types", "values", "reason", "text"),
    [
        (40, "5h", (4, 7, 5, 1, 2), "MULTI_FRAME", "4 axes"),
        (40, "3h", (2, 3000, 4000), "TRUNCATED", "35 values: expected 12000000"),
        (40, "3h", (2, 30000, 4000), "TOO_LARGE", "at most 100 megapixels"),
        (40, "3h", (2, -7, 5), "BAD_HEADER", "size -7 x 5"),
        (40, "3h", (2, 35, 1), "BAD_HEADER", "expected rows and columns"),
        (40, "h", (9,), "BAD_HEADER", "dim[0] = 9"),
        (70, "h", (128,), "COLOUR", "datatype = 128"),
        (70, "h", (32,), "BAD_HEADER", "datatype = 32"),
        (108, "f", (1e9,), "BAD_HEADER", "vox_offset = 1e+09"),
        (0, "i", (540,), "BAD_HEADER", "sizeof_hdr isn't 348"),
    ],
)
def test_an_unfit_header_is_refused_by_its_reason(
    tmp_path: Path, offset: int, types: str, values: tuple[Any, ...], reason: str, text: str
) -> None:
    error = _refusal(_edited(_written(tmp_path / "x.nii", PICTURE), offset, types, *values))
    assert error.reason == reason
    assert text in error.detail


def test_a_gzip_bomb_is_refused(tmp_path: Path) -> None:
    path = _written(tmp_path / "x.nii.gz", np.zeros((6000, 5000), np.uint32))
    error = _refusal(path, max_megapixels=0.1)
    assert error.reason == "TOO_LARGE"
    assert "inflates to more than" in error.detail


def test_a_damaged_gzip_stream_is_refused(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    path = _written(tmp_path / "x.nii.gz", rng.normal(size=(90, 80)))
    content = bytearray(path.read_bytes())
    content[9000:9100] = bytes(100)
    path.write_bytes(content)
    assert _refusal(path).reason in ("DECODE_FAILED", "TRUNCATED")
