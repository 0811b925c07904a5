"""The jobs are Python expressions, since `eval` can be found by any new process."""

import multiprocessing
import time

import pytest

from csi_predictor.errors import CsiError
from csi_predictor.scoring.isolation import Lost, map_isolated

DIE = "__import__('os')._exit(3)"
ABORT = "__import__('os').abort()"
HANG = "__import__('time').sleep(60)"


def run(jobs: list[str], workers: int = 2, timeout_s: float = 30.0) -> list[object]:
    return list(map_isolated(eval, jobs, workers=workers, timeout_s=timeout_s, window=4))


def test_results_come_in_the_order_of_the_jobs() -> None:
    jobs = [f"(__import__('time').sleep({0.05 * (index % 3)}), {index})[1]" for index in range(12)]
    assert run(jobs) == list(range(12))


def test_a_process_that_dies_costs_only_the_job_in_hand() -> None:
    found = run(["1", DIE, "2", ABORT, "3"])
    assert found == [
        1,
        Lost("the process that read it died (exit code 3)"),
        2,
        Lost("the process that read it died (signal 6)"),
        3,
    ]


def test_a_job_that_hangs_is_killed_and_costs_only_itself() -> None:
    started_s = time.monotonic()
    found = run(["1", HANG, "2"], workers=1, timeout_s=0.5)
    assert found == [1, Lost("timed out after 0.5 s"), 2]
    assert time.monotonic() - started_s < 30


def test_what_a_job_prints_is_dropped(capfd: pytest.CaptureFixture[str]) -> None:
    run(["__import__('os').write(2, b'Smith^John')", "print('Smith^John')"], workers=1)
    assert capfd.readouterr() == ("", "")


def test_no_more_jobs_are_taken_than_the_window_holds() -> None:
    taken = []

    def jobs() -> object:
        for index in range(100):
            taken.append(index)
            yield "1"

    results = map_isolated(eval, jobs(), workers=1, timeout_s=30, window=4)  # type: ignore[arg-type]
    next(results)
    results.close()
    assert len(taken) == 4


def test_leaving_early_ends_the_processes_at_once() -> None:
    started_s = time.monotonic()
    results = map_isolated(eval, ["1", HANG, HANG, HANG], workers=2, timeout_s=60, window=4)
    assert next(results) == 1
    results.close()
    assert time.monotonic() - started_s < 30


def test_leaving_while_the_processes_start_ends_them_too() -> None:
    started_s = time.monotonic()
    results = map_isolated(eval, ["1", *[HANG] * 8], workers=8, timeout_s=60, window=9)
    assert next(results) == 1
    results.close()
    assert time.monotonic() - started_s < 30
    assert multiprocessing.active_children() == []


def test_without_workers_the_work_is_done_here() -> None:
    assert run(["__import__('os').getpid()"], workers=0) == [__import__("os").getpid()]


def test_a_process_that_cannot_start_is_an_error_and_not_a_lost_job() -> None:
    with pytest.raises(CsiError, match=r"can't be started .*WORKERS = 0"):
        list(map_isolated(Unloadable(), ["1"], workers=1, timeout_s=30, window=4))


class Unloadable:
    """A function that the child can't unpickle."""

    def __call__(self, job: str) -> str:
        return job

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (__import__, ("no_such_module",))
