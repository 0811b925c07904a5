"""Which networks at which sizes."""

from pathlib import Path

from csi_predictor.architectures.select import select_architectures
from csi_predictor.benchmarking.plan import NetworkPlan, TrainedModel, plan_networks


def test_every_size_meets_every_batch_size_and_words_count_once() -> None:
    plans = plan_networks(
        select_architectures(["custom1", "resnet18"]),
        [],
        engines=("eager", "onnx", "eager"),
        batch_sizes=(1, 16),
        image_sizes=(224, 320),
    )
    found = [(plan.name, plan.image_size, plan.batch_size) for plan in plans]
    assert found == [
        (name, size, batch)
        for name in ("custom1", "resnet18")
        for size in (224, 320)
        for batch in (1, 16)
    ]
    assert {plan.engines for plan in plans} == {("eager", "onnx")}


def test_a_bundle_keeps_its_own_size_whatever_the_sizes_asked_for() -> None:
    trained = TrainedModel(Path("run/model"), "custom1-1f0c2a9e", ("zone_qwk", 0.7))
    plans = plan_networks([], [trained], engines=("eager",), batch_sizes=(1, 8), image_sizes=(64,))
    assert [(p.bundle, p.image_size, p.batch_size, p.quality) for p in plans] == [
        (Path("run/model"), None, batch, ("zone_qwk", 0.7)) for batch in (1, 8)
    ]


def test_no_sizes_means_each_networks_own() -> None:
    (plan,) = plan_networks(
        select_architectures(["raddino"]), [], engines=("eager",), batch_sizes=(1,), image_sizes=()
    )
    assert plan.image_size is None
    assert plan.title == "raddino, batch 1"


def test_the_title_names_the_size() -> None:
    plan = NetworkPlan(name="resnet50", image_size=320, batch_size=4, engines=("eager",))
    assert plan.title == "resnet50, 320, batch 4"
