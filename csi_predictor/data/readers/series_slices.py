"""The slices that a folder of DICOM files holds, by their headers alone."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydicom import Dataset
from pydicom.encaps import encapsulate, generate_frames

from csi_predictor.data.readers.dicom_checks import pixel_format
from csi_predictor.data.readers.dicom_dataset import Header, is_dicom, quiet, read_header
from csi_predictor.data.readers.source import Source, max_bytes, read_content
from csi_predictor.errors import ImageError

_CT = "1.2.840.10008.5.1.4.1.1.2"
_ENHANCED_CT = ("1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.2.2")
CT_CLASSES = (_CT, *_ENHANCED_CT)
"""CT Image Storage, Enhanced CT and Legacy Converted Enhanced CT."""

_HEAD_BYTES = 256
_PREFIX_BYTES = 1 << 20

_PER_FRAME = "PerFrameFunctionalGroupsSequence"
_SHARED = "SharedFunctionalGroupsSequence"
_IN_GROUPS = {
    "PlanePositionSequence": ("ImagePositionPatient",),
    "PlaneOrientationSequence": ("ImageOrientationPatient",),
    "PixelMeasuresSequence": ("PixelSpacing", "SliceThickness"),
    "PixelValueTransformationSequence": ("RescaleSlope", "RescaleIntercept", "RescaleType"),
}
_FRAME_TYPE = "CTImageFrameTypeSequence"
_OF_THE_FILE = (
    "SOPClassUID",
    "SOPInstanceUID",
    "SeriesInstanceUID",
    "PatientID",
    "Modality",
    "ImageType",
    "Rows",
    "Columns",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "PixelPaddingValue",
    "PixelPaddingRangeLimit",
)
_KEYWORDS = (
    *_OF_THE_FILE,
    *(keyword for keywords in _IN_GROUPS.values() for keyword in keywords),
    "NumberOfFrames",
    _PER_FRAME,
    _SHARED,
)


@dataclass(frozen=True, kw_only=True)
class Slice:
    """One frame's place. Absent attributes are empty.

    Attributes:
        path: Of its file.
        frame_index: In its file; 0 of a file with one frame.
        is_ct: Its storage class is one of `CT_CLASSES`.
        series_uid: Series Instance UID.
        patient_id: Never shown.
        image_type: Of the frame, upper case.
        rescale_type: Unit of its values after the rescale.
        size: Rows, columns.
        position: Of its first pixel's centre along L, P, S, mm.
        orientation: Direction of its rows (x), then of its columns (y), along L, P, S.
        spacing_mm: Between rows, between columns.
        thickness_mm: None when absent.
    """

    path: Path
    frame_index: int = 0
    is_ct: bool = True
    series_uid: str = field(default="", repr=False)
    patient_id: str = field(default="", repr=False)
    image_type: tuple[str, ...] = ()
    rescale_type: str = ""
    size: tuple[int, int] = (0, 0)
    position: tuple[float, ...] = ()
    orientation: tuple[float, ...] = ()
    spacing_mm: tuple[float, ...] = ()
    thickness_mm: float | None = None

    @property
    def name(self) -> str:
        """The file's name, and of a file with several frames the frame, counted from 1."""
        return self.path.name + (f" frame {self.frame_index + 1}" if self.frame_index else "")

    @property
    def is_localizer(self) -> bool:
        """Whether it is a scout view. Source: PS3.3 C.8.2.1.1.1 (value 3 of Image Type)."""
        return "LOCALIZER" in self.image_type

    @property
    def is_placed(self) -> bool:
        """Whether position, orientation and spacing are all known."""
        return (len(self.position), len(self.orientation), len(self.spacing_mm)) == (3, 6, 2)


def files_below(folder: Path) -> tuple[Path, ...]:
    """The regular, not hidden files below a folder, sorted; linked folders aren't entered.

    Raises:
        ImageError: NO_PERMISSION or UNREADABLE for a folder that can't be searched.
    """

    def refuse(error: OSError) -> None:
        is_forbidden = isinstance(error, PermissionError)
        raise ImageError(
            error.filename or folder,
            "NO_PERMISSION" if is_forbidden else "UNREADABLE",
            f"the folder can't be searched ({error.strerror})",
        ) from error

    found = []
    for parent, subfolders, names in os.walk(folder, onerror=refuse):
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        found += [Path(parent, name) for name in names if not name.startswith(".")]
    return tuple(sorted(path for path in found if path.is_file()))


def is_dicom_file(path: Path) -> bool:
    """Whether a file begins as DICOM; False for what can't be read, so that its reader says why."""
    try:
        with path.open("rb") as file:
            return is_dicom(file.read(_HEAD_BYTES))
    except OSError:
        return False


def scan_slices(paths: Sequence[Path], *, max_megapixels: float) -> tuple[Slice, ...]:
    """The frames of all DICOM files among some files; files of another format are passed over.

    Raises:
        ImageError: A DICOM file can't be read or is damaged.
    """
    found: list[Slice] = []
    for path in paths:
        try:
            found += _slices(path, max_megapixels)
        except ImageError as error:
            if error.reason != "NOT_AN_IMAGE":
                raise
    return tuple(found)


def read_source(path: Path, max_megapixels: float, *, is_whole: bool = True) -> Source:
    """A DICOM file's content, or its beginning.

    Raises:
        ImageError: NOT_AN_IMAGE for another format; NO_PERMISSION, UNREADABLE or TOO_LARGE.
    """
    content = read_content(
        path,
        max_bytes(max_megapixels),
        is_dicom,
        prefix_bytes=None if is_whole else _PREFIX_BYTES,
    )
    return Source(path=path, content=content, max_megapixels=max_megapixels)


def frame_headers(header: Header, source: Source) -> tuple[Header, ...]:
    """Each frame as a data set of one frame, as if the file were a series of CT Image Storage.

    Raises:
        ImageError: MULTI_FRAME for several frames without functional groups; BAD_HEADER where
            their number differs; TRUNCATED or DECODE_FAILED where the pixels can't be divided.

    Source:
        PS3.3 C.7.6.16 (functional groups), C.8.15.3 (CT's).
    """
    items = header.items(_PER_FRAME)
    num_frames = header.integer("NumberOfFrames")
    if not items and num_frames in (None, 0, 1):
        return (header,)
    if not items:
        raise ImageError(
            source.path,
            "MULTI_FRAME",
            f"(0028,0008) Number of Frames = {num_frames} without (5200,9230) Per-Frame Functional "
            "Groups Sequence: expected the place of each frame",
        )
    if num_frames != len(items):
        raise ImageError(
            source.path,
            "BAD_HEADER",
            f"(0028,0008) Number of Frames = {num_frames}: expected {len(items)}, the items of "
            "(5200,9230) Per-Frame Functional Groups Sequence",
        )
    shared = header.items(_SHARED)[:1]
    flat = tuple(_flat(header, (item, *shared)) for item in items)
    _divide_pixels(header, flat, source)
    return flat


def _slices(path: Path, max_megapixels: float) -> Iterator[Slice]:
    header, source = _header(path, max_megapixels)
    storage = storage_class(header)
    if storage not in CT_CLASSES:
        yield Slice(
            path=path,
            is_ct=False,
            series_uid=header.text("SeriesInstanceUID"),
            patient_id=header.text("PatientID"),
        )
        return
    try:
        with quiet():
            found = [
                _slice(frame, path, index)
                for index, frame in enumerate(frame_headers(header, source))
            ]
    except ImageError:
        raise
    except Exception as error:
        # Without the cause: its text may quote values of the patient.
        raise ImageError(
            path, "BAD_HEADER", f"a DICOM element is damaged ({type(error).__name__})"
        ) from None
    yield from found


def _header(path: Path, max_megapixels: float) -> tuple[Header, Source]:
    """What `_KEYWORDS` say; the whole file is read only where its beginning isn't enough."""
    source = read_source(path, max_megapixels, is_whole=False)
    header = read_header(source, _KEYWORDS)
    is_enhanced = storage_class(header) in _ENHANCED_CT
    if (header.ends_early or is_enhanced) and len(source.content) >= _PREFIX_BYTES:
        source = read_source(path, max_megapixels)
        header = read_header(source, _KEYWORDS)
    return header, source


def storage_class(header: Header) -> str:
    """SOP Class UID; where it was emptied, that of the file meta, else CT's by the modality."""
    uid = header.text("SOPClassUID")
    meta = getattr(header.dataset, "file_meta", None)
    if not uid and meta is not None:
        uid = Header(meta).text("MediaStorageSOPClassUID")
    return uid or (_CT if header.text("Modality").upper() == "CT" else "")


def _slice(header: Header, path: Path, index: int) -> Slice:
    thickness = header.numbers("SliceThickness")
    return Slice(
        path=path,
        frame_index=index,
        series_uid=header.text("SeriesInstanceUID"),
        patient_id=header.text("PatientID"),
        image_type=tuple(value.upper() for value in header.texts("ImageType")),
        rescale_type=header.text("RescaleType").upper(),
        size=(header.integer("Rows") or 0, header.integer("Columns") or 0),
        position=header.numbers("ImagePositionPatient"),
        orientation=header.numbers("ImageOrientationPatient"),
        spacing_mm=header.numbers("PixelSpacing"),
        thickness_mm=thickness[0] if thickness else None,
    )


def _flat(header: Header, groups: tuple[Header, ...]) -> Header:
    """One frame's attributes: its own groups' before the shared ones, and the file's."""
    dataset = Dataset()
    if hasattr(header.dataset, "file_meta"):
        dataset.file_meta = header.dataset.file_meta
    for keyword in _OF_THE_FILE:
        if keyword in header.dataset:
            dataset[keyword] = header.dataset[keyword]
    for sequence, keywords in _IN_GROUPS.items():
        for item in _first(sequence, groups):
            for keyword in keywords:
                if keyword in item.dataset:
                    dataset[keyword] = item.dataset[keyword]
    for item in _first(_FRAME_TYPE, groups):
        dataset.ImageType = item.value("FrameType")
    return Header(dataset, ends_early=header.ends_early)


def _first(sequence: str, groups: tuple[Header, ...]) -> tuple[Header, ...]:
    for group in groups:
        if items := group.items(sequence):
            return items[:1]
    return ()


def _divide_pixels(header: Header, frames: Sequence[Header], source: Source) -> None:
    """Give each frame its own pixels, where the pixels were read at all."""
    data = header.value("PixelData")
    if data is None:
        return
    meta = header.dataset.file_meta
    if not meta.TransferSyntaxUID.is_encapsulated:
        num_bytes = pixel_format(frames[0], source).num_bytes
        pieces = [data[i * num_bytes : (i + 1) * num_bytes] for i in range(len(frames))]
    else:
        pieces = [
            encapsulate([piece]) for piece in generate_frames(data, number_of_frames=len(frames))
        ]
    if len(pieces) != len(frames):
        raise ImageError(
            source.path, "TRUNCATED", f"{len(pieces)} frames of pixels: expected {len(frames)}"
        )
    for frame, piece in zip(frames, pieces, strict=True):
        frame.dataset.PixelData = piece
        frame.dataset["PixelData"].VR = header.dataset["PixelData"].VR
