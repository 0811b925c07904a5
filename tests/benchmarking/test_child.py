"""What a child process says, listened to in this one."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from csi_predictor.benchmarking import child
from csi_predictor.benchmarking.child import (
    Doing,
    Failed,
    Found,
    Job,
    Message,
    Remark,
    measure,
    reason_of,
)
from csi_predictor.benchmarking.networks import build_subject
from csi_predictor.benchmarking.plan import NetworkPlan, Settings
from csi_predictor.errors import ConfigError
from csi_predictor.inference.engines.table import ENGINES


def listen(job: Job) -> list[Message]:
    heard: list[Message] = []
    measure(job, heard.append)
    return heard


def job_of(plan: NetworkPlan, settings: Settings, purpose: str = "infer") -> Job:
    return Job(purpose=purpose, plan=plan, engines=plan.engines, settings=settings)


def figures_of(heard: list[Message], engine: str) -> dict[str, object]:
    found: dict[str, object] = {}
    for message in heard:
        if isinstance(message, Found) and message.engine in (None, engine):
            found |= message.figures
    return found


def broken(error: Exception) -> Callable[..., object]:
    def prepare(model: nn.Module, example: Tensor, precision: str) -> object:
        raise error

    return prepare


def test_inference_gives_times_costs_and_the_distance_from_eager(
    plan: NetworkPlan, settings: Settings
) -> None:
    heard = listen(job_of(plan, settings))
    assert not [m for m in heard if isinstance(m, Failed | Remark)]
    for engine in plan.engines:
        figures = figures_of(heard, engine)
        step_ms = figures["infer_step_time"]
        assert step_ms > 0
        assert figures["infer_samples_per_sec"] == pytest.approx(2000 / step_ms)
        assert figures["infer_step_time_p95"] >= step_ms
        assert figures["rounds"] == 2
        assert figures["infer_img_size"] == "32"
        assert figures["infer_gmacs"] > 0
    assert figures_of(heard, "eager")["max_abs_diff"] == 0
    assert figures_of(heard, "openvino")["max_abs_diff"] < 1e-5


def test_the_distance_is_the_largest_of_all_logits(
    plan: NetworkPlan, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def prepare(model: nn.Module, example: Tensor, precision: str) -> object:
        def run(pixels: Tensor) -> Tensor:
            with torch.inference_mode():
                logits: Tensor = model(pixels).clone()
                logits[1, 3, 2] -= 0.25
            return logits

        return run

    monkeypatch.setattr(child, "ENGINES", {**ENGINES, "onnx": prepare})
    heard = listen(job_of(replace(plan, engines=("onnx",)), settings))
    subject = build_subject(plan, seed=0, device=torch.device("cpu"))
    with torch.inference_mode():
        logits = subject.model(subject.pixels(2, seed=0, device=torch.device("cpu")))
    figures = figures_of(heard, "onnx")
    assert figures["max_abs_diff"] == pytest.approx(0.25, abs=1e-6)
    assert figures["max_abs_logit"] == pytest.approx(logits.abs().max().item())


def test_every_step_is_announced_before_it_begins(plan: NetworkPlan, settings: Settings) -> None:
    steps = [(m.engine, m.what) for m in listen(job_of(plan, settings)) if isinstance(m, Doing)]
    turn = "taking its turn"
    assert steps == [
        (None, "building the network"),
        (None, "counting operations"),
        (None, "computing the fp32 answer in eager"),
        ("eager", "preparing"),
        ("openvino", "preparing"),
        *((name, turn) for name in ("eager", "openvino")),  # to learn how long a call takes
        *((name, turn) for name in ("eager", "openvino", "openvino", "eager")),
    ]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (MemoryError(), "out of memory: "),
        (torch.OutOfMemoryError("CUDA out of memory"), "out of memory: CUDA out of memory"),
        (
            RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 9 bytes"),
            "out of memory: [enforce fail] DefaultCPUAllocator: can't allocate memory: 9 bytes",
        ),
        (RuntimeError("two\n  lines"), "RuntimeError: two lines"),
        (ConfigError("[MODEL] PATCH_SIZE = 3: no"), "[MODEL] PATCH_SIZE = 3: no"),
        (ValueError("x" * 900), f"ValueError: {'x' * 288}…"),
    ],
)
def test_a_reason_is_one_short_line(error: Exception, reason: str) -> None:
    assert reason_of(error) == reason


def test_an_engine_that_fails_is_a_reason_and_the_others_are_measured(
    plan: NetworkPlan, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child, "ENGINES", {**ENGINES, "onnx": broken(MemoryError("9 GiB"))})
    heard = listen(job_of(replace(plan, engines=("onnx", "eager")), settings))
    failed = [m for m in heard if isinstance(m, Failed)]
    assert failed == [Failed("onnx", "out of memory: 9 GiB")]
    assert figures_of(heard, "eager")["rounds"] == 2
    assert "rounds" not in figures_of(heard, "onnx")


def test_a_network_that_cannot_be_built_fails_for_all(
    plan: NetworkPlan, settings: Settings
) -> None:
    *_, last = listen(job_of(replace(plan, image_size=16), settings))
    assert isinstance(last, Failed)
    assert last.engine is None
    assert "halves the picture five times" in last.reason


def test_a_builder_that_is_not_there_is_a_reason(
    plan: NetworkPlan, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(*args: object, **kwargs: object) -> None:
        raise ModuleNotFoundError("No module named 'csi_predictor.models.encoders2d.later'")

    monkeypatch.setattr(child, "build_subject", missing)
    last = listen(job_of(plan, settings))[-1]
    assert last == Failed(
        None,
        "ModuleNotFoundError: No module named 'csi_predictor.models.encoders2d.later'",
    )


def test_what_cannot_be_counted_is_a_remark_and_is_timed_all_the_same(
    plan: NetworkPlan, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(model: nn.Module, example: Tensor) -> None:
        raise RuntimeError("unsupported")

    monkeypatch.setattr(child, "count_cost", refuse)
    heard = listen(job_of(plan, settings))
    text = "custom1, 32, batch 2: its operations can't be counted: RuntimeError: unsupported"
    assert Remark(text) in heard
    figures = figures_of(heard, "eager")
    assert "infer_gmacs" not in figures
    assert figures["rounds"] == 2


def test_training_times_whole_steps_of_a_copy(plan: NetworkPlan, settings: Settings) -> None:
    heard = listen(
        job_of(replace(plan, engines=("eager", "channels_last-bf16")), settings, "train")
    )
    assert not [m for m in heard if isinstance(m, Failed)]
    for engine in ("eager", "channels_last-bf16"):
        figures = figures_of(heard, engine)
        assert figures["train_batch_size"] == 2
        assert figures["train_img_size"] == "32"
        assert figures["train_samples_per_sec"] == pytest.approx(2000 / figures["train_step_time"])


def test_a_training_step_moves_the_weights_of_its_own_copy_alone() -> None:
    torch.manual_seed(0)
    network = nn.Linear(3, 2)
    before = network.weight.clone()
    step = child._training_step("eager", network, torch.rand(4, 3))
    copy = step.args[0]
    assert torch.equal(copy.weight, before)
    step()
    assert not torch.equal(copy.weight, before)
    assert copy.training
    assert torch.equal(network.weight, before)


def test_training_that_fails_says_that_it_was_training(
    plan: NetworkPlan, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(model: nn.Module) -> nn.Module:
        raise MemoryError("too big")

    monkeypatch.setattr(child, "TRAINABLE", {"eager": refuse})
    heard = listen(job_of(replace(plan, engines=("eager",)), settings, "train"))
    assert Failed("eager", "training: out of memory: too big") in heard


@pytest.mark.parametrize(
    ("purpose", "name"),
    [("memory", "peak_memory_mb"), ("train_memory", "train_peak_memory_mb")],
)
def test_memory_is_measured_of_one_engine(
    purpose: str, name: str, plan: NetworkPlan, settings: Settings
) -> None:
    heard = listen(job_of(replace(plan, engines=("eager",)), settings, purpose))
    assert figures_of(heard, "eager")[name] > 100  # MiB: torch alone takes more
