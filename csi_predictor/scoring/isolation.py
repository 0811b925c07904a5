"""Work in child processes, where a native crash or a hang costs only the job in hand."""

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from queue import SimpleQueue
from typing import Generic, TypeVar

from csi_predictor.errors import CsiError

Job = TypeVar("Job")
Result = TypeVar("Result")
_START_TIMEOUT_S = 120.0
_READY = "ready"


@dataclass(frozen=True)
class Lost:
    """A job whose process died or was stopped, and what happened."""

    detail: str


def map_isolated(
    function: Callable[[Job], Result],
    jobs: Iterable[Job],
    *,
    workers: int,
    timeout_s: float,
    window: int,
) -> Generator[Result | Lost, None, None]:
    """`function(job)` of every job, in the jobs' order.

    Args:
        function: Can be pickled, and doesn't raise; what it prints is dropped.
        jobs: Taken as they are needed.
        workers: Child processes; 0 = call it here, without protection and time limit.
        timeout_s: Seconds after which a job's process is killed and replaced.
        window: Jobs in hand or done and not yet taken, at most: bounds the memory.

    Raises:
        CsiError: A child process can't be started.
    """
    if workers == 0:
        yield from map(function, jobs)
        return
    children = [_Child(function, timeout_s) for _ in range(workers)]
    idle: SimpleQueue[_Child[Job, Result]] = SimpleQueue()
    for child in children:
        idle.put(child)
    # a thread a child: it waits for the answer while the caller computes
    threads = ThreadPoolExecutor(workers, thread_name_prefix="isolated")
    pending: deque[Future[Result | Lost]] = deque()
    try:
        for job in jobs:
            pending.append(threads.submit(_run_in_idle_child, idle, job))
            if len(pending) >= window:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        threads.shutdown(wait=False, cancel_futures=True)
        for child in children:
            child.close()
        threads.shutdown(wait=True)


def _run_in_idle_child(idle: "SimpleQueue[_Child[Job, Result]]", job: Job) -> Result | Lost:
    child = idle.get()
    try:
        return child.run(job)
    finally:
        idle.put(child)


class _Child(Generic[Job, Result]):
    """One process that is started when it is needed, and again after it died or hung."""

    def __init__(self, function: Callable[[Job], Result], timeout_s: float) -> None:
        self._function = function
        self._timeout_s = timeout_s
        self._process: BaseProcess | None = None
        self._connection: Connection | None = None
        self._is_closed = False

    def run(self, job: Job) -> Result | Lost:
        """The job's result, or what happened to the process."""
        try:
            connection = self._connection or self._start()
            connection.send(job)
            if not connection.poll(self._timeout_s):
                self._kill()
                return Lost(f"timed out after {self._timeout_s:g} s")
            answer: Result = connection.recv()
        except (EOFError, OSError):
            return Lost(f"the process that read it died ({self._end()})")
        return answer

    def close(self) -> None:
        """End the process, from another thread than `run`'s, and start no more."""
        self._is_closed = True
        self._kill()

    def _start(self) -> Connection:
        """The connection to a new process that has loaded all it needs.

        Raises:
            CsiError: It ended, or said nothing for two minutes.
        """
        ours, theirs = multiprocessing.Pipe()
        process = _new_process(theirs, self._function)
        try:
            process.start()
            self._process = process
            theirs.close()
            if self._is_closed:  # meanwhile: `close` may have come before there was a process
                self._kill()
            is_ready = ours.poll(_START_TIMEOUT_S) and ours.recv() == _READY
        except (EOFError, OSError):
            is_ready = False
        if not is_ready:
            raise CsiError(
                f"a process that reads images can't be started ({self._end()}): try [SCORING] "
                "WORKERS = 0, and from Python call it below `if __name__ == '__main__':`"
            )
        self._connection = ours
        return ours

    def _kill(self) -> None:
        process, self._process = self._process, None
        self._connection = None  # closed when its last user lets go of it
        if process is not None:
            process.kill()
            process.join()

    def _end(self) -> str:
        """How the process ended, in words."""
        process = self._process
        if process is not None:
            process.join(1.0)
        code = None if process is None else process.exitcode
        self._kill()
        if code is None:
            return "stopped"
        return f"exit code {code}" if code >= 0 else f"signal {-code}"


def _new_process(connection: Connection, function: Callable[[Job], object]) -> BaseProcess:
    """Never a fork of this process, whose threads and GPU a copy can't use."""
    arguments = (connection, function)
    if "forkserver" not in multiprocessing.get_all_start_methods():
        spawn = multiprocessing.get_context("spawn")
        return spawn.Process(target=_serve, args=arguments, name="isolated", daemon=True)
    forkserver = multiprocessing.get_context("forkserver")
    forkserver.set_forkserver_preload(["csi_predictor.scoring.reading"])
    return forkserver.Process(target=_serve, args=arguments, name="isolated", daemon=True)


def _serve(connection: Connection, function: Callable[[Job], object]) -> None:
    """The child's life: answer each job until the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's business
    _silence()
    connection.send(_READY)
    with suppress(EOFError, OSError):  # the parent is gone
        while True:
            connection.send(function(connection.recv()))


def _silence() -> None:
    """Drop stdout and stderr: what decoders and pydicom print can quote a patient's data."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    os.dup2(nothing, 2)
