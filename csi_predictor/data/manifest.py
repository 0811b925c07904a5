"""The manifest: each labelled image with its file, its patient and its grades."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from loguru import logger

from csi_predictor.data.image_files import ImageFiles, find_image_files
from csi_predictor.data.label_rows import LabelsTable
from csi_predictor.data.label_table import find_by_relative_path
from csi_predictor.data.labels_table import scan_labels_table
from csi_predictor.data.readers import KNOWN_EXTENSIONS, read_patient_id
from csi_predictor.data.table import check_no_problems
from csi_predictor.data.volume_files import find_volumes
from csi_predictor.errors import ImageError, LabelsError
from csi_predictor.progress import track
from csi_predictor.specs import NOT_READ, TargetSpec

if TYPE_CHECKING:
    from csi_predictor.data.split import Split

FILE_AS_PATIENT = "file:"
"""Begins the patient id of an image whose patient nobody named."""

_EXTENSIONS = (*KNOWN_EXTENSIONS, ".ima")  # .ima: DICOM, as Siemens' consoles name it


@dataclass(frozen=True)
class Row:
    """One labelled image.

    Attributes:
        file_id: As in the labels table.
        patient_id: Images with the same one are never put in different parts of a split.
        path: The image file.
        targets: Of six zones: one a zone in the order of `specs.ZONES`, grade 0-3, NaN =
            ungradable. Of `multilabel`: 0 or 1 a label, NaN = unknown. Of `multiclass`: the index
            of the class.
        second_targets: The same of a second reader to learn from; `NOT_READ` in each zone where
            that one hasn't read the image; empty = there is no second reader.
    """

    file_id: str
    patient_id: str
    path: Path
    targets: tuple[float, ...]
    second_targets: tuple[float, ...] = ()


@dataclass(frozen=True)
class Manifest:
    """All labelled images, in the labels table's order.

    Attributes:
        rows: The images.
        target_spec: What their targets mean.
        published_split: Of a set that comes with one; None = it is drawn.
    """

    rows: tuple[Row, ...]
    target_spec: TargetSpec = field(default_factory=TargetSpec)
    published_split: "Split | None" = None

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def num_patients(self) -> int:
        """Different patients."""
        return len({row.patient_id for row in self.rows})

    def select(self, file_ids: Iterable[str]) -> tuple[Row, ...]:
        """The rows of some ids, in the order of the ids.

        Raises:
            KeyError: An id isn't in the manifest.
        """
        by_id = {row.file_id: row for row in self.rows}
        return tuple(by_id[file_id] for file_id in file_ids)


def add_second_reader(manifest: Manifest, grades: Mapping[str, tuple[float, ...]]) -> Manifest:
    """The manifest with another reader's grades beside the first one's.

    Args:
        manifest: All labelled images.
        grades: One a zone, by file id; an id that isn't there hasn't been read.
    """
    rows = (
        replace(row, second_targets=grades.get(row.file_id, (NOT_READ,) * len(row.targets)))
        for row in manifest.rows
    )
    return replace(manifest, rows=tuple(rows))


def read_manifest(
    labels_csv: Path,
    *,
    image_dir: Path,
    separator: str | None = None,
    id_column: str = "FileID",
    patient_column: str = "PatientID",
    image_extension: str = "auto",
    excluded_file_ids: Collection[str] = (),
    patient_id_of: Callable[[Path], str | None] = read_patient_id,
) -> Manifest:
    """The labels table joined with the images below a folder, all problems found at once.

    A patient is named by the table's patient column; without it by DICOM's Patient ID, and an
    image without that one is its own patient. The log says which.

    Args:
        labels_csv: See `labels_table.scan_labels_table`.
        image_dir: Searched below for each id with any known extension.
        separator: Of the table; None finds it.
        id_column: Of the table.
        patient_column: Of the table, may be absent from it.
        image_extension: `auto` is any known one; another, as `.dcm`, takes only such files.
        excluded_file_ids: Left out, whether or not their image is there.
        patient_id_of: Reads the Patient ID of a file, None where it has none.

    Raises:
        LabelsError: All that is wrong with the table and with finding its images.
    """
    table, problems = scan_labels_table(
        labels_csv,
        separator=separator,
        id_column=id_column,
        patient_column=patient_column,
        excluded_file_ids=excluded_file_ids,
    )
    return join_images(
        table,
        problems,
        image_dir=image_dir,
        id_column=id_column,
        image_extension=image_extension,
        excluded_file_ids=excluded_file_ids,
        patient_id_of=patient_id_of,
    )


def join_images(
    table: LabelsTable,
    problems: list[str],
    *,
    image_dir: Path,
    id_column: str = "FileID",
    image_extension: str = "auto",
    excluded_file_ids: Collection[str] = (),
    patient_id_of: Callable[[Path], str | None] = read_patient_id,
    are_volumes: bool = False,
) -> Manifest:
    """A labels table, of zones or of labels, joined with the images below a folder.

    Args:
        table: Already read.
        problems: What is wrong with it.
        image_dir: See `read_manifest`, as the rest.
        id_column: For messages.
        image_extension: Which files are looked at.
        excluded_file_ids: Left out of the table already.
        patient_id_of: Reads the Patient ID of a file, None where it has none.
        are_volumes: Whether an id names a volume: a file, or a folder of DICOM slices.

    Raises:
        LabelsError: All that is wrong with the table and with finding its images.
    """
    if any(row.relative_path for row in table.rows):
        paths, missing = _find_by_relative_paths(table, image_dir)
        check_no_problems([*problems, *missing])
    else:
        _check_folder(image_dir)
        if are_volumes:
            ids = [row.file_id for row in table.rows]
            files = find_volumes(image_dir, ids, extension=image_extension)
        else:
            files = find_image_files(image_dir, _EXTENSIONS, extension=image_extension)
        problems += files.problems
        problems += _image_problems(table, files, image_dir, id_column, image_extension)
        check_no_problems(problems)
        _log_files(table, files, excluded_file_ids)
        paths = {row.file_id: files.paths[row.file_id][0] for row in table.rows}
    return join_paths(table, paths, patient_id_of)


def join_paths(
    table: LabelsTable, paths: dict[str, Path], patient_id_of: Callable[[Path], str | None]
) -> Manifest:
    """A labels table with the file of each id, and each row's patient.

    Raises:
        LabelsError: Files that should name the patient can't be read.
    """
    patients = _name_patients(table, paths, patient_id_of)
    rows = tuple(
        Row(row.file_id, patients[row.file_id], paths[row.file_id], row.targets)
        for row in table.rows
    )
    return Manifest(rows, table.target_spec)


def _find_by_relative_paths(
    table: LabelsTable, image_dir: Path
) -> tuple[dict[str, Path], list[str]]:
    _check_folder(image_dir)
    paths, problems = {}, []
    for row in table.rows:
        found = find_by_relative_path(image_dir, row.relative_path)
        if found is None:
            problems.append(
                f"{table.path.name} row {row.number}: {row.relative_path}: no such image below "
                f"{image_dir}: add it, or name {row.file_id} in EXCLUDED_FILE_IDS"
            )
        else:
            paths[row.file_id] = found
    return paths, problems


def _check_folder(image_dir: Path) -> None:
    if not image_dir.is_dir():
        raise LabelsError(f"{image_dir}: no such folder: set [DATA] DATA_DIR to that of the images")


def _image_problems(
    table: LabelsTable, files: ImageFiles, image_dir: Path, id_column: str, image_extension: str
) -> Iterator[str]:
    if table.rows and not any(row.file_id in files.paths for row in table.rows):
        yield _nothing_found(len(table.rows), files, image_dir, image_extension)
    kind = "" if image_extension.lower() == "auto" else f" with extension {image_extension}"
    for row in table.rows:
        where = f"{table.path.name} row {row.number}, column {id_column} = {row.file_id}"
        found = files.paths.get(row.file_id, ())
        if not found and row.file_id:
            yield (
                f"{where}: no such image{kind} below {image_dir}: add it, or name it in "
                "EXCLUDED_FILE_IDS"
            )
        if len(found) > 1:
            names = ", ".join(str(path.relative_to(image_dir)) for path in found)
            yield (
                f"{where}: {len(found)} images ({names}): expected one: remove the others, or "
                "set IMAGE_EXTENSION"
            )


def _nothing_found(num_rows: int, files: ImageFiles, image_dir: Path, image_extension: str) -> str:
    seen = f"{files.num_images} images" if files.num_images else "no image"
    if files.paths:
        seen += f", the first with id {min(files.paths)}"
    if files.skipped_links:
        seen += f"; {len(files.skipped_links)} linked folders aren't entered"
    return (
        f"none of the {num_rows} ids has an image below {image_dir} ({seen}): check DATA_DIR, "
        f"ID_COLUMN and IMAGE_EXTENSION = {image_extension}; an id has no extension"
    )


def _log_files(table: LabelsTable, files: ImageFiles, excluded: Collection[str]) -> None:
    with_row = {row.file_id for row in table.rows} | set(excluded)
    num_with_row = sum(len(paths) for key, paths in files.paths.items() if key in with_row)
    logger.info(
        "{}: {} images; {} files below DATA_DIR have no row",
        table.path.name,
        len(table.rows),
        max(files.num_images - num_with_row, 0),
    )
    if files.skipped_links:
        logger.warning("{} linked folders below DATA_DIR aren't entered", len(files.skipped_links))


def _name_patients(
    table: LabelsTable, paths: dict[str, Path], patient_id_of: Callable[[Path], str | None]
) -> dict[str, str]:
    rows = table.rows
    if table.has_patients:
        return {row.file_id: row.patient_id or "" for row in rows}
    problems, patients = [], {}
    for row in track(rows, "reading patients", len(rows)):
        try:
            patient_id = (patient_id_of(paths[row.file_id]) or "").strip()
        except ImageError as error:
            problems.append(
                f"{table.path.name} row {row.number}: {error}: "
                "repair it, or name it in EXCLUDED_FILE_IDS"
            )
            continue
        patients[row.file_id] = patient_id or f"{FILE_AS_PATIENT}{row.file_id}"
    check_no_problems(problems)
    num_alone = sum(patient.startswith(FILE_AS_PATIENT) for patient in patients.values())
    logger.warning(
        "{}: no patient column: DICOM's Patient ID names the patient of {} images; each of the "
        "other {} counts as its own patient, so one person's images may lie in several parts",
        table.path.name,
        len(rows) - num_alone,
        num_alone,
    )
    return patients
