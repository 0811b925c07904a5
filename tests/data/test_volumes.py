import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK
from numpy.typing import NDArray
from pydicom import Dataset

from csi_predictor.data.intensity import to_model_range
from csi_predictor.data.readers import read_image
from csi_predictor.data.volumes import prepare_volume
from csi_predictor.errors import ImageError
from csi_predictor.specs import InputSpec

WriteSeries = Callable[..., Path]
HU = NDArray[np.int16]

SPEC = InputSpec(size=(9, 13, 11), channels=1, mean=(0.5,), std=(0.5,), hu_range=(-1000.0, 1000.0))
AS_STORED = replace(SPEC, spacing_mm=(2.0, 0.8, 0.7))


def as_image(pixels: NDArray[Any]) -> SimpleITK.Image:
    image = SimpleITK.GetImageFromArray(pixels)
    image.SetSpacing((0.7, 0.8, 2.0))
    image.SetOrigin((-40, -30, 100))
    return image


def as_nifti(path: Path, image: SimpleITK.Image | NDArray[Any]) -> Path:
    if not isinstance(image, SimpleITK.Image):
        image = as_image(image)
    SimpleITK.WriteImage(image, str(path))
    return path


def test_hounsfield_units_are_clipped_and_scaled(tmp_path: Path) -> None:
    values = np.array([-3000, -1000, -500, 0, 250, 1000, 4000], np.int16)
    volume = np.tile(values, (3, 2, 1))
    spec = replace(SPEC, size=(3, 2, 7))
    pixels = prepare_volume(as_nifti(tmp_path / "x.nii.gz", volume), spec).pixels
    assert pixels.dtype == np.float32
    # (HU + 1000) / 2000 by hand; to_tensor's mean and std of 0.5 make -1 to 1 of it
    np.testing.assert_allclose(pixels[1, 1], [0, 0, 0.25, 0.5, 0.625, 1, 1])


def test_the_size_is_depth_height_width_of_the_patient__weakness_004_03(tmp_path: Path) -> None:
    volume = np.zeros((20, 30, 40), np.int16)  # feet to head, front to back, right to left
    volume[15:18, 4:8, 30:36] = 1000
    image = as_image(volume)
    image.SetSpacing((1.0, 1.0, 1.0))
    for axes in ("LPS", "RAS", "SRA"):
        path = as_nifti(tmp_path / f"{axes}.nii", SimpleITK.DICOMOrient(image, axes))
        pixels = prepare_volume(path, replace(SPEC, size=(10, 15, 80))).pixels
        assert pixels.shape == (10, 15, 80)
        middle = (np.argwhere(pixels > 0.7).mean(axis=0) + 0.5) / pixels.shape
        np.testing.assert_allclose(middle, [16.5 / 20, 6 / 30, 33 / 40], atol=0.03)


def test_a_volume_of_the_wanted_spacing_is_only_cut_and_filled(tmp_path: Path) -> None:
    volume = np.random.default_rng(0).integers(-999, 999, (9, 13, 11)).astype(np.int16)
    path = as_nifti(tmp_path / "x.nii.gz", volume)
    pixels = prepare_volume(path, replace(AS_STORED, size=(5, 13, 16))).pixels
    expected = (volume[2:7] + 1000.0) / 2000.0
    np.testing.assert_allclose(pixels[:, :, 2:13], expected, atol=1e-6)
    assert (pixels[:, :, :2] == 0).all()
    assert (pixels[:, :, 13:] == 0).all()


def test_a_finer_spacing_agrees_with_simpleitk(tmp_path: Path) -> None:
    smooth = SimpleITK.SmoothingRecursiveGaussian(
        as_image(np.random.default_rng(0).normal(0, 1000, (9, 13, 11)).astype(np.float32)), 1.0
    )
    path = as_nifti(tmp_path / "x.nii.gz", smooth)
    spec = replace(SPEC, size=(18, 26, 22), spacing_mm=(1.0, 0.4, 0.35))
    pixels = prepare_volume(path, spec).pixels
    reference = SimpleITK.Image([22, 26, 18], SimpleITK.sitkFloat32)
    reference.SetSpacing((0.35, 0.4, 1.0))
    reference.SetOrigin([-40 - 0.175, -30 - 0.2, 100 - 0.5])
    expected = SimpleITK.GetArrayFromImage(SimpleITK.Resample(smooth, reference))
    inner = (slice(1, -1),) * 3
    # within the range clipping and interpolating change places freely
    assert np.abs(expected).max() < 1000
    np.testing.assert_allclose(pixels[inner], (expected[inner] + 1000) / 2000, atol=1e-5)


def test_without_a_range_the_percentiles_are_those_of_pictures(tmp_path: Path) -> None:
    volume = np.random.default_rng(0).gamma(2, 50, (9, 13, 11)).astype(np.float32)
    for name, stored in (("i.nii", volume.astype(np.int16)), ("f.nii", volume)):
        path = as_nifti(tmp_path / name, stored)
        spec = replace(SPEC, hu_range=None, percentiles=(1.0, 99.0))
        expected = to_model_range(read_image(path), spec).pixels
        np.testing.assert_allclose(prepare_volume(path, spec).pixels, expected, atol=2e-6)


def test_padding_of_a_series_is_as_dark_as_air(write_series: WriteSeries, hounsfield: HU) -> None:
    stored = hounsfield.copy()
    stored[:, :2] = 3000  # a padding value above every Hounsfield unit

    def padded(dataset: Dataset, index: int) -> None:
        dataset.add_new("PixelPaddingValue", "SS", 3000)

    pixels = prepare_volume(write_series(stored, edit=padded), AS_STORED).pixels
    assert (pixels[:, :2] == 0).all()
    np.testing.assert_allclose(
        pixels[:, 2:], np.clip((stored[:, 2:] + 1000) / 2000, 0, 1), atol=1e-6
    )


@pytest.mark.parametrize("spec", [SPEC, AS_STORED, replace(SPEC, spacing_mm=(1.1, 1.3, 0.5))])
@pytest.mark.parametrize("axes", ["LPS", "RAS", "PIR", "LSA"])
def test_a_nifti_and_its_dicom_series_prepare_to_equal_tensors(
    tmp_path: Path, write_series: WriteSeries, hounsfield: HU, axes: str, spec: InputSpec
) -> None:
    image = as_image(hounsfield)
    nifti = prepare_volume(as_nifti(tmp_path / "x.nii.gz", image), spec).pixels
    folder = write_series(SimpleITK.DICOMOrient(image, axes), seed=len(axes))
    np.testing.assert_allclose(prepare_volume(folder, spec).pixels, nifti, atol=1e-5)


@pytest.mark.parametrize(("axes", "seed"), [("LPS", 1), ("RAS", 2), ("PIR", 3), ("LSA", 4)])
def test_a_real_nifti_and_its_dicom_series_prepare_to_equal_tensors(
    shared_data: Path, tmp_path: Path, write_series: WriteSeries, axes: str, seed: int
) -> None:
    image = SimpleITK.ReadImage(str(shared_data / "ct" / "cardiac_thorax_1.5mm.nii.gz"))
    cut = image[20:100, 30:120, 60:100]
    spec = replace(SPEC, size=(32, 48, 48), spacing_mm=(3.0, 2.0, 2.0))
    nifti = prepare_volume(as_nifti(tmp_path / "x.nii.gz", cut), spec).pixels
    folder = write_series(SimpleITK.DICOMOrient(cut, axes), seed=seed)
    series = prepare_volume(folder, spec).pixels
    assert nifti.std() > 0.1
    np.testing.assert_allclose(series, nifti, atol=1e-5)


def test_an_npz_of_the_same_volume_prepares_to_the_same(tmp_path: Path, hounsfield: HU) -> None:
    np.savez(tmp_path / "x.npz", image=hounsfield)
    nifti = prepare_volume(as_nifti(tmp_path / "x.nii", hounsfield), SPEC).pixels
    np.testing.assert_array_equal(prepare_volume(tmp_path / "x.npz", SPEC).pixels, nifti)


def test_memory_stays_near_one_volume(tmp_path: Path) -> None:
    volume = np.random.default_rng(0).integers(-1000, 1000, (64, 256, 256)).astype(np.int16)
    path = as_nifti(tmp_path / "x.nii", volume)
    spec = replace(SPEC, size=(16, 64, 64), spacing_mm=(8.0, 3.2, 2.8))
    prepare_volume(path, spec)  # libraries are loaded
    tracemalloc.start()
    for _ in range(3):
        prepare_volume(path, spec)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # the file as int16 and the volume as float32: 1.5 volumes; another copy would make 2.5
    assert peak < 1.8 * volume.size * 4


@pytest.mark.parametrize(
    ("pixels", "spec", "text"),
    [
        (np.full((9, 13, 11), -1000), SPEC, "all voxels are equal after the range from -1000"),
        (np.full((9, 13, 11), 7), replace(SPEC, hu_range=None), "percentiles .* are equal"),
        (np.arange(99).reshape(9, 11), SPEC, "a picture of 9 x 11: expected a volume"),
    ],
)
def test_what_makes_no_volume_is_refused(
    tmp_path: Path, pixels: NDArray[Any], spec: InputSpec, text: str
) -> None:
    np.savez(tmp_path / "x.npz", image=pixels.astype(np.int16))
    with pytest.raises(ImageError, match=text):
        prepare_volume(tmp_path / "x.npz", spec)


def test_an_unknown_spacing_is_refused_only_where_it_is_needed(
    tmp_path: Path, hounsfield: HU
) -> None:
    np.savez(tmp_path / "x.npz", image=hounsfield)
    with pytest.raises(ImageError, match=r"unknown: expected millimetres, or .*SPACING_MM"):
        prepare_volume(tmp_path / "x.npz", AS_STORED)


def test_an_absent_volume_is_unreadable(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="UNREADABLE"):
        prepare_volume(tmp_path / "absent.nii.gz", SPEC)


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        (replace(SPEC, size=(8, 8)), r"size \(8, 8\): expected \(D, H, W\)"),
        (replace(SPEC, interpolation="bicubic"), "bicubic: volumes are resampled linearly"),
    ],
)
def test_a_spec_of_pictures_is_refused(tmp_path: Path, spec: InputSpec, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        prepare_volume(tmp_path / "x", spec)
