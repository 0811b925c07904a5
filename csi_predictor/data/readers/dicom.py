"""A DICOM radiograph -> its stored values, or the reason why it can't be one."""

import math

import numpy as np

from csi_predictor.data.image import Image
from csi_predictor.data.readers.dicom_checks import check_radiograph
from csi_predictor.data.readers.dicom_dataset import Header, quiet, read_header
from csi_predictor.data.readers.dicom_display import display_facts
from csi_predictor.data.readers.dicom_facts import facts_of
from csi_predictor.data.readers.dicom_pixels import read_frame
from csi_predictor.data.readers.source import Source
from csi_predictor.errors import ImageError


def read_dicom(source: Source) -> Image:
    """The stored values of a single-frame grey radiograph.

    Raises:
        ImageError: With the code of the first thing that makes the file unfit.
    """
    header = read_header(source)
    try:
        with quiet():
            return _read(header, source)
    except ImageError:
        raise
    except Exception as error:
        # Damaged elements fail in pydicom wherever they are touched. Without the cause: its text
        # may quote values of the patient.
        raise ImageError(
            source.path, "BAD_HEADER", f"a DICOM element is damaged ({type(error).__name__})"
        ) from None


def _read(header: Header, source: Source) -> Image:
    check_radiograph(header, source)
    frame = read_frame(header, source)
    return Image(
        pixels=frame.pixels.astype(np.float32),
        spacing_mm=_spacing_mm(header),
        padding=frame.padding,
        has_integer_pixels=True,
        display=display_facts(header, source),
        facts=facts_of(header, frame.layout, frame.syntax, source),
    )


def _spacing_mm(header: Header) -> tuple[float, float] | None:
    """(row, column) spacing, at the detector where no calibrated one is given."""
    for keyword in ("PixelSpacing", "ImagerPixelSpacing"):
        values = header.numbers(keyword)
        if len(values) == 2 and all(value > 0 and math.isfinite(value) for value in values):
            return values[0], values[1]
    return None
