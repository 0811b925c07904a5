"""Which of several series in a folder is the CT volume."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from csi_predictor.data.readers.series_slices import Slice
from csi_predictor.errors import ImageError, ReasonCode

_HOUNSFIELD = ("", "HU", "HU_MOD")
_UNSPECIFIED = "US"
"""Rescale types (PS3.3 C.11.1.1.2); of a map, as of perfusion, the unit is left unspecified too."""


@dataclass(frozen=True)
class Series:
    """Slices of one Series Instance UID; those without one count as one series.

    Attributes:
        uid: Series Instance UID.
        slices: Without localizers.
        num_localizers: Left out.
        notes: What was decided on the way.
    """

    uid: str = field(repr=False)
    slices: tuple[Slice, ...]
    num_localizers: int = 0
    notes: tuple[str, ...] = ()

    @property
    def is_axial(self) -> bool:
        """Whether the first slice faces the feet or the head more than any other side."""
        x, y = np.array(self.slices[0].orientation).reshape(2, 3)
        return int(np.abs(np.cross(x, y)).argmax()) == 2

    @property
    def is_original(self) -> bool:
        """Whether every slice is ORIGINAL and PRIMARY (PS3.3 C.7.6.1.1.2)."""
        return all(each.image_type[:2] == ("ORIGINAL", "PRIMARY") for each in self.slices)

    @property
    def thickness_mm(self) -> float:
        """Median slice thickness; infinite when no slice gives it."""
        known = [each.thickness_mm for each in self.slices if each.thickness_mm is not None]
        return float(np.median(known)) if known else float("inf")


def choose_series(slices: Sequence[Slice], *, folder: Path, min_slices: int) -> Series:
    """The one series to read.

    Left out are objects that aren't CT images, localizers, series of other units than Hounsfield's
    (an unspecified one counts as such in original images), slices without a place in the patient
    and series of fewer than `min_slices`. Of what remains the first is taken in this order: axial
    before others, original and primary before derived, more slices before fewer, thinner before
    thicker, then by Series Instance UID. The notes say when there was a choice.

    Args:
        slices: Of all files.
        folder: For messages.
        min_slices: Fewer make no volume.

    Raises:
        ImageError: NOT_DICOM, UNSUPPORTED_SOP_CLASS, BAD_HEADER or TRUNCATED when none is left.
    """
    if not slices:
        raise ImageError(folder, "NOT_DICOM", "no DICOM file: expected the slices of a CT series")
    num_patients = len({each.patient_id for each in slices})
    if num_patients > 1:
        raise ImageError(
            folder,
            "BAD_HEADER",
            f"images of {num_patients} different values of Patient ID: expected one patient a "
            "folder, or the label may be of another one than the pixels",
        )
    candidates, faults = [], []
    for series in _grouped(slices):
        fault = _fault(series, min_slices)
        if fault is None:
            candidates.append(series)
        else:
            faults.append(fault)
    if not candidates:
        found = Counter(text for _, text in faults)
        texts = "; ".join(f"{number} series with {text}" for text, number in found.items())
        raise ImageError(
            folder, faults[-1][0], f"{texts}: expected a CT series of {min_slices} slices or more"
        )
    chosen = min(candidates, key=_rank)
    return Series(
        chosen.uid, chosen.slices, chosen.num_localizers, tuple(_notes(chosen, candidates))
    )


def _grouped(slices: Sequence[Slice]) -> list[Series]:
    """Series with the fewest slices first, so that the last fault is the main one's."""
    groups: dict[str, list[Slice]] = defaultdict(list)
    for each in slices:
        groups[each.series_uid].append(each)
    series = []
    for uid, group in groups.items():
        images = [each for each in group if each.is_ct]
        kept = tuple(each for each in images if not each.is_localizer)
        series.append(Series(uid, kept, len(images) - len(kept)))
    return sorted(series, key=lambda each: (len(each.slices), each.num_localizers, each.uid))


def _fault(series: Series, min_slices: int) -> tuple[ReasonCode, str] | None:
    if not series.slices:
        what = "only localizers" if series.num_localizers else "no CT image"
        return "UNSUPPORTED_SOP_CLASS", what
    other = {each.rescale_type for each in series.slices} - set(_HOUNSFIELD)
    if series.is_original:
        other.discard(_UNSPECIFIED)
    if other:
        units = ", ".join(sorted(unit[:16] for unit in other))
        return "UNSUPPORTED_SOP_CLASS", f"(0028,1054) Rescale Type = {units}, not HU"
    num_unplaced = sum(not each.is_placed for each in series.slices)
    if num_unplaced:
        return (
            "BAD_HEADER",
            f"{num_unplaced} of {len(series.slices)} slices without (0020,0032) Image Position, "
            "(0020,0037) Image Orientation or (0028,0030) Pixel Spacing",
        )
    if len(series.slices) < min_slices:
        return "TRUNCATED", f"{len(series.slices)} slices"
    return None


def _rank(series: Series) -> tuple[bool, bool, int, float, str]:
    return (
        not series.is_axial,
        not series.is_original,
        -len(series.slices),
        series.thickness_mm,
        series.uid,
    )


def _notes(chosen: Series, candidates: Sequence[Series]) -> Iterator[str]:
    if chosen.num_localizers:
        yield f"{chosen.num_localizers} localizers in the series left out"
    if len(candidates) > 1:
        kind = "axial" if chosen.is_axial else "not axial"
        origin = "original" if chosen.is_original else "derived"
        yield (
            f"one of {len(candidates)} CT series taken: {kind}, {origin}, "
            f"{len(chosen.slices)} slices of {chosen.thickness_mm:g} mm"
        )
