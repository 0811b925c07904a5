import errno
import os
import time
from pathlib import Path

import pytest
from loguru import logger

from csi_predictor.errors import ConfigError, ResourceError
from csi_predictor.scoring.ledger import NAME, Ledger
from csi_predictor.scoring.records import RejectedRecord
from csi_predictor.scoring.worklist import WorkItem

SETUP = "s" * 64
LONG_AGO_S = time.time() - 3600
SHA256_OF_X = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"  # sha256sum


def item_of(path: Path) -> WorkItem:
    return WorkItem(path.name, path, path.stat().st_size, path.stat().st_mtime_ns)


@pytest.fixture
def item(tmp_path: Path) -> WorkItem:
    path = tmp_path / "a.dcm"
    path.write_bytes(b"x")
    os.utime(path, (LONG_AGO_S, LONG_AGO_S))
    return item_of(path)


@pytest.fixture
def record(make_score):
    return make_score(path="a.dcm", file_sha256=SHA256_OF_X)


def booked(folder: Path, item: WorkItem, record, setup: str = SETUP) -> None:
    with Ledger(folder, setup_sha256=setup) as ledger:
        ledger.book(item, record)


def found(folder: Path, item: WorkItem, setup: str = SETUP):
    with Ledger(folder, setup_sha256=setup) as ledger:
        return ledger.find(item)


def test_an_unchanged_file_is_known_to_the_next_run(tmp_path: Path, item, record) -> None:
    booked(tmp_path / "out", item, record)
    assert found(tmp_path / "out", item) == record


def test_a_file_of_another_size_is_new(tmp_path: Path, item, record) -> None:
    booked(tmp_path, item, record)
    item.path.write_bytes(b"xy")
    assert found(tmp_path, item_of(item.path)) is None


def test_a_touched_file_is_known_by_its_content(tmp_path: Path, item, record) -> None:
    booked(tmp_path, item, record)
    os.utime(item.path)
    assert found(tmp_path, item_of(item.path)) == record
    item.path.write_bytes(b"y")
    assert found(tmp_path, item_of(item.path)) is None


def test_a_file_touched_just_before_it_was_read_is_compared_by_content(
    tmp_path: Path, item, record
) -> None:
    os.utime(item.path)
    fresh = item_of(item.path)
    booked(tmp_path, fresh, record)
    item.path.write_bytes(b"y")
    os.utime(item.path, ns=(fresh.mtime_ns, fresh.mtime_ns))
    assert found(tmp_path, item_of(item.path)) is None


def test_a_file_that_is_gone_is_not_known(tmp_path: Path, item, record) -> None:
    booked(tmp_path, item, record)
    item.path.unlink()
    assert found(tmp_path, WorkItem(item.name, item.path, 1, 5)) is None


def test_another_setup_knows_nothing_and_says_so_and_the_first_still_does(
    tmp_path: Path, item, record
) -> None:
    booked(tmp_path, item, record)
    lines: list[str] = []
    sink = logger.add(lines.append, format="{message}")
    assert found(tmp_path, item, setup="t" * 64) is None
    logger.remove(sink)
    assert lines == ["Model, settings or version are new here: every file is scored again\n"]
    assert found(tmp_path, item) == record


@pytest.mark.parametrize("reason", ["FAILED", "NO_PERMISSION", "UNREADABLE"])
def test_a_failure_that_may_pass_is_tried_again(tmp_path: Path, item, reason) -> None:
    record = RejectedRecord(
        path="a.dcm", reason=reason, detail="", file_sha256="", setup_sha256=SETUP
    )
    booked(tmp_path, item, record)
    assert found(tmp_path, item) is None


@pytest.mark.parametrize("kept_bytes", range(-40, -1, 3))
def test_a_line_torn_by_a_kill_costs_only_itself(
    tmp_path: Path, item, record, make_score, kept_bytes: int
) -> None:
    other = WorkItem("b.dcm", item.path, item.size, item.mtime_ns)
    booked(tmp_path, item, record)
    booked(tmp_path, other, make_score(path="b.dcm"))
    path = tmp_path / NAME
    path.write_bytes(path.read_bytes()[:kept_bytes])
    assert found(tmp_path, other) is None
    booked(tmp_path, other, make_score(path="b.dcm", csi=2.0))
    assert found(tmp_path, item) == record
    assert found(tmp_path, other).csi == 2.0


def test_lines_that_say_something_else_are_passed_over(tmp_path: Path, item, record) -> None:
    (tmp_path / NAME).write_text('{"record": {"path": 1}}\n[]\n1\n\n\xff\n', encoding="latin-1")
    booked(tmp_path, item, record)
    assert found(tmp_path, item) == record


def test_a_second_process_is_told_to_wait(tmp_path: Path) -> None:
    with (
        Ledger(tmp_path, setup_sha256=SETUP),
        pytest.raises(ConfigError, match="another process scores into it"),
        Ledger(tmp_path, setup_sha256=SETUP),
    ):
        pass


def test_a_folder_that_cannot_be_made_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(ConfigError, match="can't be written"),
        Ledger(tmp_path / "file" / "out", setup_sha256=SETUP),
    ):
        pass


def test_a_full_disk_is_a_condition_that_passes(tmp_path: Path, item, record) -> None:
    class FullDisk:
        def write(self, _: bytes) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        def close(self) -> None:
            pass

    with Ledger(tmp_path, setup_sha256=SETUP) as ledger:
        ledger._file.close()
        ledger._file = FullDisk()
        with pytest.raises(ResourceError, match="the disk is full"):
            ledger.book(item, record)
