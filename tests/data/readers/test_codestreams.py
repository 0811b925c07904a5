import imagecodecs
import numpy as np
import pytest
from pydicom import uid

from csi_predictor.data.readers.codestreams import FrameSize, frame_size, is_cut

PIXELS = np.arange(7 * 13, dtype=np.uint16).reshape(7, 13)


def test_a_codestream_says_its_size_and_depth() -> None:
    jpeg = bytes(imagecodecs.jpeg8_encode(PIXELS, lossless=True, bitspersample=12))
    assert frame_size(jpeg, uid.JPEGLosslessSV1) == FrameSize(7, 13, 1, 12)
    jpeg_ls = bytes(imagecodecs.jpegls_encode(PIXELS))
    assert frame_size(jpeg_ls, uid.JPEGLSLossless) == FrameSize(7, 13, 1, 16)
    j2k = bytes(imagecodecs.jpeg2k_encode(PIXELS, codecformat="j2k"))
    assert frame_size(j2k, uid.JPEG2000) == FrameSize(7, 13, 1, 16)
    colour = bytes(imagecodecs.jpeg8_encode(np.zeros((7, 13, 3), np.uint8)))
    assert frame_size(colour, uid.JPEGBaseline8Bit) == FrameSize(7, 13, 3, 8)
    assert frame_size(b"", uid.RLELossless) is None


def test_a_jp2_wrapper_before_the_codestream_is_passed_over() -> None:
    wrapped = bytes(imagecodecs.jpeg2k_encode(PIXELS, codecformat="jp2"))
    assert frame_size(wrapped, uid.JPEG2000Lossless) == FrameSize(7, 13, 1, 16)


def test_fill_bytes_before_a_marker_are_passed_over() -> None:
    jpeg = bytes(imagecodecs.jpegls_encode(PIXELS))
    filled = jpeg[:2] + b"\xff\xff" + jpeg[2:]
    assert frame_size(filled, uid.JPEGLSLossless) == FrameSize(7, 13, 1, 16)


@pytest.mark.parametrize(
    ("syntax", "text"), [(uid.JPEG2000, "no SIZ marker"), (uid.JPEGBaseline8Bit, "no SOF marker")]
)
def test_a_codestream_without_a_size_is_refused(syntax: uid.UID, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        frame_size(b"\xff\xd8" + bytes(100), syntax)


def test_an_end_marker_is_asked_for_and_padding_after_it_allowed() -> None:
    jpeg = bytes(imagecodecs.jpegls_encode(PIXELS))
    assert not is_cut(jpeg, uid.JPEGLSLossless, PIXELS.nbytes)
    assert not is_cut(jpeg + bytes(8), uid.JPEGLSLossless, PIXELS.nbytes)
    assert is_cut(jpeg[:-3], uid.JPEGLSLossless, PIXELS.nbytes)


def test_rle_gains_at_most_64_times() -> None:
    assert not is_cut(bytes(100), uid.RLELossless, 6400)
    assert is_cut(bytes(100), uid.RLELossless, 6401)
