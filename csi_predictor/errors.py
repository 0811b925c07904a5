"""Every error a user of CSI-Predictor can meet.

    CsiError                 exit 1    the run failed
    ├── ConfigError          exit 2    the INI or the arguments are wrong; nothing was started
    ├── LabelsError          exit 2    the labels table is wrong; nothing was started
    ├── WeightsError         exit 2    a weights file is missing, damaged or of another network
    ├── BundleError          exit 2    a bundle is missing, damaged or of another version
    ├── ImageError           exit 1    one image can't be used; carries its reason code
    ├── TrainingError        exit 1    training can't go on (NaN loss, out of memory)
    ├── ResourceError        exit 75   a passing condition (disk full): run it again
    └── InterruptedRunError  exit 130  stopped by the user; a resumable state was saved

A message says where, what was found, what was expected and what to do, and never names the patient.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args


class CsiError(Exception):
    """An error with a message for the user and the exit code of the process."""

    exit_code = 1


class ProblemsError(CsiError):
    """All problems of one input at once, one line each."""

    exit_code = 2

    def __init__(self, problems: Sequence[str] | str) -> None:
        self.problems = (problems,) if isinstance(problems, str) else tuple(problems)
        super().__init__("\n".join(self.problems))


class ConfigError(ProblemsError):
    """The INI, an override or a combination of keys is wrong."""


class LabelsError(ProblemsError):
    """The labels table, or the images that it names, are wrong."""


class WeightsError(CsiError):
    """A weights file is missing, damaged, unsafe or belongs to another network."""

    exit_code = 2


class BundleError(CsiError):
    """A bundle can't be loaded."""

    exit_code = 2


ReasonCode = Literal[
    "NOT_AN_IMAGE",
    "NOT_DICOM",
    "NO_PIXELS",
    "UNSUPPORTED_SOP_CLASS",
    "FOR_PROCESSING",
    "LATERAL",
    "NOT_CHEST",
    "MULTI_FRAME",
    "COLOUR",
    "UNSUPPORTED_TS",
    "TRUNCATED",
    "DECODE_FAILED",
    "BAD_HEADER",
    "CONSTANT_IMAGE",
    "TOO_LARGE",
    "NO_PERMISSION",
    "UNREADABLE",
    "DUPLICATE_UID",
    "FAILED",
]
REASON_CODES: tuple[ReasonCode, ...] = get_args(ReasonCode)


class ImageError(CsiError):
    """One image can't be used.

    Args:
        path: The file.
        reason: One of `REASON_CODES`, the code that stands in `rejected.csv`.
        detail: What was found and what was expected, without patient data.
    """

    def __init__(self, path: Path | str, reason: ReasonCode, detail: str) -> None:
        self.path = Path(path)
        self.reason: ReasonCode = reason
        self.detail = detail
        super().__init__(f"{self.path}: {detail} [{reason}]")

    def __reduce__(self) -> tuple[type["ImageError"], tuple[Path, ReasonCode, str]]:
        """Pickle by the three arguments, so that a worker process can send it."""
        return (type(self), (self.path, self.reason, self.detail))


class TrainingError(CsiError):
    """Training can't go on."""


class ResourceError(CsiError):
    """The disk is full, or another condition that passes."""

    exit_code = 75


class InterruptedRunError(CsiError):
    """The user stopped the run; what is needed to go on was saved."""

    exit_code = 130
