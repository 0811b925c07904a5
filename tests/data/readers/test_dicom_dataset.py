import time
import tracemalloc
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import Dataset, dcmread, uid

from csi_predictor.data.readers import read_image
from csi_predictor.errors import ImageError

WriteDicom = Callable[..., Path]

ENCAPSULATED = (
    uid.RLELossless,
    uid.JPEGLossless,
    uid.JPEGLosslessSV1,
    uid.JPEGLSLossless,
    uid.JPEG2000Lossless,
    uid.HTJ2KLossless,
)


def _refusal(path: Path) -> ImageError:
    with pytest.raises(ImageError) as caught:
        read_image(path)
    return caught.value


def _without_preamble(path: Path) -> bytes:
    content = path.read_bytes()
    return content[content.index(b"\x08\x00\x16\x00", 132) :]


@pytest.mark.parametrize("syntax", [uid.ImplicitVRLittleEndian, uid.ExplicitVRLittleEndian])
def test_a_data_set_without_preamble_is_read(
    write_dicom: WriteDicom, chest: NDArray[np.uint16], syntax: uid.UID
) -> None:
    path = write_dicom(chest, syntax=syntax)
    path.write_bytes(_without_preamble(path))
    image = read_image(path)
    np.testing.assert_array_equal(image.pixels, chest)
    assert image.facts.transfer_syntax_uid == syntax


def test_bytes_that_only_begin_like_a_data_set_are_not_dicom(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"\x08\x00\x05\x00" + bytes(500))
    error = _refusal(path)
    assert error.reason == "NOT_DICOM"
    assert "no DICM prefix and no SOPClassUID, Rows, PixelData" in error.detail


@pytest.mark.parametrize("syntax", [uid.ExplicitVRLittleEndian, *ENCAPSULATED])
@pytest.mark.parametrize("share", [0.6, 0.9])
def test_pixels_that_end_early_are_truncated_and_never_filled(
    write_dicom: WriteDicom, chest: NDArray[np.uint16], syntax: uid.UID, share: float
) -> None:
    path = write_dicom(chest, syntax=syntax)
    content = path.read_bytes()
    start = content.index(b"\xe0\x7f\x10\x00")
    path.write_bytes(content[: start + int(share * (len(content) - start))])
    assert _refusal(path).reason == "TRUNCATED"


@pytest.mark.parametrize("syntax", ENCAPSULATED)
def test_a_whole_file_around_half_a_frame_is_truncated(
    write_dicom: WriteDicom, chest: NDArray[np.uint16], syntax: uid.UID
) -> None:
    from pydicom.encaps import generate_frames

    whole = dcmread(write_dicom(chest, syntax=syntax))
    frame = next(generate_frames(whole.PixelData, number_of_frames=1))
    half = frame[: len(frame) // 4 * 2]
    error = _refusal(write_dicom(chest, syntax=syntax, frame=half))
    assert error.reason in ("TRUNCATED", "DECODE_FAILED")
    if syntax != uid.RLELossless:
        assert error.reason == "TRUNCATED"


def test_a_deflated_file_that_ends_early_is_truncated(
    write_dicom: WriteDicom, chest: NDArray[np.uint16]
) -> None:
    path = write_dicom(chest, syntax=uid.DeflatedExplicitVRLittleEndian)
    path.write_bytes(path.read_bytes()[:-200])
    error = _refusal(path)
    assert error.reason == "TRUNCATED"
    assert "deflated data set ends early" in error.detail


def test_a_damaged_deflate_stream_is_named(
    write_dicom: WriteDicom, chest: NDArray[np.uint16]
) -> None:
    path = write_dicom(chest, syntax=uid.DeflatedExplicitVRLittleEndian)
    content = path.read_bytes()
    path.write_bytes(content[:400] + b"\xff" * 400 + content[800:])
    assert _refusal(path).reason == "DECODE_FAILED"


def test_a_deflate_bomb_is_inflated_no_further_than_the_cap(
    write_dicom: WriteDicom, chest: NDArray[np.uint16]
) -> None:
    path = write_dicom(chest, syntax=uid.DeflatedExplicitVRLittleEndian)
    content = path.read_bytes()
    meta_end = 132 + 12 + int.from_bytes(content[140:144], "little")
    compressor = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    bomb = b"".join(compressor.compress(bytes(1 << 24)) for _ in range(16)) + compressor.flush()
    path.write_bytes(content[:meta_end] + bomb)
    tracemalloc.start()
    with pytest.raises(ImageError, match="inflates to more than") as caught:
        read_image(path, max_megapixels=1.0)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert caught.value.reason == "TOO_LARGE"
    assert peak < 200e6  # of 268 MB that the bomb holds


@pytest.mark.parametrize("syntax", [uid.RLELossless, uid.JPEG2000Lossless])
def test_a_huge_size_in_the_header_is_refused_in_no_time(
    write_dicom: WriteDicom, chest: NDArray[np.uint16], syntax: uid.UID
) -> None:
    path = write_dicom(chest, syntax=syntax)
    dataset = dcmread(path)
    dataset.Rows = dataset.Columns = 65535
    dataset.save_as(path)
    start = time.perf_counter()
    assert _refusal(path).reason == "TOO_LARGE"
    assert time.perf_counter() - start < 2.0


def test_an_rle_frame_too_short_for_its_header_is_truncated(
    write_dicom: WriteDicom, chest: NDArray[np.uint16]
) -> None:
    path = write_dicom(chest, syntax=uid.RLELossless)
    dataset = dcmread(path)
    dataset.Rows = dataset.Columns = 9000
    dataset.save_as(path)
    assert _refusal(path).reason == "TRUNCATED"


def test_thousands_of_nested_sequences_are_a_bad_header(tmp_path: Path) -> None:
    opening = b"\x08\x00\x40\x11" + b"SQ\x00\x00" + b"\xff" * 4 + b"\xfe\xff\x00\xe0" + b"\xff" * 4
    path = tmp_path / "nested.dcm"
    meta = b"\x02\x00\x10\x00UI\x14\x001.2.840.10008.1.2.1\x00"
    path.write_bytes(bytes(128) + b"DICM" + meta + opening * 3000)
    error = _refusal(path)
    assert error.reason == "BAD_HEADER"
    assert "RecursionError" in error.detail


def test_a_length_of_four_gigabytes_takes_no_memory(
    write_dicom: WriteDicom, chest: NDArray[np.uint16]
) -> None:
    path = write_dicom(chest)
    content = bytearray(path.read_bytes())
    start = content.index(b"\xe0\x7f\x10\x00OW")
    content[start + 8 : start + 12] = b"\xfe\xff\xff\xff"
    path.write_bytes(content[: start + 100])
    assert _refusal(path).reason == "TRUNCATED"


def test_warnings_that_quote_the_patient_never_get_out(
    write_dicom: WriteDicom,
    chest: NDArray[np.uint16],
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    path = write_dicom(chest)
    content = path.read_bytes()
    # A birth date that is no date: pydicom warns with its value.
    birth = b"\x10\x00\x30\x00DA\x10\x00Canary^Yell 1940"
    at = content.index(b"\x18\x00\x15\x00")
    path.write_bytes(content[:at] + birth + content[at:])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        read_image(path)
    out, err = capfd.readouterr()
    assert not caught
    assert "Canary" not in caplog.text + out + err


def test_a_parse_error_carries_no_cause_that_may_quote_the_patient(tmp_path: Path) -> None:
    path = tmp_path / "nested.dcm"
    path.write_bytes(bytes(128) + b"DICM" + b"\x02\x00\x10\x00UI\xff\xff" + b"Canary" * 50)
    error = _refusal(path)
    assert error.__cause__ is None
    assert "Canary" not in str(error)


def test_an_element_that_fails_when_it_is_touched_is_a_bad_header(
    write_dicom: WriteDicom, chest: NDArray[np.uint16], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise NotImplementedError("Canary")

    monkeypatch.setattr("csi_predictor.data.readers.dicom.display_facts", fail)
    error = _refusal(write_dicom(chest))
    assert error.reason == "BAD_HEADER"
    assert error.detail == "a DICOM element is damaged (NotImplementedError)"
    assert error.__cause__ is None


def test_every_cut_of_a_file_ends_in_one_reason(
    write_dicom: WriteDicom, chest: NDArray[np.uint16]
) -> None:
    small = chest[:8, :6]
    path = write_dicom(small)
    content = path.read_bytes()
    reasons = set()
    for length in range(0, len(content) - 1, 7):
        path.write_bytes(content[:length])
        reasons.add(_refusal(path).reason)
    assert reasons <= {
        "NOT_AN_IMAGE",
        "TRUNCATED",
        "NO_PIXELS",
        "BAD_HEADER",
        "UNSUPPORTED_SOP_CLASS",
    }


def test_random_damage_never_raises_anything_else(
    write_dicom: WriteDicom, chest: NDArray[np.uint16]
) -> None:
    rng = np.random.default_rng(11)
    for syntax in (uid.ExplicitVRLittleEndian, *ENCAPSULATED):
        path = write_dicom(chest[:40, :40], syntax=syntax)
        content = np.frombuffer(path.read_bytes(), np.uint8)
        for _ in range(40):
            damaged = content.copy()
            damaged[rng.integers(132, content.size, 5)] = rng.integers(0, 256, 5)
            path.write_bytes(damaged.tobytes())
            try:
                assert read_image(path).pixels.ndim == 2
            except ImageError as error:
                assert error.reason  # noqa: PT017


def test_header_values_that_cannot_be_read_are_absent() -> None:
    from csi_predictor.data.readers.dicom_dataset import Header

    dataset = Dataset()
    dataset.ImageType = ["A", "B"]
    header = Header(dataset)
    assert header.texts("ImageType") == ("A", "B")
    assert header.numbers("ImageType") == ()
    assert header.integer("Rows") is None
    assert header.text("Rows") == ""
