"""What a reader returns: stored values, how they are to be shown, and where they came from."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

VoiFunction = Literal["LINEAR", "LINEAR_EXACT", "SIGMOID"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Lut:
    """A lookup table of PS3.3 C.11.1 or C.11.2.

    Attributes:
        first_mapped: Input value that meets entry 0; smaller inputs meet it too, and inputs above
            the last entry meet the last.
        entries: (N,) float64.
    """

    first_mapped: int
    entries: NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Window:
    """A window in modality units, as found: the intensity decides whether it can be used."""

    center: float
    width: float


@dataclass(frozen=True, kw_only=True, eq=False)
class DisplayFacts:
    """How stored values become a picture: modality, then VOI, then polarity (PS3.4 N.2).

    Attributes:
        rescale_slope: Multiplies the stored value; without effect beside a `modality_lut`.
        rescale_intercept: Is added after it.
        modality_lut: Takes the place of the rescale.
        voi_luts: VOI LUT Sequence, in the file's order.
        windows: In the file's order.
        voi_function: Of every window (VOI LUT Function).
        is_inverted: The lowest value is shown white: the picture is turned once, at the end.
    """

    rescale_slope: float = 1.0
    rescale_intercept: float = 0.0
    modality_lut: Lut | None = None
    voi_luts: tuple[Lut, ...] = ()
    windows: tuple[Window, ...] = ()
    voi_function: VoiFunction = "LINEAR"
    is_inverted: bool = False


@dataclass(frozen=True, kw_only=True)
class SourceFacts:
    """Where a picture came from. Absent DICOM attributes are empty texts.

    What can name a patient stays out of `repr`, so that a logged record doesn't.

    Attributes:
        path: The file.
        format: `dicom`, `nifti`, `png`, `jpeg`, `tiff` or `npz`.
        sha256: Of the file's content, hexadecimal.
        decoder: What turned bytes into pixels, with its version.
        rows: H of the stored picture.
        columns: W of the stored picture.
        acquired_at: Date and time, `YYYYMMDDHHMMSS.F`, as far as the file has them.
        photometric_interpretation: As stored.
        notes: What was decided on the way, without values of the patient. All but the VOI rule,
            `voi: ...`, are reasons to look twice, and a score's quality repeats them.
    """

    path: Path
    format: str
    sha256: str
    decoder: str
    rows: int
    columns: int
    transfer_syntax_uid: str = ""
    sop_class_uid: str = ""
    sop_instance_uid: str = field(default="", repr=False)
    study_instance_uid: str = field(default="", repr=False)
    series_instance_uid: str = field(default="", repr=False)
    patient_id: str = field(default="", repr=False)
    study_date: str = field(default="", repr=False)
    acquired_at: str = field(default="", repr=False)
    modality: str = ""
    image_type: tuple[str, ...] = ()
    view_position: str = ""
    patient_orientation: tuple[str, ...] = ()
    body_part_examined: str = ""
    photometric_interpretation: str = ""
    manufacturer: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class Image:
    """A picture or a volume.

    Attributes:
        pixels: (H, W) or (D, H, W) float32: stored values from a reader, [0, 1] after the
            intensity. Rows run down and the patient's right lies on the left; a volume runs along
            LPS: D towards the head, H towards the back, W towards the patient's left.
        spacing_mm: Distance of neighbours along each axis of `pixels`; None when unknown.
        padding: Same shape, True where there is no picture; None when there is picture everywhere.
        has_integer_pixels: The values are whole numbers, so a lookup table serves them exactly.
        display: How the stored values are to be shown.
        facts: Where the picture came from.
    """

    pixels: NDArray[np.float32]
    spacing_mm: tuple[float, ...] | None = None
    padding: NDArray[np.bool_] | None = None
    has_integer_pixels: bool = False
    display: DisplayFacts = field(default_factory=DisplayFacts)
    facts: SourceFacts
