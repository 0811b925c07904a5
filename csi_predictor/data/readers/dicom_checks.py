"""What makes a DICOM file unfit to be scored as one grey radiograph, each with its reason code."""

from dataclasses import dataclass

from pydicom.uid import UID

from csi_predictor.data.readers.dicom_dataset import Header
from csi_predictor.data.readers.source import Source
from csi_predictor.errors import ImageError, ReasonCode

_FOR_PROCESSING = "1.2.840.10008.5.1.4.1.1.1.1.1"
_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
_RADIOGRAPHS = (
    "1.2.840.10008.5.1.4.1.1.1",  # Computed Radiography
    "1.2.840.10008.5.1.4.1.1.1.1",  # Digital X-Ray, for presentation
)
_GREY = ("MONOCHROME1", "MONOCHROME2")
_BITS_ALLOCATED = (8, 16)


@dataclass(frozen=True)
class PixelFormat:
    """The part of the Image Pixel module that sizes the pixel data (PS3.3 C.7.6.3)."""

    rows: int
    columns: int
    bits_allocated: int

    @property
    def num_bytes(self) -> int:
        """Of the uncompressed frame."""
        return self.rows * self.columns * self.bits_allocated // 8


def check_radiograph(header: Header, source: Source) -> None:
    """Refuse what isn't a single grey frame of an accepted kind.

    Raises:
        ImageError: UNSUPPORTED_SOP_CLASS, FOR_PROCESSING, NO_PIXELS, TRUNCATED, MULTI_FRAME,
            COLOUR or BAD_HEADER.
    """
    has_pixels = bool(header.value("PixelData"))
    # pydicom gives no element at all of a data set that ends within an encapsulated one.
    if header.ends_early and not (has_pixels or header.text("SOPClassUID")):
        raise ImageError(source.path, "TRUNCATED", "the file ends within an element")
    _check_sop_class(header, source)
    if not has_pixels:
        if header.ends_early:
            raise ImageError(source.path, "TRUNCATED", "the file ends before its pixels")
        raise ImageError(source.path, "NO_PIXELS", "(7FE0,0010) Pixel Data is absent or empty")
    _check_frames(header, source)
    _check_photometry(header, source)


def pixel_format(header: Header, source: Source) -> PixelFormat:
    """Size and depth of the pixels, found plausible before memory is taken for them.

    Raises:
        ImageError: BAD_HEADER or TOO_LARGE.
    """
    rows = _required(header, "Rows", "(0028,0010) Rows", source)
    columns = _required(header, "Columns", "(0028,0011) Columns", source)
    source.check_size(rows, columns)
    allocated = _required(header, "BitsAllocated", "(0028,0100) Bits Allocated", source)
    stored = _required(header, "BitsStored", "(0028,0101) Bits Stored", source)
    representation = _required(
        header, "PixelRepresentation", "(0028,0103) Pixel Representation", source
    )
    if allocated not in _BITS_ALLOCATED:
        raise _bad(source, f"(0028,0100) Bits Allocated = {allocated}", "8 or 16")
    if not 1 <= stored <= allocated:
        raise _bad(source, f"(0028,0101) Bits Stored = {stored}", f"1 to {allocated}")
    if representation not in (0, 1):
        raise _bad(source, f"(0028,0103) Pixel Representation = {representation}", "0 or 1")
    high_bit = header.integer("HighBit")
    if high_bit is not None and high_bit != stored - 1:
        # Allowed until 2014 and written wrongly as often as rightly: to guess would shift grades.
        raise _bad(source, f"(0028,0102) High Bit = {high_bit}", f"{stored - 1}, Bits Stored - 1")
    return PixelFormat(rows, columns, allocated)


def _check_sop_class(header: Header, source: Source) -> None:
    uid = header.text("SOPClassUID")
    intent = header.text("PresentationIntentType").upper()
    if uid == _FOR_PROCESSING or (uid in _RADIOGRAPHS and intent == "FOR PROCESSING"):
        raise ImageError(
            source.path, "FOR_PROCESSING", "raw detector values: expected an image for presentation"
        )
    if uid in _RADIOGRAPHS or (uid == _SECONDARY_CAPTURE and source.allow_secondary_capture):
        return
    # A UID's registered name; an unregistered one may be the site's own and isn't repeated.
    name = UID(uid).name if UID(uid).name != uid else "unknown or absent"
    raise ImageError(
        source.path,
        "UNSUPPORTED_SOP_CLASS",
        f"(0008,0016) SOP Class UID = {name}: expected Computed Radiography or Digital X-Ray Image "
        "Storage - For Presentation",
    )


def _check_frames(header: Header, source: Source) -> None:
    if header.value("NumberOfFrames") is None and "NumberOfFrames" not in header.dataset:
        return
    frames = header.integer("NumberOfFrames")
    if frames is None or frames < 0:
        raise _bad(source, "(0028,0008) Number of Frames is no whole number", "1")
    if frames > 1:
        raise ImageError(
            source.path, "MULTI_FRAME", f"(0028,0008) Number of Frames = {frames}: expected 1"
        )


def _check_photometry(header: Header, source: Source) -> None:
    photometric = header.text("PhotometricInterpretation").upper()
    samples = _required(header, "SamplesPerPixel", "(0028,0002) Samples per Pixel", source)
    if photometric in _GREY and samples == 1:
        return
    if not photometric:
        raise _bad(
            source, "(0028,0004) Photometric Interpretation is absent", "MONOCHROME1 or MONOCHROME2"
        )
    reason: ReasonCode = "BAD_HEADER" if photometric in _GREY else "COLOUR"
    raise ImageError(
        source.path,
        reason,
        f"(0028,0004) Photometric Interpretation = {photometric[:16]} with {samples} samples a "
        "pixel: expected MONOCHROME1 or MONOCHROME2 with 1",
    )


def _required(header: Header, keyword: str, tag: str, source: Source) -> int:
    number = header.integer(keyword)
    if number is None:
        raise _bad(source, f"{tag} is absent or damaged", "one whole number")
    return number


def _bad(source: Source, found: str, expected: str) -> ImageError:
    return ImageError(source.path, "BAD_HEADER", f"{found}: expected {expected}")
