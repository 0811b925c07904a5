"""Where a DICOM picture came from."""

import hashlib
from collections.abc import Iterator

from pydicom.uid import UID

from csi_predictor.data.image import SourceFacts
from csi_predictor.data.readers.decoders import decoder_name
from csi_predictor.data.readers.dicom_checks import PixelFormat
from csi_predictor.data.readers.dicom_dataset import Header
from csi_predictor.data.readers.dicom_display import is_polarity_contradicted
from csi_predictor.data.readers.source import Source


def facts_of(header: Header, layout: PixelFormat, syntax: UID, source: Source) -> SourceFacts:
    """What a header says of the picture's origin, and notes on what makes its display doubtful."""
    return SourceFacts(
        path=source.path,
        format="dicom",
        sha256=hashlib.sha256(source.content).hexdigest(),
        decoder=decoder_name(syntax),
        rows=layout.rows,
        columns=layout.columns,
        transfer_syntax_uid=str(syntax),
        sop_class_uid=header.text("SOPClassUID"),
        sop_instance_uid=header.text("SOPInstanceUID"),
        study_instance_uid=header.text("StudyInstanceUID"),
        series_instance_uid=header.text("SeriesInstanceUID"),
        patient_id=header.text("PatientID"),
        study_date=header.text("StudyDate"),
        acquired_at=_acquired_at(header),
        modality=header.text("Modality"),
        image_type=header.texts("ImageType"),
        view_position=header.text("ViewPosition"),
        patient_orientation=header.texts("PatientOrientation"),
        body_part_examined=header.text("BodyPartExamined"),
        photometric_interpretation=header.text("PhotometricInterpretation"),
        manufacturer=header.text("Manufacturer"),
        notes=tuple(_notes(header)),
    )


def _notes(header: Header) -> Iterator[str]:
    if is_polarity_contradicted(header):
        yield "polarity: Photometric Interpretation and Presentation LUT Shape contradict"
    # Rotation and flip tell what was done to the detector's picture before it was stored (PS3.3
    # C.8.11.4): a frontal view may need either to stand right. Patient Orientation tells the
    # result, so they count only where it is absent, and then nobody knows the side.
    if not any(header.texts("PatientOrientation")) and _is_turned_after_detector(header):
        yield "turned or flipped after the detector, without Patient Orientation"


def _is_turned_after_detector(header: Header) -> bool:
    is_flipped = header.text("FieldOfViewHorizontalFlip").upper() == "YES"
    return is_flipped or any(
        degrees % 360 != 0 for degrees in header.numbers("FieldOfViewRotation")
    )


def _acquired_at(header: Header) -> str:
    """Date and time of the acquisition, else of the content, the series or the study."""
    if moment := header.text("AcquisitionDateTime"):
        return moment
    for event in ("Acquisition", "Content", "Series", "Study"):
        if date := header.text(f"{event}Date"):
            return date + header.text(f"{event}Time")
    return ""
