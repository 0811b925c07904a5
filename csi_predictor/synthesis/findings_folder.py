"""A folder of drawn images with labels: written once, finished after an interruption, reused."""

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

from loguru import logger
from threadpoolctl import ThreadpoolController

from csi_predictor.files import write_text
from csi_predictor.progress import Progress

Case = TypeVar("Case")

RECORD_NAME = "phantom.json"


@dataclass(frozen=True, slots=True)
class LabelledSet:
    """Where a set of phantom images with labels lies.

    Attributes:
        folder: Holds all of it.
        images_dir: Folder of the images.
        labels_csv: Their table, separated by `,`: 0, 1 or empty (unknown) a label.
        labels: The table's label columns, in their order.
        count: Images in it.
    """

    folder: Path
    images_dir: Path
    labels_csv: Path
    labels: tuple[str, ...]
    count: int


def write_set(
    target: LabelledSet,
    cases: Mapping[Path, Case],
    *,
    recipe: Mapping[str, Any],
    table: str,
    is_written: Callable[[Path, Case], bool],
    write: Callable[[Path, Case], None],
    workers: int,
) -> None:
    """Write what is missing of a set; one that is there and of the same recipe is left untouched.

    The record of the recipe is written last of all, so that it stands for a finished set.

    Args:
        target: Where the set goes.
        cases: What is drawn into each file; the files lie in `target.images_dir`.
        recipe: All that decides the set, as plain JSON values.
        table: The text of the labels table.
        is_written: Whether a file is there and is this case of this recipe.
        write: Draws a case and writes its file whole or not at all; a function that a worker
            process can import.
        workers: Processes; 0 or 1 draws in this one.
    """
    record = target.folder / RECORD_NAME
    text = json.dumps(recipe, indent=2) + "\n"
    if _is_complete(record, text, [*cases, target.labels_csv]):
        logger.info(f"phantom: {target.count} images in {target.folder} are already there")
        return
    record.unlink(missing_ok=True)
    target.images_dir.mkdir(parents=True, exist_ok=True)
    _remove_strangers(target.images_dir, list(cases))
    missing = {path: case for path, case in cases.items() if not is_written(path, case)}
    with Progress("phantom images", len(cases), done=len(cases) - len(missing)) as progress:
        for _ in _each_done(write, missing, workers):
            progress.advance()
    write_text(target.labels_csv, table)
    write_text(record, text)


def labels_table(
    labels: Sequence[str], rows: Sequence[tuple[str, str, Sequence[int | None]]]
) -> str:
    """The labels table as text, from (file id, patient id, a value a label or None = unknown)."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["FileID", "PatientID", *labels])
    for file_id, patient_id, values in rows:
        cells = ("" if value is None else value for value in values)
        writer.writerow([file_id, patient_id, *cells])
    return text.getvalue()


def _is_complete(record: Path, text: str, paths: Sequence[Path]) -> bool:
    return (
        record.is_file()
        and record.read_bytes() == text.encode()
        and all(path.is_file() for path in paths)
    )


def _remove_strangers(images_dir: Path, wanted: Sequence[Path]) -> None:
    """Remove images of a longer set and half-written files of an interrupted one.

    Only names as the wanted ones' are removed: a letter prefix, `_`, a number.
    """
    keep = {path.name for path in wanted}
    for prefix in {path.name.split("_")[0] for path in wanted}:
        for path in [*images_dir.glob(f"{prefix}_*"), *images_dir.glob(f".{prefix}_*.tmp")]:
            if path.name not in keep:
                path.unlink()


def _each_done(
    write: Callable[[Path, Case], None], cases: Mapping[Path, Case], workers: int
) -> Iterator[None]:
    if workers <= 1 or len(cases) < 4:
        for path, case in cases.items():
            _write_alone(write, path, case)
            yield
        return
    # Spawned, not forked: a fork would freeze the threads of torch or of a progress bar.
    with ProcessPoolExecutor(min(workers, len(cases)), mp_context=get_context("spawn")) as pool:
        futures = [pool.submit(_write_alone, write, path, case) for path, case in cases.items()]
        try:
            for future in as_completed(futures):
                future.result()
                yield
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _write_alone(write: Callable[[Path, Case], None], path: Path, case: Case) -> None:
    # The last bit of a matrix product depends on the number of threads.
    with _linear_algebra().limit(limits=1, user_api="blas"):
        write(path, case)


@lru_cache(maxsize=1)
def _linear_algebra() -> ThreadpoolController:
    return ThreadpoolController()
