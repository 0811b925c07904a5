"""What one child process measures of one network; it tells its parent step by step.

Its death (out of memory, a crash in a library) costs only what it was working on, which the parent
knows from the last `Doing`.
"""

import gc
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn

from csi_predictor.benchmarking.cost import count_cost
from csi_predictor.benchmarking.memory import peak_memory_mib, start_counting
from csi_predictor.benchmarking.networks import Subject, build_subject, size_text
from csi_predictor.benchmarking.plan import NetworkPlan, Settings
from csi_predictor.benchmarking.rounds import Turns, run_rounds
from csi_predictor.benchmarking.timing import Call, summarise, time_call
from csi_predictor.errors import CsiError
from csi_predictor.inference.engines.table import ENGINES, split_engine
from csi_predictor.inference.engines.torch_engine import (
    Precision,
    autocast,
    compile_copy,
    copy_channels_last,
    prepare_eager,
)
from csi_predictor.training.optimizer import make_optimizer

Purpose = Literal["infer", "train", "memory", "train_memory"]
Value = str | int | float | None

_LEARNING_RATE = 1e-4
_MOST_WORDS = 300
_MEMORY_WORDS = ("can't allocate memory", "out of memory", "bad_alloc", "not enough memory")

TRAINABLE: dict[str, Callable[[nn.Module], nn.Module]] = {
    "eager": deepcopy,
    "channels_last": copy_channels_last,
    "compile": compile_copy,
}
"""How an engine that can train arranges a copy of the network."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """The work of one child process."""

    purpose: Purpose
    plan: NetworkPlan
    engines: tuple[str, ...]
    settings: Settings


@dataclass(frozen=True)
class Doing:
    """A step begins; of one engine, or of all (None)."""

    what: str
    engine: str | None


@dataclass(frozen=True)
class Found:
    """Figures by their name in `BenchmarkRow`; of one engine, or of all (None)."""

    engine: str | None
    figures: dict[str, Value] = field(default_factory=dict)


@dataclass(frozen=True)
class Failed:
    """Why one engine, or all (None), can't be measured (any further)."""

    engine: str | None
    reason: str


@dataclass(frozen=True)
class Remark:
    """What the log should say and no row shows."""

    text: str


Message = Doing | Found | Failed | Remark
Send = Callable[[Message], None]


def measure(job: Job, send: Send) -> None:
    """Do a job; whatever goes wrong in Python becomes a `Failed`."""
    device = torch.device(job.settings.device)
    send(Doing("building the network", None))
    try:
        subject = build_subject(job.plan, seed=job.settings.seed, device=device)
        pixels = subject.pixels(job.plan.batch_size, seed=job.settings.seed, device=device)
    except Exception as error:  # the reason stands in the network's rows
        send(Failed(None, reason_of(error)))
        return
    _WORK[job.purpose](job, subject, pixels, send)


def reason_of(error: Exception) -> str:
    """One line that says what went wrong."""
    text = " ".join(str(error).split())
    if isinstance(error, MemoryError | torch.OutOfMemoryError) or any(
        words in text for words in _MEMORY_WORDS
    ):
        text = f"out of memory: {text}"
    elif not isinstance(error, CsiError):
        text = f"{type(error).__name__}: {text}"
    return text if len(text) <= _MOST_WORDS else f"{text[:_MOST_WORDS]}…"


def _measure_inference(job: Job, subject: Subject, pixels: Tensor, send: Send) -> None:
    """Latency of all engines in turns, and each one's distance from fp32 eager."""
    send(Doing("counting operations", None))
    _describe(job, subject, pixels, send)
    send(Doing("computing the fp32 answer in eager", None))
    try:
        reference = prepare_eager(subject.model, pixels)(pixels)
    except Exception as error:  # without it no row can be compared
        send(Failed(None, reason_of(error)))
        return
    calls: dict[str, Call] = {}
    for word in job.engines:
        send(Doing("preparing", word))
        try:
            run = _prepare(word, subject.model, pixels)
            distance = (run(pixels) - reference).abs().max().item()
        except Exception as error:  # this row's reason; the other engines go on
            send(Failed(word, reason_of(error)))
            _free_memory()
            continue
        figures: dict[str, Value] = {
            "max_abs_diff": distance,
            "max_abs_logit": reference.abs().max().item(),
        }
        send(Found(word, figures))
        calls[word] = partial(run, pixels)
    _send_turns(job, _run(job, calls, send), "infer", send)


def _measure_training(job: Job, subject: Subject, pixels: Tensor, send: Send) -> None:
    """Time of whole training steps of the engines that can train, in turns."""
    size = size_text(subject.size)
    send(Found(None, {"train_batch_size": job.plan.batch_size, "train_img_size": size}))
    calls: dict[str, Call] = {}
    for word in job.engines:
        send(Doing("preparing training", word))
        try:
            calls[word] = _training_step(word, subject.model, pixels)
            calls[word]()
        except Exception as error:  # this row's reason; the other engines go on
            calls.pop(word, None)
            send(Failed(word, f"training: {reason_of(error)}"))
            _free_memory()
    _send_turns(job, _run(job, calls, send), "train", send)


def _measure_memory(job: Job, subject: Subject, pixels: Tensor, send: Send) -> None:
    """Peak memory of one engine alone; of training too where that is asked."""
    (word,) = job.engines
    is_training = job.purpose == "train_memory"
    name = "train_peak_memory_mb" if is_training else "peak_memory_mb"
    send(Doing("measuring memory", word))
    start_counting(pixels.device)
    try:
        if is_training:
            call = _training_step(word, subject.model, pixels)
        else:
            call = partial(_prepare(word, subject.model, pixels), pixels)
        for _ in range(2):
            call()
    except Exception as error:  # this row's reason
        send(Failed(word, f"{name}: {reason_of(error)}"))
        return
    send(Found(word, {name: peak_memory_mib(pixels.device)}))


_WORK: dict[Purpose, Callable[[Job, Subject, Tensor, Send], None]] = {
    "infer": _measure_inference,
    "train": _measure_training,
    "memory": _measure_memory,
    "train_memory": _measure_memory,
}


def _describe(job: Job, subject: Subject, pixels: Tensor, send: Send) -> None:
    """Send size and cost; a network that can't be counted has empty cells, and the log says why."""
    figures: dict[str, Value] = {"infer_img_size": size_text(subject.size)}
    try:
        cost = count_cost(subject.model, pixels[:1])
    except Exception as error:  # the timings don't depend on it
        send(Remark(f"{job.plan.title}: its operations can't be counted: {reason_of(error)}"))
    else:
        figures["param_count"] = cost.params_m
        figures["infer_gmacs"] = cost.gmacs
        figures["infer_macts"] = cost.macts
    send(Found(None, figures))


def _prepare(word: str, model: nn.Module, pixels: Tensor) -> Callable[[Tensor], Tensor]:
    engine, precision = split_engine(word)
    return ENGINES[engine](model, pixels, precision)


def _training_step(word: str, model: nn.Module, pixels: Tensor) -> Call:
    """Forward, backward and AdamW; the loss, the mean square of the logits, fits every task."""
    engine, precision = split_engine(word)
    network = TRAINABLE[engine](model).train()
    groups = [{"params": list(network.parameters()), "lr": _LEARNING_RATE, "weight_decay": 0.0}]
    optimizer = make_optimizer(groups, name="adamw", momentum=0.0)
    return partial(_step, network, optimizer, pixels, precision)


def _step(
    network: nn.Module, optimizer: torch.optim.Optimizer, pixels: Tensor, precision: Precision
) -> None:
    optimizer.zero_grad(set_to_none=True)
    with autocast(pixels.device, precision):
        logits = network(pixels)
    logits.float().square().mean().backward()
    optimizer.step()


def _run(job: Job, calls: dict[str, Call], send: Send) -> dict[str, Turns]:
    return run_rounds(
        calls,
        rounds=job.settings.runs,
        time_call=partial(time_call, device=torch.device(job.settings.device)),
        budget_s=job.settings.timeout_s,
        reason_of=reason_of,
        on_turn=lambda word: send(Doing("taking its turn", word)),
    )


def _send_turns(job: Job, turns: dict[str, Turns], kind: str, send: Send) -> None:
    batch_size = job.plan.batch_size
    for word, mine in turns.items():
        if mine.samples:
            latency = summarise(mine.samples)
            figures: dict[str, Value] = {
                f"{kind}_step_time": latency.median_ms,
                f"{kind}_samples_per_sec": 1000 * batch_size / latency.median_ms,
            }
            if kind == "infer":
                figures["infer_step_time_p95"] = latency.p95_ms
                figures["cpu_ms_per_image"] = latency.cpu_ms / batch_size
                figures["rounds"] = mine.rounds
            send(Found(word, figures))
        if mine.error:
            send(Failed(word, mine.error if kind == "infer" else f"training: {mine.error}"))


def _free_memory() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
