"""The volumes below a folder, by id: files of volumes and folders of DICOM slices."""

import os
import re
from collections import defaultdict
from collections.abc import Collection
from pathlib import Path

from csi_predictor.data.image_files import ImageFiles, find_image_files
from csi_predictor.data.readers import read_patient_id
from csi_predictor.data.readers.series_slices import files_below, is_dicom_file
from csi_predictor.errors import ImageError

_DICOM = (".dcm", ".dicom")
VOLUME_EXTENSIONS = (".nii.gz", ".nii", ".npz", *_DICOM)
"""A `.dcm` beside the others is one file of several frames."""

_TRANSFORMED = "__transformed"
_CT_RATE = re.compile(r"(?P<patient>[a-z]+_\d+)_[a-z]+_\d+")
_NIFTI_END = re.compile(r"\.nii(\.gz)?$", re.IGNORECASE)


def find_volumes(folder: Path, ids: Collection[str], *, extension: str = "auto") -> ImageFiles:
    """The volumes below a folder that some ids name, searched once.

    An id is met by a file of that name (`{id}.nii.gz`, `.nii`, `.npz`, or `.dcm` of several
    frames), by `{id}__transformed` with such an extension, and by a folder `{id}` in which, at any
    depth, DICOM files lie; those are its slices and meet no id themselves. So both layouts of
    CT-RATE are searched, flat and nested.

    Args:
        folder: Searched with its subfolders.
        ids: As in the labels table.
        extension: `auto` takes all; another, as `.nii.gz`, takes only files that end so.

    Returns:
        The paths of each id that was found, and of the files that no id names.
    """
    files = find_image_files(folder, VOLUME_EXTENSIONS, extension=extension)
    wanted = set(ids)
    folders = _dicom_folders(folder, wanted) if extension.lower() == "auto" else {}
    inside = {path for paths in folders.values() for path in paths}
    paths: dict[str, list[Path]] = defaultdict(list)
    for stem, found in files.paths.items():
        kept = [path for path in found if _is_volume(path) and not _is_slice(path, inside)]
        if kept:
            paths[_id(stem, wanted)] += kept
    num_volumes = sum(map(len, paths.values())) + len(inside)
    for file_id, dicom_folders in folders.items():
        paths[file_id] += dicom_folders
    return ImageFiles(
        {file_id: tuple(sorted(found)) for file_id, found in paths.items()},
        num_volumes,
        files.problems,
        files.skipped_links,
    )


def read_volume_patient_id(path: Path) -> str | None:
    """DICOM's PatientID of a file or of the first DICOM file in a folder; None without one.

    Raises:
        ImageError: The file can't be read or is damaged.
    """
    if not path.is_dir():
        return read_patient_id(path)
    first = next((each for each in files_below(path) if is_dicom_file(each)), None)
    return None if first is None else read_patient_id(first)


def ct_rate_id(volume_name: str) -> str:
    """`train_1_a_1` of CT-RATE's VolumeName `train_1_a_1.nii.gz`."""
    return _NIFTI_END.sub("", volume_name)


def ct_rate_patient(volume_name: str) -> str:
    """`train_1` of CT-RATE's VolumeName `train_1_a_1.nii.gz`: patient, scan, reconstruction.

    Raises:
        ValueError: The name has another form.

    Source:
        CT-RATE, arXiv:2403.17834: split_patientID_scanID_reconstructionID.
    """
    match = _CT_RATE.fullmatch(ct_rate_id(volume_name))
    if match is None:
        raise ValueError(f"VolumeName = {volume_name}: expected a form as train_1_a_1.nii.gz")
    return match["patient"]


def _id(stem: str, wanted: Collection[str]) -> str:
    return stem if stem in wanted else stem.removesuffix(_TRANSFORMED)


def _is_volume(path: Path) -> bool:
    return path.name.lower().endswith(VOLUME_EXTENSIONS)


def _is_slice(path: Path, dicom_folders: Collection[Path]) -> bool:
    return path.name.lower().endswith(_DICOM) and not set(dicom_folders).isdisjoint(path.parents)


def _dicom_folders(folder: Path, wanted: set[str]) -> dict[str, list[Path]]:
    """The folders named by an id that hold DICOM, the outer one where they are nested."""
    found: dict[str, list[Path]] = defaultdict(list)
    for parent, subfolders, _ in os.walk(folder):
        for name in sorted(set(subfolders) & wanted):
            if not Path(parent, name).is_symlink() and _holds_dicom(Path(parent, name)):
                found[name].append(Path(parent, name))
                subfolders.remove(name)
    return found


def _holds_dicom(folder: Path) -> bool:
    try:
        return any(is_dicom_file(path) for path in files_below(folder))
    except ImageError:
        return True  # it can't be searched: the reader says so
