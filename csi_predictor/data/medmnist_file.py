"""The inside of a MedMNIST file: checked and read array by array."""

import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np
from loguru import logger
from numpy.lib import format as npy
from numpy.typing import NDArray

from csi_predictor.data.download import md5_of
from csi_predictor.data.split import PARTS
from csi_predictor.data.table import check_no_problems
from csi_predictor.errors import LabelsError
from csi_predictor.medmnist_sets import MedMnistFacts

_UNREADABLE = (zipfile.BadZipFile, zlib.error, ValueError, EOFError, OSError, NotImplementedError)


def origin(facts: MedMnistFacts, size: int) -> str:
    """Address and MD5 of a published file, for messages."""
    return f"{facts.address(size)} (MD5 {facts.published_md5(size)})"


def read_labels(path: Path, facts: MedMnistFacts, size: int) -> dict[str, NDArray[np.int64]]:
    """Part -> (N, L) numbers; the shapes of the pictures are checked without reading them.

    `np.load` isn't used: it would read all pictures of a part to tell their shape.

    Raises:
        LabelsError: The file is damaged or another one; all that is wrong with it.
    """
    expected = [f"{part}_{kind}" for part in PARTS for kind in ("images", "labels")]
    with _opened(path, facts, size) as archive:
        present = {name.removesuffix(".npy") for name in archive.namelist()}
        if not present.issuperset(expected):
            raise LabelsError(
                f"{path}: holds {', '.join(sorted(present)) or 'nothing'}: expected "
                f"{', '.join(expected)}, as in {origin(facts, size)}"
            )
        shapes = {part: _read_shape(archive, f"{part}_images") for part in PARTS}
        labels = {part: _read_array(archive, f"{part}_labels") for part in PARTS}
    problems = [
        problem
        for part in PARTS
        for problem in _part_problems(part, shapes[part], labels[part], facts, size)
    ]
    check_no_problems([f"{path.name}: {problem}" for problem in problems])
    return {part: values.astype(np.int64) for part, values in labels.items()}


def read_images(path: Path, facts: MedMnistFacts, size: int, part: str) -> NDArray[np.uint8]:
    """All pictures or volumes of `train`, `val` or `test`.

    Raises:
        LabelsError: The file is damaged.
    """
    with _opened(path, facts, size) as archive:
        return _read_array(archive, f"{part}_images")


def compare_with_published(
    path: Path, facts: MedMnistFacts, size: int, labels: Mapping[str, NDArray[np.int64]]
) -> None:
    """Warn in the log of a file that isn't the published one, with both MD5."""
    found, published = md5_of(path), facts.published_md5(size)
    if found == published:
        return
    counts = tuple(len(labels[part]) for part in PARTS)
    other_counts = (
        f", with {counts} images where {facts.num_images} are published (train, val, test)"
        if counts != facts.num_images
        else ""
    )
    logger.warning(
        "{}: MD5 {}, but the published file has {}: another version{}, so its figures can't be "
        "compared with published ones",
        path.name,
        found,
        published,
        other_counts,
    )


@contextmanager
def _opened(path: Path, facts: MedMnistFacts, size: int) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except _UNREADABLE as error:
        raise LabelsError(
            f"{path}: can't be read as an .npz file ({error}): expected that of "
            f"{origin(facts, size)}: delete it and fetch it again"
        ) from error


def _read_shape(archive: zipfile.ZipFile, name: str) -> tuple[tuple[int, ...], str]:
    """(Shape, type) of an array from its header alone."""
    with archive.open(f"{name}.npy") as stream:
        return _read_header(stream)


def _read_header(stream: IO[bytes]) -> tuple[tuple[int, ...], str]:
    version = npy.read_magic(stream)
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, _, dtype = read(stream)
    return shape, str(dtype)


def _read_array(archive: zipfile.ZipFile, name: str) -> NDArray[np.uint8]:
    with archive.open(f"{name}.npy") as stream:
        array: NDArray[np.uint8] = npy.read_array(stream, allow_pickle=False)
    return array


def _part_problems(
    part: str,
    images: tuple[tuple[int, ...], str],
    labels: NDArray[np.uint8],
    facts: MedMnistFacts,
    size: int,
) -> Iterator[str]:
    shape, dtype = images
    one = (size,) * facts.dimensions + (3,) * (facts.channels == 3)
    if not shape or shape[0] == 0 or shape[1:] != one or dtype != "uint8":
        yield (
            f"{part}_images is {shape} {dtype}: expected {('N', *one)} uint8: set [DATA] "
            "MEDMNIST_FLAG and MEDMNIST_SIZE to what the file holds, or put the right one there"
        ).replace("'N'", "N")
    num_images = shape[0] if shape else 0
    width = len(facts.labels) if facts.task == "multilabel" else 1
    highest = 1 if facts.task == "multilabel" else len(facts.labels) - 1
    if labels.shape != (num_images, width) or labels.dtype.kind not in "iu":
        yield (
            f"{part}_labels is {labels.shape} {labels.dtype}: expected ({num_images}, {width}) "
            "whole numbers, a row an image"
        )
    elif labels.size and not (labels.min() >= 0 and labels.max() <= highest):
        row = int(np.flatnonzero(((labels < 0) | (labels > highest)).any(axis=1))[0])
        yield (
            f"{part}_labels, image {row}: found {labels[row].tolist()}: expected 0 to {highest}, "
            f"for {', '.join(facts.labels)}"
        )
