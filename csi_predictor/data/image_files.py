"""The image files below a folder, by id: the file's name without its extension."""

import os
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_OTHER_EXTENSION = re.compile(r"\.[A-Za-z][A-Za-z0-9]{0,9}$")
"""`.csv`, `.txt`; but not the end of an extensionless DICOM named by its UID, as `1.2.840.7`."""


@dataclass(frozen=True)
class ImageFiles:
    """What a search found.

    Attributes:
        paths: Id -> the files with that id, sorted.
        num_images: Files that look like images by name.
        problems: Folders that couldn't be searched, one line each.
        skipped_links: Linked folders; they aren't entered, for they may lead out or in circles.
    """

    paths: dict[str, tuple[Path, ...]]
    num_images: int
    problems: tuple[str, ...]
    skipped_links: tuple[Path, ...]


def find_image_files(
    folder: Path, known_extensions: Sequence[str], *, extension: str = "auto"
) -> ImageFiles:
    """All files below a folder, searched once.

    `.nii.gz` is one extension, and upper and lower case of extensions are equal. A file without a
    known extension (DICOM often has none) has its whole name as id; what it holds is found when it
    is read. Hidden files are passed over.

    Args:
        folder: Searched with its subfolders.
        known_extensions: With or without the leading dot.
        extension: `auto` takes all; another, as `.nii.gz`, takes only files that end so.
    """
    wanted = known_extensions if extension.lower() == "auto" else (extension,)
    extensions = sorted({f".{each.lower().lstrip('.')}" for each in wanted}, key=len, reverse=True)
    paths: dict[str, list[Path]] = defaultdict(list)
    problems: list[str] = []
    links: list[Path] = []
    num_images = 0

    def note(error: OSError) -> None:
        problems.append(f"{error.filename}: can't be searched ({error.strerror})")

    for parent, subfolders, names in os.walk(folder, onerror=note):
        links += [Path(parent, name) for name in subfolders if Path(parent, name).is_symlink()]
        for name in names:
            found = _id_and_kind(name, extensions, is_any=extension.lower() == "auto")
            if found is not None:
                paths[found[0]].append(Path(parent, name))
                num_images += found[1]
    return ImageFiles(
        {file_id: tuple(sorted(files)) for file_id, files in paths.items()},
        num_images,
        tuple(problems),
        tuple(sorted(links)),
    )


def _id_and_kind(name: str, extensions: Sequence[str], *, is_any: bool) -> tuple[str, bool] | None:
    """(id, whether the name looks like an image's); None for a file that can't be meant."""
    if name.startswith("."):
        return None
    for extension in extensions:
        if name.lower().endswith(extension) and len(name) > len(extension):
            return name[: -len(extension)], True
    return (name, _OTHER_EXTENSION.search(name) is None) if is_any else None
