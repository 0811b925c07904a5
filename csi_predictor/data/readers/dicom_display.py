"""The display pipeline that a DICOM header asks for: modality, VOI, polarity."""

import math

import numpy as np
from numpy.typing import NDArray

from csi_predictor.data.image import DisplayFacts, Lut, VoiFunction, Window
from csi_predictor.data.readers.dicom_dataset import Header
from csi_predictor.data.readers.source import Source
from csi_predictor.errors import ImageError

_FUNCTIONS: dict[str, VoiFunction] = {
    "": "LINEAR",
    "LINEAR": "LINEAR",
    "LINEAR_EXACT": "LINEAR_EXACT",
    "SIGMOID": "SIGMOID",
}


def display_facts(header: Header, source: Source) -> DisplayFacts:
    """How the stored values are to be shown.

    Raises:
        ImageError: BAD_HEADER for a rescale slope of 0 or no number, a damaged modality LUT, or an
            unknown VOI LUT function.
    """
    modality_lut = _modality_lut(header, source)
    slope, intercept = (1.0, 0.0) if modality_lut else _rescale(header, source)
    function = header.text("VOILUTFunction").upper()
    if function not in _FUNCTIONS:
        raise _bad(
            source, "(0028,1056) VOI LUT Function is unknown", "LINEAR, LINEAR_EXACT, SIGMOID"
        )
    voi_luts = (_lut(item) for item in header.items("VOILUTSequence"))
    return DisplayFacts(
        rescale_slope=slope,
        rescale_intercept=intercept,
        modality_lut=modality_lut,
        voi_luts=tuple(lut for lut in voi_luts if lut is not None),
        windows=_windows(header),
        voi_function=_FUNCTIONS[function],
        is_inverted=is_inverted(header),
    )


def is_inverted(header: Header) -> bool:
    """Whether the lowest value is shown white.

    MONOCHROME1 says so (PS3.3 C.7.6.3.1.2). A Presentation LUT Shape of INVERSE says the same of
    the same pixels: digital X-ray files carry both for the one inversion (PS3.3 C.8.11.3.1.2,
    C.11.6), so together they turn the picture once, and either alone turns it too. IDENTITY beside
    MONOCHROME1 contradicts it and doesn't undo it; the facts' notes record a contradiction.
    """
    photometric = header.text("PhotometricInterpretation").upper()
    shape = header.text("PresentationLUTShape").upper()
    return photometric == "MONOCHROME1" or shape == "INVERSE"


def is_polarity_contradicted(header: Header) -> bool:
    """Whether photometric interpretation and presentation LUT shape say opposite things."""
    photometric = header.text("PhotometricInterpretation").upper()
    shape = header.text("PresentationLUTShape").upper()
    return (photometric, shape) in (("MONOCHROME1", "IDENTITY"), ("MONOCHROME2", "INVERSE"))


def _rescale(header: Header, source: Source) -> tuple[float, float]:
    slope = _number_or(header, "RescaleSlope", 1.0, source)
    intercept = _number_or(header, "RescaleIntercept", 0.0, source)
    if slope == 0.0 or not (math.isfinite(slope) and math.isfinite(intercept)):
        raise _bad(source, f"(0028,1053) Rescale Slope = {slope:g}", "a finite number that isn't 0")
    return slope, intercept


def _number_or(header: Header, keyword: str, default: float, source: Source) -> float:
    if keyword not in header.dataset or not header.text(keyword):
        return default
    numbers = header.numbers(keyword)
    if len(numbers) != 1:
        raise _bad(source, f"{keyword} has no single number", "one")
    return numbers[0]


def _windows(header: Header) -> tuple[Window, ...]:
    """The windows that have both a centre and a width; a surplus of either is dropped."""
    centers, widths = header.numbers("WindowCenter"), header.numbers("WindowWidth")
    return tuple(Window(center=c, width=w) for c, w in zip(centers, widths, strict=False))


def _modality_lut(header: Header, source: Source) -> Lut | None:
    items = header.items("ModalityLUTSequence")
    if not items:
        return None
    lut = _lut(items[0])
    if lut is None:
        raise _bad(
            source, "(0028,3000) Modality LUT Sequence is damaged", "a table with its entries"
        )
    return lut


def _lut(item: Header) -> Lut | None:
    """The table of a sequence item; None when it is empty or shorter than it says.

    Source:
        PS3.3 C.11.1.1, C.11.2.1.1: descriptor = entries (0 means 65536), first value mapped, bits.
    """
    descriptor = item.numbers("LUTDescriptor")
    if len(descriptor) != 3:
        return None
    first_mapped, bits = int(descriptor[1]), int(descriptor[2])
    # Read as signed beside signed pixels, although a number of entries never is.
    num_entries = int(descriptor[0]) & 0xFFFF or 1 << 16
    entries = _entries(item, num_entries)
    if entries.size < num_entries or not 1 <= bits <= 16:
        return None
    return Lut(first_mapped=first_mapped, entries=entries[:num_entries])


def _entries(item: Header, num_entries: int) -> NDArray[np.float64]:
    data = item.value("LUTData")
    if not isinstance(data, bytes):
        return np.asarray(item.numbers("LUTData"), np.float64)
    is_little_endian = item.dataset.original_encoding[1] is not False
    is_packed = num_entries <= len(data) < 2 * num_entries  # entries of 8 bits, two a word
    dtype = "u1" if is_packed else "<u2" if is_little_endian else ">u2"
    whole = len(data) - len(data) % np.dtype(dtype).itemsize
    return np.frombuffer(data[:whole], dtype).astype(np.float64)


def _bad(source: Source, found: str, expected: str) -> ImageError:
    return ImageError(source.path, "BAD_HEADER", f"{found}: expected {expected}")
