"""Prepared images kept, so that the second epoch doesn't depend on the decoder."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from loguru import logger
from numpy.typing import NDArray

from csi_predictor.data.cache_entry import read_entry, spec_key, write_entry
from csi_predictor.data.content import ContentIndex, file_signature, hash_file
from csi_predictor.data.manifest import Row
from csi_predictor.data.prepare import prepare as prepare_image
from csi_predictor.data.process_pool import map_unordered
from csi_predictor.data.table import check_no_problems
from csi_predictor.data.volume_content import hash_volume, volume_signature
from csi_predictor.data.volumes import prepare_volume
from csi_predictor.errors import ImageError
from csi_predictor.progress import track
from csi_predictor.specs import InputSpec

Floats = NDArray[np.float32]
CacheKind = Literal["none", "memory", "disk"]
_LEFTOVER_S = 3600.0
_SHOWN_NOTES = 10


class HasPixels(Protocol):
    """What `prepare` returns, as far as the cache cares; `facts.notes`, where there, are logged."""

    @property
    def pixels(self) -> Floats:
        """(H, W) or (D, H, W) in [0, 1]."""


class PixelStore(Protocol):
    """What training and evaluation need of prepared images, wherever they are kept.

    Attributes:
        spec: What they are prepared for.
    """

    spec: InputSpec

    def get(self, row: Row) -> Floats:
        """(H, W) grey, (3, H, W) colour or a volume (D, H, W) in [0, 1]; not to be written to."""
        ...

    def fill(self, rows: Sequence[Row], workers: int = 0) -> None:
        """Prepare all images, or find out that one can't be used."""
        ...


Prepare = Callable[[Path, InputSpec], HasPixels]


class PreparedCache:
    """Prepared pixels by image.

    An entry on disk is `folder/<spec>/<content>.npy`: named by the spec with `PREPARE_VERSION` and
    by the SHA-256 of the file, so a changed file, spec or version is another entry, a moved or
    renamed file is the same one, and any number of runs may share the folder.

    Args:
        kind: `none` prepares at each call, `memory` keeps for this process and those it forks,
            `disk` keeps between runs.
        folder: Of `disk`.
        spec: What is prepared for.
        prepare: Makes the pixels; a function of a module's top level. None = by the spec's size:
            of a picture, or of a volume, whose rows' paths may be folders.
    """

    def __init__(
        self,
        kind: CacheKind,
        folder: Path,
        spec: InputSpec,
        *,
        prepare: Prepare | None = None,
    ) -> None:
        self.kind = kind
        self.folder = folder / spec_key(spec)
        self.spec = spec
        is_volume = len(spec.size) == 3
        self._prepare = prepare or (prepare_volume if is_volume else prepare_image)
        self._hash = hash_volume if is_volume else hash_file
        self._signature = volume_signature if is_volume else file_signature
        self._pixels: dict[Path, Floats] = {}
        self._contents: dict[Path, str] = {}
        self._index_path = folder / "contents.json"

    def get(self, row: Row) -> Floats:
        """(H, W) or (D, H, W) in [0, 1]; not to be written to.

        Raises:
            ImageError: The image can't be used.
            ResourceError: The disk is full.
        """
        if self.kind == "none":
            return self._prepare(row.path, self.spec).pixels
        if self.kind == "memory":
            if row.path not in self._pixels:
                self._pixels[row.path] = self._prepare(row.path, self.spec).pixels
            return self._pixels[row.path]
        if row.path not in self._contents:
            self._contents[row.path] = self._hash(row.path)
        entry = _entry_path(self.folder, self._contents[row.path])
        pixels = read_entry(entry)
        if pixels is None:
            pixels = self._prepare(row.path, self.spec).pixels
            write_entry(entry, pixels)
        return pixels

    def fill(self, rows: Sequence[Row], workers: int = 0) -> None:
        """Prepare all images that aren't kept yet; with kind `none` they are only checked.

        Args:
            rows: Images.
            workers: Processes; 0 prepares in this one. The result is the same.

        Raises:
            LabelsError: All images that can't be used, each with its reason.
            ResourceError: The disk is full, or a process was killed.
        """
        if self.kind == "memory":
            self._fill_memory(rows, workers)
        elif self.kind == "disk":
            self._fill_disk(rows, workers)
        else:
            work = partial(_check_only, spec=self.spec, prepare=self._prepare)
            outcomes = _run(work, [_Job(row.path) for row in rows], workers)
            _check_all_usable(rows, outcomes)
            _warn_of_notes(rows, outcomes)

    def _fill_memory(self, rows: Sequence[Row], workers: int) -> None:
        missing = [_Job(row.path) for row in rows if row.path not in self._pixels]
        work = partial(_prepare_for_memory, spec=self.spec, prepare=self._prepare)
        outcomes = _run(work, missing, workers)
        self._pixels |= {each.path: each.pixels for each in outcomes if each.pixels is not None}
        _check_all_usable(rows, outcomes)
        _warn_of_notes(rows, outcomes)

    def _fill_disk(self, rows: Sequence[Row], workers: int) -> None:
        _remove_leftovers(self.folder)
        index = ContentIndex(self._index_path, self._signature)
        for row in rows:
            content = self._contents.get(row.path) or index.find(row.path)
            if content is not None:
                self._contents[row.path] = content
        missing = [
            _Job(row.path, content)
            for row in rows
            if not (content := self._contents.get(row.path, ""))
            or not _entry_path(self.folder, content).exists()
        ]
        work = partial(
            _prepare_on_disk,
            folder=self.folder,
            spec=self.spec,
            prepare=self._prepare,
            hash_content=self._hash,
        )
        outcomes = _run(work, missing, workers)
        for outcome in outcomes:
            if outcome.error is None:
                self._contents[outcome.path] = outcome.content
                index.remember(outcome.path, outcome.content)
        if missing:
            index.save()
        _check_all_usable(rows, outcomes)
        _warn_of_notes(rows, outcomes)
        logger.info(
            "cache: {} images newly prepared, {} were there",
            sum(outcome.is_new for outcome in outcomes),
            len(rows) - sum(outcome.is_new for outcome in outcomes),
        )


@dataclass(frozen=True)
class _Job:
    path: Path
    content: str = ""  # SHA-256 where it is known

    def __str__(self) -> str:
        return str(self.path)


@dataclass(frozen=True)
class _Outcome:
    path: Path
    content: str = ""
    pixels: Floats | None = None
    is_new: bool = False
    error: ImageError | None = None
    notes: tuple[str, ...] = ()


def _prepare_for_memory(job: _Job, *, spec: InputSpec, prepare: Prepare) -> _Outcome:
    try:
        prepared = prepare(job.path, spec)
        return _Outcome(job.path, pixels=prepared.pixels, notes=_notes_of(prepared))
    except ImageError as error:
        return _Outcome(job.path, error=error)


def _check_only(job: _Job, *, spec: InputSpec, prepare: Prepare) -> _Outcome:
    return replace(_prepare_for_memory(job, spec=spec, prepare=prepare), pixels=None)


def _prepare_on_disk(
    job: _Job,
    *,
    folder: Path,
    spec: InputSpec,
    prepare: Prepare,
    hash_content: Callable[[Path], str],
) -> _Outcome:
    try:
        content = job.content or hash_content(job.path)
        entry = _entry_path(folder, content)
        is_new = not entry.exists()
        notes: tuple[str, ...] = ()
        if is_new:
            prepared = prepare(job.path, spec)
            notes = _notes_of(prepared)
            write_entry(entry, prepared.pixels)
    except ImageError as error:
        return _Outcome(job.path, error=error)
    return _Outcome(job.path, content, is_new=is_new, notes=notes)


def _run(
    work: Callable[[_Job], _Outcome], jobs: Sequence[_Job], workers: int
) -> tuple[_Outcome, ...]:
    ready = map_unordered(work, jobs, workers)
    return tuple(track(ready, "preparing images", len(jobs))) if jobs else ()


def _notes_of(prepared: HasPixels) -> tuple[str, ...]:
    """What was decided in reading and is a reason to look twice; every image has a VOI rule."""
    notes = getattr(getattr(prepared, "facts", None), "notes", ())
    return tuple(note for note in notes if not note.startswith("voi: "))


def _warn_of_notes(rows: Sequence[Row], outcomes: Sequence[_Outcome]) -> None:
    """One line a note, with how many images have it and the first one's id."""
    ids = {row.path: row.file_id for row in rows}
    found: dict[str, list[Path]] = {}
    for outcome in outcomes:
        for note in outcome.notes:
            found.setdefault(note, []).append(outcome.path)
    ordered = sorted(found.items(), key=lambda item: -len(item[1]))
    for note, paths in ordered[:_SHOWN_NOTES]:
        logger.warning("{} (in {} images, such as {})", note, len(paths), ids.get(paths[0], ""))
    if len(ordered) > _SHOWN_NOTES:
        logger.warning("... and {} more kinds of notes", len(ordered) - _SHOWN_NOTES)


def _check_all_usable(rows: Sequence[Row], outcomes: Sequence[_Outcome]) -> None:
    errors = {outcome.path: outcome.error for outcome in outcomes if outcome.error is not None}
    bad = [row for row in rows if row.path in errors]
    if bad:
        ids = ", ".join(row.file_id for row in bad)
        check_no_problems(
            [
                f"{len(bad)} of {len(rows)} images can't be used: repair them, or leave them out "
                f"with [DATA] EXCLUDED_FILE_IDS = {ids}",
                *(str(errors[row.path]) for row in bad),
            ]
        )


def _entry_path(folder: Path, content: str) -> Path:
    return folder / f"{content}.npy"


def _remove_leftovers(folder: Path) -> None:
    """Delete what killed runs left, but not what another run writes right now."""
    for path in folder.glob(".*.tmp"):
        try:
            if time.time() - path.stat().st_mtime > _LEFTOVER_S:
                path.unlink()
        except FileNotFoundError:
            continue  # another run was faster
