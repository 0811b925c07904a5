"""Work spread over clean processes when there is enough of it to be worth their start."""

import signal
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_all_start_methods, get_context
from multiprocessing.context import BaseContext
from typing import TypeVar

import torch

from csi_predictor.errors import ResourceError
from csi_predictor.logs import start_console_log

Item = TypeVar("Item")
Result = TypeVar("Result")

_NUM_TIMED = 8
_WORTH_S = 20.0
"""Starting processes takes about 5 s of CPU, for each must import the decoders and torch."""
_WAITING_PER_PROCESS = 2


def map_unordered(
    function: Callable[[Item], Result], items: Sequence[Item], workers: int
) -> Iterator[Result]:
    """`function(item)` of each item, in any order.

    The first 8 items are worked on here and timed; the rest goes to processes when it would take
    this one longer than 20 s.

    Args:
        function: Of a module's top level, or a partial of one, so that a new process finds it.
        items: Each is pickled.
        workers: Processes; 0 or 1 work in this one.

    Raises:
        ResourceError: A process was killed, as for lack of memory; names the items in work.
    """
    durations_s = []
    for item in items[:_NUM_TIMED]:
        started_s = time.monotonic()
        result = function(item)
        durations_s.append(time.monotonic() - started_s)
        yield result
    left = items[_NUM_TIMED:]
    if workers < 2 or not left or statistics.median(durations_s) * len(left) < _WORTH_S:
        yield from map(function, left)
        return
    pool = ProcessPoolExecutor(workers, mp_context=_context(), initializer=_start_worker)
    try:
        yield from _run(pool, function, left, workers * (1 + _WAITING_PER_PROCESS))
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _context() -> BaseContext:
    """A start that never forks this process: the fork of a process with threads may hang."""
    if "forkserver" not in get_all_start_methods():
        return get_context("spawn")
    context = get_context("forkserver")
    context.set_forkserver_preload(["csi_predictor.data.prepare"])  # imported once for all
    return context


def _run(
    pool: ProcessPoolExecutor,
    function: Callable[[Item], Result],
    items: Sequence[Item],
    most_waiting: int,
) -> Iterator[Result]:
    left = iter(items)
    waiting: dict[Future[Result], Item] = {}
    try:
        while True:
            for item in left:
                waiting[pool.submit(function, item)] = item
                if len(waiting) >= most_waiting:
                    break
            if not waiting:
                return
            for future in wait(waiting, return_when=FIRST_COMPLETED).done:
                result = future.result()
                del waiting[future]
                yield result
    except BrokenProcessPool as error:
        suspects = ", ".join(str(item) for item in waiting.values())
        raise ResourceError(
            f"a process was killed while it worked on one of {suspects}: free some memory, or set "
            "[RUNTIME] NUM_WORKERS = 0 to see which, and leave that one out with EXCLUDED_FILE_IDS"
        ) from error


def _start_worker() -> None:
    """One thread a process; Ctrl-C is the parent's; only warnings are logged, without values."""
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    start_console_log("WARNING")
