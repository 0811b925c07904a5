import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import PIL.Image
import pytest
import SimpleITK
import torch
from numpy.typing import NDArray
from pydicom import uid
from pydicom.data import get_testdata_file
from torchvision.transforms.v2.functional import normalize

from csi_predictor.data.prepare import prepare, to_tensor
from csi_predictor.errors import ImageError
from csi_predictor.specs import InputSpec

WriteDicom = Callable[..., Path]

SPEC = InputSpec(size=(32, 40))
LOSSLESS = (
    uid.ImplicitVRLittleEndian,
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


@pytest.mark.parametrize("syntax", LOSSLESS, ids=lambda syntax: syntax.keyword)
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_polarity_and_lossless_syntax_leave_no_trace(
    write_dicom: WriteDicom, chest: NDArray[np.uint16], syntax: uid.UID, photometric: str
) -> None:
    expected = prepare(write_dicom(chest), SPEC).pixels
    stored = 4095 - chest if photometric == "MONOCHROME1" else chest
    path = write_dicom(stored, syntax=syntax, PhotometricInterpretation=photometric)
    np.testing.assert_allclose(prepare(path, SPEC).pixels, expected, rtol=0, atol=1e-6)


def test_monochrome1_is_turned_once_with_presentation_lut_shape_inverse(
    write_dicom: WriteDicom, chest: NDArray[np.uint16]
) -> None:
    expected = prepare(write_dicom(chest), SPEC).pixels
    path = write_dicom(
        4095 - chest, PhotometricInterpretation="MONOCHROME1", PresentationLUTShape="INVERSE"
    )
    np.testing.assert_allclose(prepare(path, SPEC).pixels, expected, rtol=0, atol=1e-6)


def test_a_window_and_its_inverted_twin_give_the_same_picture(
    write_dicom: WriteDicom, chest: NDArray[np.uint16]
) -> None:
    plain = write_dicom(chest, WindowCenter=1800, WindowWidth=2000)
    expected = prepare(plain, SPEC).pixels
    # 4095 - x maps the window's centre c to 4095 - c + 1 by the halves in PS3.3 C.11.2.1.2.1.
    path = write_dicom(
        4095 - chest,
        PhotometricInterpretation="MONOCHROME1",
        WindowCenter=4095 - 1800 + 1,
        WindowWidth=2000,
    )
    np.testing.assert_allclose(prepare(path, SPEC).pixels, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "name", ["a.png", "a.tiff", "white.tiff", "f.tiff", "a.npz", "i.nii.gz", "f.nii"]
)
def test_another_file_format_leaves_no_trace(
    write_dicom: WriteDicom, chest: NDArray[np.uint16], tmp_path: Path, name: str
) -> None:
    expected = prepare(write_dicom(chest), SPEC).pixels
    path = tmp_path / name
    deep = (chest * 16).astype(np.uint16)
    if name == "white.tiff":
        path.write_bytes(bytes(imagecodecs.tiff_encode(65535 - deep, photometric=0)))
    elif name == "f.tiff":
        PIL.Image.fromarray(chest / np.float32(4095)).save(path)
    elif name == "a.npz":
        np.savez(path, image=chest)
    elif ".nii" in name:
        pixels = chest / np.float32(4095) if name == "f.nii" else chest
        SimpleITK.WriteImage(SimpleITK.GetImageFromArray(pixels), str(path))
    else:
        PIL.Image.fromarray(deep).save(path)
    np.testing.assert_allclose(prepare(path, SPEC).pixels, expected, rtol=0, atol=1e-6)


def test_depth_sign_and_rescale_leave_no_trace(
    write_dicom: WriteDicom, chest: NDArray[np.uint16]
) -> None:
    expected = prepare(write_dicom(chest), SPEC).pixels
    signed = (chest.astype(np.int32) * 8 - 16384).astype(np.int16)
    twins: list[dict[str, Any]] = [
        {"pixels": (chest * 16).astype(np.uint16), "BitsStored": 16},
        {"pixels": signed, "BitsStored": 16, "RescaleSlope": 0.25, "RescaleIntercept": -1024},
        {"pixels": 4095 - chest, "RescaleSlope": -1, "RescaleIntercept": 4095},
    ]
    for twin in twins:
        path = write_dicom(twin.pop("pixels"), **twin)
        np.testing.assert_allclose(prepare(path, SPEC).pixels, expected, rtol=0, atol=1e-6)


def test_the_real_chest_radiograph_is_equal_in_both_lossless_files() -> None:
    paths = [get_testdata_file(f"RG1_{kind}.dcm", download=False) for kind in ("UNCR", "J2KR")]
    if None in paths:
        pytest.skip("pydicom-data isn't installed")
    raw, compressed = (prepare(Path(str(path)), SPEC).pixels for path in paths)
    np.testing.assert_array_equal(raw, compressed)
    # Lungs are dark, and what lies under the diaphragm is bright: the polarity is right.
    assert raw[10:16, 8:14].mean() < raw[28:32, 8:32].mean()


def test_a_refusal_keeps_its_reason_and_the_path(tmp_path: Path) -> None:
    path = tmp_path / "notes.dcm"
    path.write_text("no picture")
    with pytest.raises(ImageError, match=r"notes\.dcm: no known picture format") as caught:
        prepare(path, SPEC)
    assert caught.value.reason == "NOT_AN_IMAGE"


def test_a_volume_is_refused_where_a_picture_is_expected(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", np.random.default_rng(0).random((4, 5, 6)))
    with pytest.raises(ImageError, match="MULTI_FRAME"):
        prepare(tmp_path / "a.npz", SPEC)


def test_workers_give_the_same_bits_and_send_records_and_errors(
    write_dicom: WriteDicom, chest: NDArray[np.uint16], tmp_path: Path
) -> None:
    path = write_dicom(chest, syntax=uid.JPEGLSLossless)
    here = prepare(path, SPEC)
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        there = pool.submit(prepare, path, SPEC).result()
        failed = pool.submit(prepare, tmp_path / "absent.dcm", SPEC).exception()
    np.testing.assert_array_equal(here.pixels, there.pixels)
    assert here.facts == there.facts
    assert isinstance(failed, ImageError)
    assert failed.reason == "UNREADABLE"


@pytest.mark.parametrize("channels", [1, 3])
def test_a_tensor_is_normalised_as_torchvision_does(channels: int) -> None:
    mean, std = (0.485, 0.456, 0.406)[:channels], (0.229, 0.224, 0.225)[:channels]
    spec = InputSpec(size=(5, 7), channels=channels, mean=mean, std=std)
    pixels = np.random.default_rng(0).random((5, 7), np.float32)
    expected = normalize(torch.from_numpy(pixels).expand(channels, 5, 7), list(mean), list(std))
    torch.testing.assert_close(to_tensor(pixels, spec), expected)


def test_readers_and_intensity_work_without_torch() -> None:
    import subprocess
    import sys

    code = (
        "import sys, csi_predictor.data.readers, csi_predictor.data.intensity;"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_colour_is_normalised_plane_by_plane() -> None:
    spec = InputSpec(size=(1, 2), mean=(0.5, 0.25, 0.0), std=(0.5, 0.25, 2.0))
    pixels = np.array([[[0.0, 1.0]], [[0.5, 0.25]], [[1.0, 0.5]]], np.float32)  # (3, 1, 2)
    found = to_tensor(pixels, spec)
    # (pixel - mean) / std by hand
    assert found.tolist() == [[[-1.0, 1.0]], [[1.0, 0.0]], [[0.5, 0.25]]]
    assert found.dtype == torch.float32


@pytest.mark.parametrize("channels", [1, 3])
def test_a_volume_is_repeated_into_the_channels_and_normalised(channels: int) -> None:
    mean, std = (0.5, 0.25, 0.0)[:channels], (0.5, 0.25, 2.0)[:channels]
    spec = InputSpec(size=(2, 1, 2), channels=channels, mean=mean, std=std)
    pixels = np.array([[[0.0, 0.5]], [[1.0, 0.25]]], np.float32)  # (2, 1, 2)
    by_hand = [
        [[[-1.0, 0.0]], [[1.0, -0.5]]],
        [[[-1.0, 1.0]], [[3.0, 0.0]]],
        [[[0.0, 0.25]], [[0.5, 0.125]]],
    ]
    assert to_tensor(pixels, spec).tolist() == by_hand[:channels]
