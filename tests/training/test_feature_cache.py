"""Training a head on features kept is training it on the images, only faster."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from csi_predictor.config import Config, load_config
from csi_predictor.data.cache import PreparedCache
from csi_predictor.data.manifest import Row
from csi_predictor.errors import InterruptedRunError
from csi_predictor.models.assemble import CsiModel
from csi_predictor.models.create import create_model
from csi_predictor.runtime import Compute
from csi_predictor.specs import InputSpec, TargetSpec
from csi_predictor.training import feature_cache
from csi_predictor.training.feature_cache import (
    FeatureDataset,
    FeatureMemory,
    HeadOnly,
    compute_head_input,
)
from csi_predictor.training.loop import Loop
from csi_predictor.training.stopping import StopRequest
from csi_predictor.training.views import feature_views

CPU = Compute(torch.device("cpu"), torch.float32)
MakeLoop = Callable[..., Loop]
Draw = Callable[[Path, InputSpec], Any]
MakeRows = Callable[..., tuple[Row, ...]]

LABELS = TargetSpec(task="multilabel", names=("a", "b"), num_classes=2)
FROZEN = (
    "TRAINING.FINE_TUNING=frozen",
    "AUGMENTATION.PROFILE=none",
    "TRAINING.N_EPOCHS=3",
    "TRAINING.BATCH_SIZE=4",
    "RUNTIME.NUM_WORKERS=0",
    "MODEL.DROPOUT_RATE=0.4",
)
LABELLED = ("DATA.TASK=multilabel", "MODEL.IMAGE_SIZE=32")
ZONES = ("MODEL.IMAGE_SIZE=32",)


def configure(*overrides: str) -> Config:
    return load_config(None, [*FROZEN, *overrides], {})


def answers(config: Config, count: int) -> list[list[float]]:
    rng = np.random.default_rng(count)
    if config.data.task == "csi":
        return rng.integers(0, 4, (count, 6)).tolist()
    return [
        [number % 2, float("nan") if number == 3 else number // 2 % 2] for number in range(count)
    ]


def start(make_loop: MakeLoop, config: Config, folder: Path, **keywords: object) -> Loop:
    return make_loop(
        config,
        folder,
        targets=TargetSpec() if config.data.task == "csi" else LABELS,
        train=answers(config, 11),
        val=answers(config, 6),
        **keywords,
    )


@pytest.mark.parametrize("task", [LABELLED, ZONES], ids=["labels", "zones"])
@pytest.mark.parametrize(
    "extra", [(), ("TRAINING.EMA_DECAY=0.9", "TRAINING.ACCUMULATION_STEPS=2")], ids=["", "ema"]
)
def test_kept_features_give_the_weights_and_the_history_of_the_images(
    make_loop: MakeLoop, tmp_path: Path, task: tuple[str, ...], extra: tuple[str, ...]
) -> None:
    loops = {
        kept: start(
            make_loop,
            configure(*task, *extra, f"TRAINING.FEATURE_CACHE={kept}"),
            tmp_path / kept,
        )
        for kept in ("true", "false")
    }
    assert isinstance(loops["true"].learner.model, HeadOnly)
    assert isinstance(loops["false"].learner.model, CsiModel)
    torch.manual_seed(5)
    kept = loops["true"].run()
    torch.manual_seed(5)
    seen = loops["false"].run()
    assert kept.keys() == seen.keys()
    for name, value in seen.items():
        torch.testing.assert_close(kept[name], value, rtol=0, atol=1e-5, msg=name)
    timing = {"seconds", "images_per_s"}
    for one, other in zip(loops["true"].history, loops["false"].history, strict=True):
        assert one.keys() == other.keys()
        for name in one.keys() - timing:
            assert one[name] == pytest.approx(other[name], abs=1e-5), name


def test_building_either_way_draws_the_same_numbers(make_loop: MakeLoop, tmp_path: Path) -> None:
    after = []
    for kept in ("true", "false"):
        start(make_loop, configure(*LABELLED, f"TRAINING.FEATURE_CACHE={kept}"), tmp_path / kept)
        after.append(torch.rand(3))
    assert torch.equal(*after)


def test_the_encoder_sees_each_image_once_in_three_epochs(
    make_loop: MakeLoop, tmp_path: Path
) -> None:
    loop = start(make_loop, configure(*LABELLED), tmp_path)
    assert isinstance(loop.learner.model, HeadOnly)
    encoder = loop.learner.model.model.backbone
    seen: list[int] = []
    encoder.register_forward_pre_hook(lambda module, inputs: seen.append(len(inputs[0])))
    loop.run()
    assert len(loop.history) == 3
    assert sum(seen) == 11 + 6


def test_a_finished_training_run_again_computes_no_features(
    make_loop: MakeLoop, tmp_path: Path
) -> None:
    expected = start(make_loop, configure(*LABELLED), tmp_path).run()
    again = start(make_loop, configure(*LABELLED), tmp_path)
    assert isinstance(again.learner.model, HeadOnly)

    def refuse(*arguments: object) -> None:
        raise AssertionError("the encoder was run again")

    again.learner.model.model.backbone.register_forward_pre_hook(refuse)
    found = again.run()
    assert all(torch.equal(value, found[name]) for name, value in expected.items())


def test_workers_do_not_compute_the_features_again(make_loop: MakeLoop, tmp_path: Path) -> None:
    for kept, expected in (("true", 0), ("false", 2)):
        config = configure(*LABELLED, "RUNTIME.NUM_WORKERS=2", f"TRAINING.FEATURE_CACHE={kept}")
        loader = start(make_loop, config, tmp_path / kept).loader
        assert loader.num_workers == expected  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "override",
    [
        "TRAINING.FINE_TUNING=full",
        "AUGMENTATION.PROFILE=conservative",
        "AUGMENTATION.NOISE=0.1",
        "AUGMENTATION.MIXUP=0.2",
        "AUGMENTATION.CUTMIX=1",
        "TRAINING.FEATURE_CACHE=false",
    ],
)
def test_what_would_change_the_features_lets_the_encoder_run(
    make_loop: MakeLoop, tmp_path: Path, override: str
) -> None:
    loop = start(make_loop, configure(*LABELLED, override), tmp_path)
    assert isinstance(loop.learner.model, CsiModel)


def test_an_interrupted_training_on_kept_features_goes_on_to_equal_bits__weakness_004_05(
    make_loop: MakeLoop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = configure(*LABELLED, "TRAINING.EMA_DECAY=0.5")
    whole = start(make_loop, config, tmp_path / "whole")
    expected = whole.run()

    class Stopped(StopRequest):
        def __enter__(self) -> StopRequest:
            self.is_set = False
            return self

        def __exit__(self, *_: object) -> None:
            pass

    request = Stopped()
    broken = start(make_loop, config, tmp_path / "broken")
    step = broken.learner.step

    def stop_in_the_second_epoch(batches: object, number: int) -> float:
        if number == 4:  # 11 rows in batches of 4 are 3 steps an epoch
            request.is_set = True
        return step(batches, number)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr("csi_predictor.training.loop.StopRequest", lambda: request)
        patch.setattr(broken.learner, "step", stop_in_the_second_epoch)
        with pytest.raises(InterruptedRunError, match="the state is saved in"):
            broken.run()
    resumed = start(make_loop, config, tmp_path / "broken")
    found = resumed.run()
    assert [row["epoch"] for row in resumed.history] == [1, 2, 3]
    for name, value in expected.items():
        assert torch.equal(value, found[name]), name
    for one, other in zip(whole.history, resumed.history, strict=True):
        assert one["train_loss"] == other["train_loss"]
        assert one["val_auroc_macro"] == other["val_auroc_macro"]
        assert one["learning_rate"] == other["learning_rate"]
    assert (resumed.best.epoch, resumed.best.value) == (whole.best.epoch, whole.best.value)


def test_what_is_kept_is_what_the_head_takes_in_evaluation_mode(
    tmp_path: Path, draw: Draw, make_rows: MakeRows
) -> None:
    torch.manual_seed(0)
    model = create_model("resnet18", image_size=32, num_classes=2, dropout_rate=0.5)
    rows = make_rows(answers(configure(*LABELLED), 5))
    cache = PreparedCache("none", tmp_path, model.input_spec, prepare=draw)
    model.train()
    found = compute_head_input(model, rows, cache, batch_size=2, compute=CPU)
    assert model.training
    assert found.shape == (5, 512)
    assert not found.requires_grad
    model.eval()
    mean, std = (
        torch.tensor(each)[:, None, None] for each in (model.input_spec.mean, model.input_spec.std)
    )
    for number in range(5):
        grey = torch.from_numpy(draw(Path(f"{number}"), model.input_spec).pixels)
        with torch.inference_mode():
            output = model(((grey - mean) / std)[None])
            torch.testing.assert_close(found[number], output.features[0], atol=1e-5, rtol=1e-5)
            torch.testing.assert_close(
                HeadOnly(model).eval()(found[number : number + 1]).logits,
                output.logits,
                atol=1e-5,
                rtol=1e-5,
            )


@pytest.mark.parametrize(
    ("focus", "shape"), [("none", (2, 256)), ("pooling", (2, 6, 256)), ("masking", (2, 6, 256))]
)
def test_the_head_takes_one_vector_a_picture_or_a_zone(focus: str, shape: tuple[int, ...]) -> None:
    model = create_model("custom1", image_size=64, zone_focus=focus).eval()
    with torch.inference_mode():
        pixels = torch.rand(2, 1, 64, 64)
        taken = model.encode_for_head(pixels)
        assert taken.shape == shape
        torch.testing.assert_close(model.classifier(taken), model(pixels).logits)


def test_a_head_of_several_maps_has_no_one_tensor() -> None:
    model = create_model("custom1", image_size=64, head="map", task="change", zone_focus="none")
    text = "a map head takes several maps: expected one tensor"
    with torch.inference_mode(), pytest.raises(TypeError, match=text):
        model.eval().encode_for_head(torch.rand(1, 1, 64, 64))


def test_a_state_of_the_head_alone_is_that_of_the_whole_network() -> None:
    model = create_model("custom1", image_size=64)
    head = HeadOnly(model)
    assert head.state_dict().keys() == model.state_dict().keys()
    other = create_model("custom1", image_size=64)
    HeadOnly(other).load_state_dict(head.state_dict())
    for one, two in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(one, two)


def test_kept_rows_have_their_own_targets_of_both_readers(make_rows: MakeRows) -> None:
    rows = make_rows([[0, 1, 2, 3, 0, 1], [1, 1, 1, 1, 1, 1]])
    both = tuple(replace(row, second_targets=(2.0,) * 6) for row in rows)
    features = torch.rand(2, 7)
    dataset = FeatureDataset(both, lambda: features)
    sample = dataset[(4, 1, 2)]
    assert sample.index == 1
    assert torch.equal(sample.pixels, features[1])
    assert sample.targets.tolist() == [[1.0] * 6, [2.0] * 6]
    assert FeatureDataset(rows, lambda: features)[0].targets.tolist() == [0, 1, 2, 3, 0, 1]
    assert len(dataset) == 2


def test_without_validation_rows_there_is_no_loader(
    tmp_path: Path, draw: Draw, make_rows: MakeRows
) -> None:
    model = create_model("custom1", image_size=32)
    cache = PreparedCache("none", tmp_path, model.input_spec, prepare=draw)
    rows = make_rows([[0, 1, 2, 3, 0, 1]])
    views = feature_views(model, train=rows, val=(), cache=cache, batch_size=2, compute=CPU)
    assert views.val is None


def test_folds_share_what_one_of_them_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []

    def count(model: object, rows: Sequence[Row], cache: object, **rest: object) -> torch.Tensor:
        calls.append(len(rows))
        return torch.arange(len(rows), dtype=torch.float32)[:, None]

    monkeypatch.setattr(feature_cache, "compute_head_input", count)
    rows = [Row(f"r{i}", "p", Path("x"), (0.0,)) for i in range(5)]
    model = SimpleNamespace(backbone=nn.Linear(2, 1))
    memory = FeatureMemory()
    first = memory.compute(model, rows[:3], None, batch_size=2, compute=CPU)
    again = memory.compute(model, rows[1:], None, batch_size=2, compute=CPU)
    assert calls == [3, 2]  # the second fold lacked two of its four
    assert torch.equal(again[:2], first[1:])
    nn.init.zeros_(model.backbone.weight)
    memory.compute(model, rows, None, batch_size=2, compute=CPU)
    assert calls == [3, 2, 5]  # of another encoder nothing is known
