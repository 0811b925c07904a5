"""What is in a volume, whatever its name: one hash of a file, or of a folder's files."""

from pathlib import Path

from csi_predictor.data.content import hash_file
from csi_predictor.data.readers.series import combined_hash
from csi_predictor.data.readers.series_slices import files_below
from csi_predictor.errors import ImageError

Signature = tuple[int, int, int]


def hash_volume(path: Path) -> str:
    """SHA-256 of a file's bytes; of a folder, of the hashes of all files below it.

    A folder's hash doesn't depend on names and order, nor on a file that is there twice: so renamed
    or shuffled slices are the same volume.

    Raises:
        ImageError: A file can't be read; NOT_DICOM for a folder without files.
    """
    if not path.is_dir():
        return hash_file(path)
    paths = files_below(path)
    if not paths:
        raise ImageError(path, "NOT_DICOM", "an empty folder: expected the slices of a CT series")
    return combined_hash({hash_file(each) for each in paths})


def volume_signature(path: Path) -> Signature | None:
    """Size, latest modification and latest change of a file or of a folder and all in it.

    None where something can't be searched: whoever reads it next says what is wrong.
    """
    try:
        paths = (path, *files_below(path)) if path.is_dir() else (path,)
        facts = [each.stat() for each in (*paths, *{each.parent for each in paths[1:]})]
    except (OSError, ImageError):
        return None
    return (
        sum(each.st_size for each in facts),
        max(each.st_mtime_ns for each in facts),
        max(each.st_ctime_ns for each in facts),
    )
