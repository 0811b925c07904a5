"""Rows out of what children say, with children that are played."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from loguru import logger

from csi_predictor.benchmarking import measure
from csi_predictor.benchmarking.child import Doing, Failed, Found, Job, Message, Remark
from csi_predictor.benchmarking.measure import measure_network, measure_networks
from csi_predictor.benchmarking.plan import NetworkPlan, Settings
from csi_predictor.benchmarking.processes import Lost


class Children:
    """Plays a script by purpose: each start takes the next list of messages."""

    def __init__(self, **scripts: list[list[Message | Lost]]) -> None:
        self.scripts = scripts
        self.jobs: list[tuple[str, tuple[str, ...]]] = []

    def follow(self, job: Job) -> Iterator[Message | Lost]:
        self.jobs.append((job.purpose, job.engines))
        script = self.scripts.get(job.purpose)
        if script:
            yield from script.pop(0)


def rows_of(
    children: Children,
    plan: NetworkPlan,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> dict[str, object]:
    monkeypatch.setattr(measure, "follow", children.follow)
    rows = measure_network(plan, settings, on_step=lambda text: None)
    assert [row.engine for row in rows] == [word.removesuffix("-bf16") for word in plan.engines]
    return {row.engine: row for row in rows}


def test_figures_of_all_and_of_one_meet_in_the_rows(
    plan: NetworkPlan, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    children = Children(
        infer=[
            [
                Found(None, {"param_count": 25.6, "infer_img_size": "32"}),
                Found("eager", {"infer_step_time": 8.0}),
                Found("openvino", {"infer_step_time": 4.0, "max_abs_diff": 1e-6}),
            ]
        ],
        memory=[[Found("eager", {"peak_memory_mb": 300.0})], []],
    )
    rows = rows_of(children, plan, settings, monkeypatch)
    eager, openvino = rows["eager"], rows["openvino"]
    assert (eager.param_count, eager.infer_step_time, eager.peak_memory_mb) == (25.6, 8.0, 300.0)
    assert (openvino.infer_step_time, openvino.max_abs_diff) == (4.0, 1e-6)
    assert (eager.model, eager.infer_batch_size, eager.threads) == ("custom1", 2, 1)
    assert (eager.device, eager.precision, eager.error) == ("cpu", "fp32", "")
    assert children.jobs == [
        ("infer", ("eager", "openvino")),
        ("memory", ("eager",)),
        ("memory", ("openvino",)),
    ]


def test_after_a_crash_the_others_start_again_without_the_one_to_blame(
    plan: NetworkPlan, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    children = Children(
        infer=[
            [Doing("preparing", "openvino"), Lost("openvino", "the process died")],
            [Found("eager", {"infer_step_time": 8.0})],
        ]
    )
    rows = rows_of(children, plan, settings, monkeypatch)
    assert rows["openvino"].error == "the process died"
    assert rows["openvino"].infer_step_time is None
    assert rows["eager"].infer_step_time == 8.0
    assert children.jobs == [
        ("infer", ("eager", "openvino")),
        ("infer", ("eager",)),
        ("memory", ("eager",)),
    ]


def test_an_engine_that_failed_before_a_crash_is_not_tried_again(
    plan: NetworkPlan, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    three = replace(plan, engines=("eager", "onnx", "openvino"))
    children = Children(
        infer=[[Failed("onnx", "no such operator"), Lost("openvino", "the process died")], []]
    )
    rows = rows_of(children, three, settings, monkeypatch)
    assert rows["onnx"].error == "no such operator"
    assert children.jobs[1] == ("infer", ("eager",))


def test_a_crash_of_nobody_in_particular_ends_the_network(
    plan: NetworkPlan, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    children = Children(infer=[[Lost(None, "killed, most likely for lack of memory")]])
    rows = rows_of(children, plan, settings, monkeypatch)
    assert {row.error for row in rows.values()} == {"killed, most likely for lack of memory"}
    assert len(children.jobs) == 1


def test_training_is_for_engines_that_can_and_keeps_the_inference_figures(
    plan: NetworkPlan, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    children = Children(
        infer=[[Found("eager", {"infer_step_time": 8.0})]],
        train=[[Failed("eager", "training: out of memory")]],
    )
    rows = rows_of(children, plan, replace(settings, train=True), monkeypatch)
    assert rows["eager"].infer_step_time == 8.0
    assert rows["eager"].error == "training: out of memory"
    assert ("train", ("eager",)) in children.jobs
    assert not [job for job in children.jobs if job[0] == "train_memory"]


def test_a_bundle_is_not_trained_and_brings_its_quality_in_fp32_alone(
    plan: NetworkPlan, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = replace(
        plan,
        bundle=Path("model"),
        quality=("zone_qwk", 0.71),
        engines=("eager", "openvino-bf16"),
    )
    children = Children()
    rows = rows_of(children, bundle, replace(settings, train=True), monkeypatch)
    assert {job[0] for job in children.jobs} == {"infer", "memory"}
    assert (rows["eager"].quality, rows["eager"].quality_metric) == (0.71, "zone_qwk")
    assert (rows["openvino"].quality, rows["openvino"].quality_metric) == (None, "")


def test_remarks_and_reasons_are_logged(
    plan: NetworkPlan, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[str] = []
    logger.add(lines.append, format="{level} {message}")
    children = Children(infer=[[Remark("can't be counted"), Failed("openvino", "no way")]])
    rows_of(children, plan, settings, monkeypatch)
    assert "WARNING can't be counted\n" in lines
    assert "WARNING custom1, 32, batch 2 with openvino fp32: no way\n" in lines


def test_networks_come_one_by_one_and_progress_ends_at_its_total(
    plan: NetworkPlan, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    totals: list[int] = []
    done: list[int] = []

    class Shown:
        def __init__(self, description: str, total: int, *, unit: str) -> None:
            totals.append(total)

        def __enter__(self) -> "Shown":
            return self

        def __exit__(self, *error: object) -> None:
            return None

        def advance(self, count: int = 1, figures: str = "") -> None:
            done.append(count)

    many = [Doing("taking its turn", "eager")] * 99  # more steps than were planned
    children = Children(infer=[list(many), []])
    monkeypatch.setattr(measure, "follow", children.follow)
    monkeypatch.setattr(measure, "Progress", Shown)
    other = replace(plan, name="resnet18")
    networks = measure_networks([plan, other], settings)
    assert [row.model for row in next(networks)] == ["custom1", "custom1"]
    assert [row.model for row in next(networks)] == ["resnet18", "resnet18"]
    assert list(networks) == []
    assert totals == [2 * 2 * (2 + 3)]  # networks, engines, rounds and three other steps
    assert sum(done) == totals[0]
