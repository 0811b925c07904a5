"""Real child processes: they answer, die, hang and are ended."""

import multiprocessing
import os
import signal
from contextlib import closing
from dataclasses import replace

import pytest

from csi_predictor.benchmarking.child import Doing, Found, Job
from csi_predictor.benchmarking.plan import NetworkPlan, Settings
from csi_predictor.benchmarking.processes import Lost, follow


@pytest.fixture
def job(plan: NetworkPlan, settings: Settings) -> Job:
    return Job(purpose="memory", plan=plan, engines=("eager",), settings=settings)


def children() -> list[int]:
    return [p.pid for p in multiprocessing.active_children() if p.name.startswith("benchmark")]


def test_a_child_answers_and_ends(job: Job) -> None:
    heard = list(follow(job))
    assert heard[0] == Doing("building the network", None)
    assert isinstance(heard[-1], Found)
    assert heard[-1].figures["peak_memory_mb"] > 100
    assert children() == []
    assert job.settings.log_path.is_file()


def test_a_child_that_is_killed_is_lost_with_what_it_was_doing(job: Job) -> None:
    messages = follow(job)
    next(messages)
    (child,) = children()
    os.kill(child, signal.SIGKILL)
    *_, last = messages
    assert isinstance(last, Lost)
    assert "the process died while" in last.reason
    assert last.reason.endswith("(killed, most likely for lack of memory)")


def test_a_child_that_cannot_start_says_its_exit_code(job: Job) -> None:
    nowhere = replace(job.settings, log_path=job.settings.log_path / "not" / "there")
    (lost,) = follow(replace(job, settings=nowhere))
    assert lost == Lost(None, "the process died while starting (exit code 1)")


def test_a_step_that_takes_too_long_ends_the_child(job: Job) -> None:
    hasty = replace(job.settings, timeout_s=0.0001)
    *_, last = follow(replace(job, settings=hasty))
    assert last == Lost(None, "no end after 0.0001 s of building the network: TIMEOUT_S")
    assert children() == []


def test_leaving_early_ends_the_child(job: Job) -> None:
    with closing(follow(job)) as messages:
        next(messages)
        assert len(children()) == 1
    assert children() == []
