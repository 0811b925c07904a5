import os
import sys
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from csi_predictor.data.readers import KNOWN_EXTENSIONS, format_of, read_image
from csi_predictor.errors import ImageError


def _refusal(path: Path, max_megapixels: float = 100.0) -> ImageError:
    with pytest.raises(ImageError) as caught:
        read_image(path, max_megapixels=max_megapixels)
    return caught.value


@pytest.mark.parametrize("content", [b"", b"hello, this is text", b"\x1f\x8bnot gzip", bytes(5000)])
def test_what_is_no_picture_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "scan.dcm"
    path.write_bytes(content)
    error = _refusal(path)
    assert error.reason == "NOT_AN_IMAGE"
    assert "expected DICOM, NIfTI, PNG, JPEG, TIFF or npz" in error.detail


def test_a_picture_under_another_formats_name_is_read(tmp_path: Path) -> None:
    path = tmp_path / "scan.dcm"
    PIL.Image.fromarray(np.eye(9, dtype=np.uint8)).save(path, format="PNG")
    assert read_image(path).facts.format == "png"


def test_a_tiff_in_the_preamble_doesnt_hide_the_dicom_file() -> None:
    assert format_of(b"II*\x00" + bytes(124) + b"DICM") == "dicom"


def test_a_folder_and_an_absent_file_are_unreadable(tmp_path: Path) -> None:
    assert _refusal(tmp_path).reason == "UNREADABLE"
    assert _refusal(tmp_path / "absent.dcm").reason == "UNREADABLE"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no FIFOs")
def test_a_fifo_is_refused_and_never_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "scan.dcm")
    error = _refusal(tmp_path / "scan.dcm")
    assert (error.reason, error.detail) == ("UNREADABLE", "not a regular file")


def test_a_file_that_may_not_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "scan.dcm"
    path.write_bytes(b"x")

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    assert _refusal(path).reason == "NO_PERMISSION"


def test_a_sparse_giant_is_refused_by_its_size(tmp_path: Path) -> None:
    path = tmp_path / "scan.dcm"
    with path.open("wb") as file:
        file.write(bytes(128) + b"DICM")
        file.truncate(1 << 33)
    error = _refusal(path)
    assert error.reason == "TOO_LARGE"
    assert "8589934592 bytes: expected at most" in error.detail


def test_the_known_extensions_are_lower_case_and_unique() -> None:
    assert len(set(KNOWN_EXTENSIONS)) == len(KNOWN_EXTENSIONS)
    assert all(e.startswith(".") and e == e.lower() for e in KNOWN_EXTENSIONS)
