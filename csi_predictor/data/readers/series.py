"""A DICOM CT series -> one volume in Hounsfield units."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from csi_predictor.data.image import Image, SourceFacts
from csi_predictor.data.readers.dicom_dataset import Header, quiet, read_header
from csi_predictor.data.readers.dicom_display import display_facts
from csi_predictor.data.readers.dicom_facts import facts_of
from csi_predictor.data.readers.dicom_pixels import StoredFrame, read_frame
from csi_predictor.data.readers.orientation import turn_to_lps
from csi_predictor.data.readers.series_choice import choose_series
from csi_predictor.data.readers.series_geometry import Stack, stack_slices
from csi_predictor.data.readers.series_slices import (
    Slice,
    files_below,
    frame_headers,
    read_source,
    scan_slices,
)
from csi_predictor.data.readers.source import Source
from csi_predictor.errors import ImageError

MAX_MEGAVOXELS = 500.0
"""1,900 slices of 512 x 512: 2 GB as float32."""

_GREY = ("MONOCHROME1", "MONOCHROME2")


@dataclass(frozen=True, eq=False)
class _Plane:
    """One slice: (Rows, Columns) in Hounsfield units, and where it is padding."""

    hounsfield: NDArray[np.float32]
    padding: NDArray[np.bool_] | None
    facts: SourceFacts


def read_series(
    source: Path | Sequence[Path],
    *,
    max_megapixels: float = MAX_MEGAVOXELS,
    min_slices: int = 8,
) -> Image:
    """The volume of a CT series, in Hounsfield units, along LPS.

    `series_choice.choose_series` says which series of several is read, and
    `series_geometry.stack_slices` how its slices are ordered and what makes them no volume. Each
    slice's own rescale is applied. The volume is turned to the nearest axes of the patient and not
    resampled; an oblique one is noted. Padding has the lowest Hounsfield unit of the picture. The
    windows are left out: the same volume as NIfTI has none.

    Args:
        source: A folder, searched with its subfolders, a file of several frames, or files.
        max_megapixels: A larger volume is refused before it is decoded; megavoxels.
        min_slices: Fewer make no volume.

    Raises:
        ImageError: With the reason code of what was found. Its path is the folder, or the file
            that is damaged.
    """
    paths, folder = _paths(source)
    slices = scan_slices(paths, max_megapixels=max_megapixels)
    series = choose_series(slices, folder=folder, min_slices=min_slices)
    _check_size(series.slices, folder, max_megapixels)

    def is_same(first: Slice, second: Slice) -> bool:
        planes = [_plane(each, max_megapixels) for each in (first, second)]
        return np.array_equal(planes[0].hounsfield, planes[1].hounsfield)

    stack = stack_slices(series.slices, folder=folder, is_same=is_same)
    return _read(stack, folder, max_megapixels, notes=(*series.notes, *stack.notes))


def _paths(source: Path | Sequence[Path]) -> tuple[tuple[Path, ...], Path]:
    """The files, and what messages call them together."""
    if not isinstance(source, Path):
        paths = tuple(source)
        return paths, paths[0].parent if paths else Path()
    if source.is_dir():
        return files_below(source), source
    return (source,), source


def _check_size(slices: Sequence[Slice], folder: Path, max_megapixels: float) -> None:
    rows, columns = slices[0].size
    check = Source(path=folder, content=b"", max_megapixels=max_megapixels)
    check.check_size(len(slices), rows, columns)


def _read(stack: Stack, folder: Path, max_megapixels: float, *, notes: tuple[str, ...]) -> Image:
    turn = turn_to_lps(stack.directions)
    rows, columns = stack.slices[0].size
    shape = (len(stack.slices), rows, columns)
    # The slices are written where they belong, so a turned volume needs no second copy.
    pixels = np.empty(tuple(shape[2 - axis] for axis in turn.file_axes), np.float32)
    padding = None
    facts: dict[int, SourceFacts] = {}
    for place, plane in _planes(stack.slices, max_megapixels):
        turn.undo(pixels)[place] = plane.hounsfield
        if plane.padding is not None:
            padding = np.zeros(pixels.shape, np.bool_) if padding is None else padding
            turn.undo(padding)[place] = plane.padding
        facts[place] = plane.facts
    if padding is not None:
        pixels[padding] = pixels.min(where=~padding, initial=np.inf) if not padding.all() else 0.0
    return Image(
        pixels=pixels,
        spacing_mm=tuple(stack.spacing_mm[axis] for axis in turn.file_axes),
        padding=padding,
        has_integer_pixels=bool(all(np.array_equal(np.rint(each), each) for each in pixels)),
        facts=replace(
            facts[0],
            path=folder,
            sha256=combined_hash({each.sha256 for each in facts.values()}),
            rows=pixels.shape[1],
            columns=pixels.shape[2],
            notes=(*facts[0].notes, *notes, *turn.notes),
        ),
    )


def combined_hash(hashes: Iterable[str]) -> str:
    """One SHA-256 of several files' ones, the same in any order and under any names."""
    return hashlib.sha256("\n".join(sorted(hashes)).encode()).hexdigest()


def _planes(slices: Sequence[Slice], max_megapixels: float) -> Iterator[tuple[int, _Plane]]:
    """Each slice with its place in the stack; each file is read once."""
    places: dict[Path, list[tuple[int, Slice]]] = defaultdict(list)
    for place, each in enumerate(slices):
        places[each.path].append((place, each))
    for path, group in places.items():
        for place, plane in zip(
            [place for place, _ in group],
            _planes_of_file(path, [each.frame_index for _, each in group], max_megapixels),
            strict=True,
        ):
            yield place, plane


def _plane(each: Slice, max_megapixels: float) -> _Plane:
    return next(_planes_of_file(each.path, [each.frame_index], max_megapixels))


def _planes_of_file(
    path: Path, frame_indices: Sequence[int], max_megapixels: float
) -> Iterator[_Plane]:
    source = read_source(path, max_megapixels)
    header = read_header(source)
    try:
        with quiet():
            frames = _checked_frames(header, source)
    except ImageError:
        raise
    except Exception as error:
        raise _damaged(source, error) from None
    for index in frame_indices:
        yield _decoded(header, frames[index], source)


def _checked_frames(header: Header, source: Source) -> tuple[Header, ...]:
    if header.value("PixelData") is None:
        if header.ends_early:
            raise ImageError(source.path, "TRUNCATED", "the file ends before its pixels")
        raise ImageError(source.path, "NO_PIXELS", "(7FE0,0010) Pixel Data is absent or empty")
    return frame_headers(header, source)


def _decoded(header: Header, frame: Header, source: Source) -> _Plane:
    try:
        with quiet():
            _check_values(frame, source)
            stored = read_frame(frame, source)
            facts = facts_of(header, stored.layout, stored.syntax, source)
            return _Plane(_hounsfield(frame, stored, source), stored.padding, facts)
    except ImageError:
        raise
    except Exception as error:
        # Damaged elements fail in pydicom wherever they are touched. Without the cause: its text
        # may quote values of the patient.
        raise _damaged(source, error) from None


def _check_values(frame: Header, source: Source) -> None:
    photometric = frame.text("PhotometricInterpretation").upper()
    samples = frame.integer("SamplesPerPixel")
    if photometric not in _GREY or samples != 1:
        raise ImageError(
            source.path,
            "COLOUR",
            f"(0028,0004) Photometric Interpretation = {photometric[:16]} with {samples} samples a "
            "pixel: expected MONOCHROME2 with 1",
        )
    for keyword, tag in (("RescaleSlope", "(0028,1053)"), ("RescaleIntercept", "(0028,1052)")):
        if len(frame.numbers(keyword)) != 1:
            raise ImageError(
                source.path,
                "BAD_HEADER",
                f"{tag} {keyword} is absent or damaged: expected one number: without it the "
                "values aren't Hounsfield units",
            )


def _hounsfield(frame: Header, stored: StoredFrame, source: Source) -> NDArray[np.float32]:
    """Source: PS3.3 C.11.1.1.2; C.8.2.1.1.6 for CT."""
    display = display_facts(frame, source)
    pixels = stored.pixels.astype(np.float32)
    pixels *= np.float32(display.rescale_slope)
    pixels += np.float32(display.rescale_intercept)
    return pixels


def _damaged(source: Source, error: Exception) -> ImageError:
    return ImageError(
        source.path, "BAD_HEADER", f"a DICOM element is damaged ({type(error).__name__})"
    )
