import hashlib
import warnings
from functools import partial
from pathlib import Path

import pytest

from csi_predictor.data.prepare import Prepared, prepare
from csi_predictor.errors import ImageError
from csi_predictor.scoring.reading import Refusal, read_file
from csi_predictor.scoring.worklist import WorkItem
from csi_predictor.specs import InputSpec

READ = partial(prepare, spec=InputSpec(size=(16, 16)))
SHA256_OF_X = hashlib.sha256(b"x").hexdigest()


class PanicException(BaseException):
    """As pyo3 raises it: no Exception."""


def item_of(path: Path) -> WorkItem:
    return WorkItem(path.name, path, path.stat().st_size, path.stat().st_mtime_ns)


@pytest.fixture
def item(tmp_path: Path) -> WorkItem:
    (tmp_path / "a").write_bytes(b"x")
    return item_of(tmp_path / "a")


def raising(error: BaseException):
    def prepare_nothing(_: Path) -> Prepared:
        raise error

    return prepare_nothing


def test_a_png_becomes_a_prepared_picture(write_png, tmp_path: Path) -> None:
    prepared = read_file(item_of(write_png(tmp_path / "a.png")), prepare=READ)
    assert isinstance(prepared, Prepared)
    assert prepared.pixels.shape == (16, 16)
    assert prepared.facts.sha256 == hashlib.sha256((tmp_path / "a.png").read_bytes()).hexdigest()


def test_a_readers_refusal_keeps_its_code_and_gets_the_contents_hash(item: WorkItem) -> None:
    error = ImageError(item.path, "COLOUR", "PALETTE COLOR")
    found = read_file(item, prepare=raising(error))
    assert found == Refusal("COLOUR", "PALETTE COLOR", SHA256_OF_X)


@pytest.mark.parametrize("error", [ValueError("Smith^John"), PanicException("Smith^John")])
def test_an_unknown_error_is_told_by_its_type_and_never_by_its_text(
    item: WorkItem, error: BaseException
) -> None:
    found = read_file(item, prepare=raising(error))
    assert found == Refusal("FAILED", type(error).__name__, SHA256_OF_X)


def test_an_interrupt_is_no_files_failure(item: WorkItem) -> None:
    with pytest.raises(KeyboardInterrupt):
        read_file(item, prepare=raising(KeyboardInterrupt()))


def test_warnings_that_quote_a_patient_stay_unsaid(item: WorkItem) -> None:
    def warn(path: Path) -> Prepared:
        warnings.warn("Invalid value for VR DA: 'Smith^John 1940'", UserWarning, stacklevel=2)
        raise ImageError(path, "BAD_HEADER", "no date")

    assert read_file(item, prepare=warn).reason == "BAD_HEADER"


def test_a_file_that_is_gone_is_unreadable(tmp_path: Path) -> None:
    found = read_file(WorkItem("gone", tmp_path / "gone", 1, 1), prepare=READ)
    assert isinstance(found, Refusal)
    assert (found.reason, found.file_sha256) == ("UNREADABLE", "")


def test_a_huge_refused_file_is_not_hashed(item: WorkItem) -> None:
    huge = WorkItem(item.name, item.path, 1 << 40, 1)
    error = ImageError(item.path, "TOO_LARGE", "1 TiB")
    assert read_file(huge, prepare=raising(error)).file_sha256 == ""
