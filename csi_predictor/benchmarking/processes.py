"""The parent's side of a child process: it listens, and ends what hangs."""

import faulthandler
import multiprocessing
import os
import signal
import sys
from collections.abc import Generator
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

import torch

from csi_predictor.benchmarking.child import Doing, Job, Message, measure
from csi_predictor.runtime import keep_freed_memory, set_determinism

_START_TIMEOUT_S = 120.0
_PATIENCE_S = 5.0
_OOM_SCORE = Path("/proc/self/oom_score_adj")


@dataclass(frozen=True)
class Lost:
    """The child died or was ended: what it was doing, and what happened."""

    engine: str | None
    reason: str


def follow(job: Job) -> Generator[Message | Lost, None, None]:
    """Run a job in a process of its own; all that it says, and `Lost` if it doesn't come to an end.

    A step that takes longer than the settings' timeout ends the process. So does closing the
    generator.
    """
    ours, theirs = multiprocessing.Pipe(duplex=False)
    process = _new_process(theirs, job)
    doing = Doing("starting", None)
    message: Message | None = doing
    try:
        process.start()
        theirs.close()
        timeout_s = max(_START_TIMEOUT_S, job.settings.timeout_s)
        while True:
            if not ours.poll(timeout_s):
                yield Lost(doing.engine, f"no end after {timeout_s:g} s of {doing.what}: TIMEOUT_S")
                return
            message = ours.recv()
            if message is None:
                return
            if isinstance(message, Doing):
                doing = message
                timeout_s = job.settings.timeout_s
            yield message
    except (EOFError, OSError):
        yield Lost(doing.engine, f"the process died while {doing.what} ({_end(process)})")
    finally:
        _stop(process, is_done=message is None)
        ours.close()


def _stop(process: BaseProcess, *, is_done: bool) -> None:
    """Let it clean up after itself if it can, and end it if it can't."""
    if process.pid is None:
        return
    if not is_done:
        process.terminate()
    process.join(_PATIENCE_S)
    process.kill()
    process.join()


def _end(process: BaseProcess) -> str:
    """How it ended, in words."""
    process.join(_PATIENCE_S)
    code = process.exitcode
    if code is None:
        return "it answers no more"
    if code == -signal.SIGKILL:
        return "killed, most likely for lack of memory"
    return f"exit code {code}" if code >= 0 else f"signal {-code}"


def _new_process(connection: Connection, job: Job) -> BaseProcess:
    """Never a fork of this process, whose threads and GPU a copy can't use."""
    name = f"benchmark {job.plan.name}"
    if "forkserver" not in multiprocessing.get_all_start_methods():
        spawn = multiprocessing.get_context("spawn")
        return spawn.Process(target=_serve, args=(connection, job), name=name, daemon=True)
    forkserver = multiprocessing.get_context("forkserver")
    forkserver.set_forkserver_preload(["csi_predictor.benchmarking.child"])
    return forkserver.Process(target=_serve, args=(connection, job), name=name, daemon=True)


def _serve(connection: Connection, job: Job) -> None:
    """The child's life: one job."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's business
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    _write_to(job.settings.log_path)
    with suppress(OSError):  # not Linux, or not allowed: then the kernel chooses as always
        _OOM_SCORE.write_text("1000", encoding="ascii")  # if memory ends, end this process first
    torch.set_num_threads(job.settings.num_threads)
    set_determinism(job.settings.deterministic)
    if job.settings.device == "cpu":
        keep_freed_memory()
    with suppress(BrokenPipeError):  # the parent is gone
        measure(job, connection.send)
        connection.send(None)


def _write_to(path: Path) -> None:
    """Send what libraries print, and the place of a crash, to a file."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(file, 1)
    os.dup2(file, 2)
    faulthandler.enable(2)
