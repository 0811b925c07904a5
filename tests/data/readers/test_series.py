import hashlib
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import SimpleITK
from numpy.typing import NDArray
from pydicom import Dataset, Sequence, uid
from pydicom.encaps import encapsulate

from csi_predictor.data.readers.series import read_series
from csi_predictor.errors import ImageError, ReasonCode

HU = NDArray[np.int16]
WriteSeries = Callable[..., Path]


def refusal(folder: Path, **rules: Any) -> ImageError:
    with pytest.raises(ImageError) as caught:
        read_series(folder, **rules)
    assert "Canary" not in str(caught.value)
    assert "CANARY" not in str(caught.value)
    return caught.value


def test_slices_are_sorted_by_position_and_not_by_name_or_number(
    write_series: WriteSeries, hounsfield: HU
) -> None:
    image = read_series(write_series(hounsfield))
    np.testing.assert_array_equal(image.pixels, hounsfield)
    assert image.pixels.dtype == np.float32
    assert image.spacing_mm == pytest.approx((2.0, 0.8, 0.7))
    assert image.has_integer_pixels
    assert image.padding is None
    assert image.facts.notes == ()
    assert (image.facts.format, image.facts.rows, image.facts.columns) == ("dicom", 13, 11)
    assert image.facts.modality == "CT"


@pytest.mark.parametrize("seed", [1, 2])
def test_any_order_of_files_gives_the_same_volume_and_hash(
    write_series: WriteSeries, hounsfield: HU, seed: int
) -> None:
    first = read_series(write_series(hounsfield))
    folder = write_series(hounsfield, folder="shuffled", seed=seed)
    second = read_series(sorted(folder.iterdir(), reverse=True))
    np.testing.assert_array_equal(first.pixels, second.pixels)

    same = [
        read_series(write_series(hounsfield, folder=name, seed=each, edit=_unnumbered))
        for name, each in (("a", 3), ("b", 4))
    ]
    assert same[0].facts.sha256 == same[1].facts.sha256


def _unnumbered(dataset: Dataset, index: int) -> None:
    dataset.InstanceNumber = None
    dataset.SOPInstanceUID = f"1.2.3.{index + 1}"
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID


AXES = ["LPS", "RAS", "RPI", "LAI", "PIR", "ASL", "SLP", "IPR", "LSA", "PSL"]


@pytest.mark.parametrize("axes", AXES)
def test_every_orientation_becomes_the_volume_that_simpleitk_makes_of_it(
    write_series: WriteSeries, hounsfield: HU, axes: str
) -> None:
    image = SimpleITK.GetImageFromArray(hounsfield)
    image.SetSpacing((0.7, 0.8, 2.0))
    folder = write_series(SimpleITK.DICOMOrient(image, axes))
    read = read_series(folder)
    np.testing.assert_array_equal(read.pixels, hounsfield)
    assert read.spacing_mm == pytest.approx((2.0, 0.8, 0.7))
    assert read.facts.notes == ()


def test_an_oblique_volume_is_turned_to_the_nearest_axes_as_simpleitk_does_and_noted(
    write_series: WriteSeries, hounsfield: HU
) -> None:
    rotation = SimpleITK.Euler3DTransform((0, 0, 0), 0.2, 0.05, -0.1)
    image = SimpleITK.GetImageFromArray(hounsfield)
    image.SetDirection(rotation.GetMatrix())
    turned = SimpleITK.DICOMOrient(image, "PIR")
    read = read_series(write_series(turned))
    expected = SimpleITK.DICOMOrient(turned, "LPS")
    np.testing.assert_array_equal(read.pixels, SimpleITK.GetArrayFromImage(expected))
    directions = np.abs(np.array(image.GetDirection()).reshape(3, 3).diagonal())
    degrees = np.rad2deg(np.arccos(directions.min()))
    assert read.facts.notes == (f"oblique by {degrees:.1f} degrees: turned to the nearest axes",)


def test_each_slice_has_its_own_rescale(write_series: WriteSeries, hounsfield: HU) -> None:
    def rescaled(dataset: Dataset, index: int) -> None:
        dataset.RescaleSlope, dataset.RescaleIntercept = 1 + index % 2, -10 * index

    image = read_series(write_series(hounsfield, edit=rescaled))
    slope = 1 + np.arange(9) % 2
    expected = hounsfield * slope[:, None, None] - 10 * np.arange(9)[:, None, None]
    np.testing.assert_array_equal(image.pixels, expected)


def test_padding_has_the_lowest_hounsfield_unit_of_the_picture(
    write_series: WriteSeries, hounsfield: HU
) -> None:
    stored = hounsfield.copy()
    stored[2:4, :3] = -2000

    def padded(dataset: Dataset, index: int) -> None:
        dataset.add_new("PixelPaddingValue", "SS", -2000)

    image = read_series(write_series(stored, edit=padded))
    np.testing.assert_array_equal(image.padding, stored == -2000)
    assert (image.pixels[2:4, :3] == hounsfield[stored != -2000].min()).all()
    np.testing.assert_array_equal(image.pixels[stored != -2000], stored[stored != -2000])


@pytest.mark.parametrize("syntax", [uid.JPEG2000Lossless, uid.RLELossless])
def test_compressed_slices_are_decoded(
    write_series: WriteSeries, hounsfield: HU, syntax: str
) -> None:
    large = np.tile(hounsfield, (1, 3, 4))  # OpenJPEG's usual six resolutions need 32 pixels
    image = read_series(write_series(large, syntax=syntax))
    np.testing.assert_array_equal(image.pixels, large)


def test_other_files_in_the_folder_are_passed_over(
    write_series: WriteSeries, hounsfield: HU
) -> None:
    folder = write_series(hounsfield)
    (folder / "readme.txt").write_text("not a slice, but a longer text than a DICOM preamble" * 9)
    (folder / ".hidden.dcm").write_bytes(b"\x08\x00")
    deeper = folder / "more"
    deeper.mkdir()
    for path in list(folder.glob("*000[0-4].dcm")):
        path.rename(deeper / path.name)
    np.testing.assert_array_equal(read_series(folder).pixels, hounsfield)


def test_emptied_uids_dont_hinder(write_series: WriteSeries, hounsfield: HU) -> None:
    def emptied(dataset: Dataset, index: int) -> None:
        dataset.SOPClassUID = dataset.SOPInstanceUID = dataset.SeriesInstanceUID = ""

    folder = write_series(hounsfield)
    for path in folder.iterdir():
        dataset = pydicom.dcmread(path)
        emptied(dataset, 0)
        dataset.save_as(path, enforce_file_format=False)
    np.testing.assert_array_equal(read_series(folder).pixels, hounsfield)


def test_duplicates_with_equal_pixels_are_left_out_and_noted(
    write_series: WriteSeries, hounsfield: HU
) -> None:
    folder = write_series(hounsfield)
    for name in ("0003", "0005"):
        path = folder / f"70_{name}.dcm"
        (folder / f"copy{name}").write_bytes(path.read_bytes())
    image = read_series(folder)
    np.testing.assert_array_equal(image.pixels, hounsfield)
    assert image.facts.notes == ("2 duplicate slices left out",)


def test_two_phases_in_one_series_are_refused_by_name(
    write_series: WriteSeries, hounsfield: HU
) -> None:
    folder = write_series(hounsfield)
    path = folder / "70_0003.dcm"
    dataset = pydicom.dcmread(path)
    dataset.PixelData = bytes(len(dataset.PixelData))
    dataset.save_as(folder / "other.dcm")
    error = refusal(folder)
    assert error.reason == "BAD_HEADER"
    assert "70_0003.dcm and other.dcm lie at the same place" in error.detail
    assert "with different pixels: expected one slice a place" in error.detail


def test_a_missing_slice_is_refused_with_its_place(
    write_series: WriteSeries, hounsfield: HU
) -> None:
    error = refusal(write_series(hounsfield, edit=lambda _, index: index != 4), min_slices=3)
    assert error.reason == "TRUNCATED"
    assert error.detail.startswith("a gap of 4.00 mm from 106.0 to 110.0 mm along the slice normal")
    assert "expected 2.00 mm between slices: send the missing ones" in error.detail


@pytest.mark.parametrize(
    ("keyword", "value", "reason", "text"),
    [
        ("RescaleSlope", None, "BAD_HEADER", r"\(0028,1053\) RescaleSlope is absent or damaged"),
        ("RescaleIntercept", None, "BAD_HEADER", r"RescaleIntercept is absent .* Hounsfield"),
        ("RescaleSlope", 0, "BAD_HEADER", r"Rescale Slope = 0: expected a finite number"),
        ("PhotometricInterpretation", "RGB", "COLOUR", "RGB with 1 samples"),
        ("PixelData", b"\x00" * 8, "TRUNCATED", "8 bytes of pixels: expected 286"),
        ("PixelData", None, "NO_PIXELS", "Pixel Data is absent"),
        ("BitsAllocated", 32, "BAD_HEADER", "Bits Allocated = 32: expected 8 or 16"),
        ("NumberOfFrames", 3, "MULTI_FRAME", "Number of Frames = 3 without"),
    ],
)
def test_a_damaged_slice_is_refused_with_its_file(
    write_series: WriteSeries,
    hounsfield: HU,
    keyword: str,
    value: Any,
    reason: ReasonCode,
    text: str,
) -> None:
    def damaged(dataset: Dataset, index: int) -> None:
        if index == 6 and value is None:
            delattr(dataset, keyword)
        elif index == 6:
            setattr(dataset, keyword, value)

    with pytest.raises(ImageError, match=text) as caught:
        read_series(write_series(hounsfield, edit=damaged))
    assert caught.value.reason == reason
    assert caught.value.path.suffix == ".dcm"


def test_a_cut_file_is_refused_and_never_filled(write_series: WriteSeries, hounsfield: HU) -> None:
    folder = write_series(hounsfield)
    path = folder / "70_0004.dcm"
    path.write_bytes(path.read_bytes()[:-30])
    error = refusal(folder)
    assert (error.reason, error.path) == ("TRUNCATED", path)


def test_a_volume_above_the_limit_is_refused_before_it_is_decoded(
    write_series: WriteSeries, hounsfield: HU
) -> None:
    error = refusal(write_series(hounsfield), max_megapixels=0.001)
    assert error.reason == "TOO_LARGE"
    assert "size 9 x 13 x 11: expected at most 0.001 megapixels" in error.detail


def test_an_absent_folder_is_unreadable(tmp_path: Path) -> None:
    assert refusal(tmp_path / "absent").reason == "UNREADABLE"


def test_damaged_values_of_the_patient_stay_out_of_logs_and_errors(
    write_series: WriteSeries, hounsfield: HU, caplog: pytest.LogCaptureFixture
) -> None:
    folder = write_series(hounsfield)
    for path in folder.iterdir():
        content = path.read_bytes().replace(b"Canary^Yellow", b"Can\xffry^Yellow")
        path.write_bytes(content)
    with caplog.at_level(logging.DEBUG):
        read_series(folder)
    assert "Yellow" not in caplog.text


def enhanced(hounsfield: HU, path: Path, *, is_encapsulated: bool = False) -> Path:
    """An Enhanced CT of nine frames, in an order that isn't that of their places."""
    order = np.random.default_rng(1).permutation(len(hounsfield))
    dataset = Dataset()
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = uid.EnhancedCTImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = "1.2.3"
    dataset.SeriesInstanceUID = "1.2.3.4"
    dataset.Modality = "CT"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.SamplesPerPixel = 1
    dataset.NumberOfFrames, dataset.Rows, dataset.Columns = hounsfield.shape
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit = 15
    dataset.PixelRepresentation = 1
    shared = Dataset()
    shared.PlaneOrientationSequence = Sequence([Dataset()])
    shared.PlaneOrientationSequence[0].ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    shared.PixelMeasuresSequence = Sequence([Dataset()])
    shared.PixelMeasuresSequence[0].PixelSpacing = [0.8, 0.7]
    shared.PixelMeasuresSequence[0].SliceThickness = 2
    dataset.SharedFunctionalGroupsSequence = Sequence([shared])
    frames = []
    for place in order:
        frame = Dataset()
        frame.PlanePositionSequence = Sequence([Dataset()])
        frame.PlanePositionSequence[0].ImagePositionPatient = [0, 0, 2.0 * float(place)]
        frame.PixelValueTransformationSequence = Sequence([Dataset()])
        frame.PixelValueTransformationSequence[0].RescaleSlope = 1
        frame.PixelValueTransformationSequence[0].RescaleIntercept = -int(place)
        frames.append(frame)
    dataset.PerFrameFunctionalGroupsSequence = Sequence(frames)
    planes = hounsfield[order]
    dataset.PixelData = planes.astype("<i2").tobytes()
    dataset["PixelData"].VR = "OW"
    dataset.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    if is_encapsulated:
        dataset.compress(uid.RLELossless, encoding_plugin="pylibjpeg", generate_instance_uid=False)
    pydicom.dcmwrite(path, dataset, enforce_file_format=True)
    return path


@pytest.mark.parametrize("is_encapsulated", [False, True])
def test_an_enhanced_file_is_a_series_of_its_frames(
    tmp_path: Path, hounsfield: HU, is_encapsulated: bool
) -> None:
    image = read_series(enhanced(hounsfield, tmp_path / "x", is_encapsulated=is_encapsulated))
    np.testing.assert_array_equal(image.pixels, hounsfield - np.arange(9)[:, None, None])
    assert image.spacing_mm == pytest.approx((2.0, 0.8, 0.7))
    assert image.facts.sop_class_uid == uid.EnhancedCTImageStorage


def test_an_enhanced_file_with_fewer_places_than_frames_is_refused(
    tmp_path: Path, hounsfield: HU
) -> None:
    path = enhanced(hounsfield, tmp_path / "x")
    dataset = pydicom.dcmread(path)
    del dataset.PerFrameFunctionalGroupsSequence[3]
    dataset.save_as(path)
    error = refusal(path)
    assert error.reason == "BAD_HEADER"
    assert "Number of Frames = 9: expected 8, the items of (5200,9230)" in error.detail


def test_an_enhanced_file_with_a_frame_missing_from_its_pixels_is_refused(
    tmp_path: Path, hounsfield: HU
) -> None:
    path = enhanced(hounsfield, tmp_path / "x", is_encapsulated=True)
    dataset = pydicom.dcmread(path)
    pieces = list(pydicom.encaps.generate_frames(dataset.PixelData, number_of_frames=9))
    dataset.PixelData = encapsulate(pieces[:-1])
    dataset.save_as(path)
    assert refusal(path).reason == "TRUNCATED"


PYDICOM_FILES = Path(pydicom.__file__).parent / "data" / "test_files" / "dicomdirtests"


def test_a_study_of_pydicom_gives_its_axial_series_and_not_its_scouts() -> None:
    image = read_series(PYDICOM_FILES / "98892001", min_slices=5)
    slices = [pydicom.dcmread(path) for path in (PYDICOM_FILES / "98892001" / "CT5N").iterdir()]
    slices.sort(key=lambda each: float(each.SliceLocation))
    expected = np.stack([pydicom.pixels.apply_rescale(each.pixel_array, each) for each in slices])
    np.testing.assert_array_equal(image.pixels, expected)
    assert image.spacing_mm == pytest.approx((2.5, *slices[0].PixelSpacing))


def test_a_thinned_out_series_of_pydicom_is_refused() -> None:
    error = refusal(PYDICOM_FILES / "77654033", min_slices=4)
    assert error.reason == "TRUNCATED"
    assert error.detail.startswith("a gap of 202.50 mm from -99.5 to 103.0 mm")


def test_large_slices_are_read_whole(write_series: WriteSeries) -> None:
    large = np.random.default_rng(0).integers(-1000, 1000, (3, 800, 700)).astype(np.int16)
    assert large[0].nbytes > 1 << 20
    np.testing.assert_array_equal(read_series(write_series(large), min_slices=3).pixels, large)


def test_a_large_enhanced_file_is_read_whole(tmp_path: Path) -> None:
    large = np.random.default_rng(0).integers(-1000, 1000, (9, 300, 280)).astype(np.int16)
    image = read_series(enhanced(large, tmp_path / "x"))
    np.testing.assert_array_equal(image.pixels, large - np.arange(9)[:, None, None])


def test_the_real_compressed_series_is_what_simpleitk_reads(shared_data: Path) -> None:
    folder = shared_data / "ct" / "series_upper_abdomen"
    image = read_series(folder)
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(SimpleITK.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder)))
    expected = reader.Execute()
    np.testing.assert_array_equal(image.pixels, SimpleITK.GetArrayFromImage(expected))
    assert image.spacing_mm == pytest.approx(expected.GetSpacing()[::-1])
    hashes = sorted(hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir())
    assert image.facts.sha256 == hashlib.sha256("\n".join(hashes).encode()).hexdigest()


def test_a_folder_of_two_patients_is_refused_without_their_names(
    write_series: WriteSeries,
) -> None:
    def rename(dataset: Dataset, index: int) -> None:
        dataset.PatientID = "CANARY-8" if index == 3 else "CANARY-7"

    folder = write_series(np.zeros((9, 6, 5), np.int16), edit=rename)
    with pytest.raises(ImageError, match="images of 2 different values of Patient ID") as error:
        read_series(folder)
    assert error.value.reason == "BAD_HEADER"
    assert "CANARY" not in str(error.value)
