"""What the INI asks of a training is what the training does."""

import copy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from csi_predictor.config import Config, load_config
from csi_predictor.models.build import build_model
from csi_predictor.runtime import Compute
from csi_predictor.specs import TargetSpec
from csi_predictor.training.build import build_learner, choose_monitor
from csi_predictor.training.learner import Learner
from csi_predictor.training.loop import Loop
from csi_predictor.training.mixing import Mixing
from csi_predictor.training.stopping import BestWeights

MakeLoop = Callable[..., Loop]

SMALL = ("MODEL.IMAGE_SIZE=64", "TRAINING.WARMUP_EPOCHS=0")


def configure(*overrides: str) -> Config:
    return load_config(None, [*SMALL, *overrides], {})


def learner_of(config: Config) -> Learner:
    compute = Compute(torch.device("cpu"), torch.float32)
    truth = np.zeros((2, 6))
    return build_learner(config, build_model(config), compute, num_batches=4, train_targets=truth)


def optimizer_of(config: Config) -> torch.optim.Optimizer:
    return learner_of(config)._optimizer


def test_momentum_and_optimizer_are_the_inis__weakness_12() -> None:
    optimizer = optimizer_of(configure("TRAINING.OPTIMIZER=sgd", "TRAINING.MOMENTUM=0.7"))
    assert isinstance(optimizer, torch.optim.SGD)
    assert all(group["momentum"] == 0.7 for group in optimizer.param_groups)
    assert isinstance(optimizer_of(configure("TRAINING.OPTIMIZER=adam")), torch.optim.Adam)


@pytest.mark.parametrize(("scheduler", "half_way"), [("cosine", 0.5), ("none", 1.0)])
def test_the_scheduler_is_the_inis__weakness_12(scheduler: str, half_way: float) -> None:
    config = configure(f"TRAINING.SCHEDULER={scheduler}", "TRAINING.N_EPOCHS=10")
    learner = learner_of(config)
    learner.schedule.set_step(20)  # of 10 epochs with 4 steps each
    assert learner.learning_rate == pytest.approx(config.training.learning_rate * half_way)


def test_the_encoders_rate_is_a_share_of_the_heads() -> None:
    config = configure("TRAINING.LEARNING_RATE=0.01", "TRAINING.BACKBONE_LR_FACTOR=0.1")
    rates = sorted({group["lr"] for group in optimizer_of(config).param_groups})
    assert rates == pytest.approx([0.001, 0.01])


def test_a_frozen_encoder_has_no_rate_and_its_statistics_stay() -> None:
    config = configure("TRAINING.FINE_TUNING=frozen")
    learner = learner_of(config)
    trained = {id(p) for group in learner._optimizer.param_groups for p in group["params"]}
    encoder = {id(p) for p in learner.model.backbone.parameters()}  # type: ignore[union-attr,operator]
    assert not trained & encoder


LABELS = TargetSpec(task="multilabel", names=("a", "b"), num_classes=2)
CLASSES = TargetSpec(task="multiclass", names=("x", "y", "z"), num_classes=3)
SHORT = ("RUNTIME.NUM_WORKERS=0", "TRAINING.BATCH_SIZE=4", "TRAINING.N_EPOCHS=4")
MULTICLASS = ("DATA.TASK=multiclass", "DATA.SOURCE=csv", "DATA.DATA_DIR=.", "DATA.LABELS_CSV=a")


def short(*overrides: str) -> Config:
    return load_config(None, [*SHORT, "MODEL.IMAGE_SIZE=32", *overrides], {})


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ((), "val_zone_mae"),
        (("DATA.TASK=multilabel",), "val_auroc_macro"),
        (MULTICLASS, "val_auroc_macro"),
        (("DATA.TASK=multilabel", "TRAINING.MONITOR=val_loss"), "val_loss"),
        ((*MULTICLASS, "TRAINING.MONITOR=val_accuracy"), "val_accuracy"),
    ],
)
def test_what_chooses_the_epoch(overrides: tuple[str, ...], expected: str) -> None:
    assert choose_monitor(short(*overrides)) == expected


def test_a_higher_area_and_accuracy_are_better() -> None:
    for monitor in ("val_auroc_macro", "val_accuracy"):
        best = BestWeights(monitor, min_delta=0.01)
        model = torch.nn.Linear(1, 1)
        assert best.offer(0.6, 1, model)
        assert not best.offer(0.605, 2, model)
        assert best.offer(0.7, 3, model)
        assert not best.offer(float("nan"), 4, model)
        assert (best.epoch, best.value) == (3, 0.7)


def test_milestones_count_epochs(make_loop: MakeLoop, tmp_path: Path) -> None:
    config = short(
        "TRAINING.SCHEDULER=multistep",
        "TRAINING.MILESTONES=1, 3",
        "TRAINING.MILESTONE_FACTOR=0.5",
        "TRAINING.WARMUP_EPOCHS=0",
        "TRAINING.ACCUMULATION_STEPS=2",
        "TRAINING.LEARNING_RATE=0.008",
    )
    loop = make_loop(config, tmp_path, targets=TargetSpec(), train=[[1] * 6] * 12)
    loop.run()
    # torch's MultiStepLR, stepped after each epoch
    reference = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.008)
    stepped = torch.optim.lr_scheduler.MultiStepLR(reference, milestones=[1, 3], gamma=0.5)
    expected = []
    for _ in range(4):
        expected.append(reference.param_groups[0]["lr"])
        reference.step()
        stepped.step()
    assert [row["learning_rate"] for row in loop.history] == pytest.approx(expected)


def test_balanced_sampling_draws_rare_classes_as_often(make_loop: MakeLoop, tmp_path: Path) -> None:
    train = [[0]] * 90 + [[1]] * 9 + [[2]] + [[float("nan")]] * 5
    drawn: dict[str, list[float]] = {}
    for sampling in ("uniform", "balanced"):
        config = short(*MULTICLASS, f"TRAINING.SAMPLING={sampling}")
        loop = make_loop(config, tmp_path / sampling, targets=CLASSES, train=train)
        targets = torch.cat([batch.targets for batch in loop.loader])[:, 0]
        drawn[sampling] = [float((targets == index).float().mean()) for index in range(3)]
    assert drawn["uniform"] == pytest.approx([90 / 105, 9 / 105, 1 / 105])
    assert drawn["balanced"] == pytest.approx([1 / 3] * 3, abs=0.15)


def test_mixing_is_the_inis(make_loop: MakeLoop, tmp_path: Path) -> None:
    keys = ("AUGMENTATION.MIXUP=0.3", "AUGMENTATION.CUTMIX=0.7", "RUNTIME.SEED=8")
    loops = {
        "labels": make_loop(
            short("DATA.TASK=multilabel", *keys), tmp_path, targets=LABELS, train=[[0, 1]] * 8
        ),
        "classes": make_loop(short(*MULTICLASS, *keys), tmp_path, targets=CLASSES, train=[[0]] * 8),
    }
    expected = {
        "labels": Mixing(task="multilabel", mixup_alpha=0.3, cutmix_alpha=0.7),
        "classes": Mixing(task="multiclass", num_classes=3, mixup_alpha=0.3, cutmix_alpha=0.7),
    }
    for name, loop in loops.items():
        assert loop.learner._mixing == expected[name]
        assert loop.learner._seed == 8
    plain = make_loop(short("DATA.TASK=multilabel"), tmp_path, targets=LABELS, train=[[0, 1]] * 8)
    assert plain.learner._mixing is None


@pytest.mark.parametrize("kind", ["MIXUP", "CUTMIX"])
def test_a_training_on_mixed_images_runs_and_ends_finite(
    make_loop: MakeLoop, tmp_path: Path, kind: str
) -> None:
    config = short(*MULTICLASS, f"AUGMENTATION.{kind}=1", "TRAINING.N_EPOCHS=1")
    loop = make_loop(
        config, tmp_path, targets=CLASSES, train=[[n % 3] for n in range(9)], val=[[0], [1], [2]]
    )
    loop.run()
    assert np.isfinite(loop.history[0]["train_loss"])
    assert {"val_loss", "val_auroc_macro", "val_accuracy"} <= loop.history[0].keys()


def test_leave_to_split_batches_is_the_inis(make_loop: MakeLoop, tmp_path: Path) -> None:
    for text in ("true", "false"):
        config = short(f"TRAINING.MICRO_BATCHING={text}")
        loop = make_loop(config, tmp_path, targets=TargetSpec(), train=[[1] * 6] * 4)
        assert loop.learner._may_split_batches is (text == "true")


def test_weights_of_positives_are_those_of_the_training_rows(
    make_loop: MakeLoop, tmp_path: Path
) -> None:
    nan = float("nan")
    train = [[1, 0], [0, 0], [0, 0], [0, nan], [nan, 1]]
    config = short("DATA.TASK=multilabel", "TRAINING.POS_WEIGHT=auto")
    loop = make_loop(config, tmp_path, targets=LABELS, train=train)
    logits, targets = torch.zeros(1, 2), torch.ones(1, 2)
    # three negatives a positive of both labels: binary cross-entropy at 0 is ln 2
    assert float(loop.learner.loss(logits, targets)) == pytest.approx(3 * np.log(2))


def test_stages_thaw_one_after_another_and_keep_what_the_optimizer_knows(
    make_loop: MakeLoop, tmp_path: Path
) -> None:
    config = short(
        "DATA.TASK=multilabel",
        "MODEL.MODEL_ARCH=resnet18",
        "TRAINING.FINE_TUNING=gradual",
        "TRAINING.UNFREEZE_EPOCHS=1, 3",
        "TRAINING.UNFREEZE_LAYERS=1",
        "TRAINING.N_EPOCHS=3",
        "TRAINING.SCHEDULER=none",
    )
    states: list[dict[str, torch.Tensor]] = []
    loop = make_loop(
        config,
        tmp_path,
        targets=LABELS,
        train=[[n % 2, 1] for n in range(8)],
        on_epoch=lambda history: states.append(copy.deepcopy(loop.learner.model.state_dict())),
    )
    first = copy.deepcopy(loop.learner.model.state_dict())
    moments: list[int] = []
    optimizer, step = loop.learner._optimizer, loop.learner.step
    head = dict(loop.learner.model.named_parameters())["classifier.1.weight"]

    def noted(*arguments: object) -> float:
        loss = step(*arguments)
        moments.append(int(optimizer.state[head]["step"]))
        return loss

    loop.learner.step = noted  # type: ignore[method-assign]
    loop.run()
    frozen = ("conv1", "bn1", "layer1", "layer2", "layer3")
    for name, value in first.items():
        part = name.split(".")[2] if name.startswith("backbone.net") else "head"
        early, late = states[1][name], states[2][name]
        if part in frozen:  # BatchNorm's statistics and counts too
            assert torch.equal(value, early), name
        if part in frozen[:-1]:
            assert torch.equal(value, late), name
        if part == "layer3" and value.is_floating_point():
            assert not torch.equal(early, late), name
        if part == "layer4" and "running" in name:
            assert not torch.equal(value, early), name
    assert moments == [1, 2, 3, 4, 5, 6]  # Adam's count of the head goes on when layer3 thaws
    assert not any(".layer1." in name for name in _learnt(loop))


def _learnt(loop: Loop) -> set[str]:
    state = loop.learner._optimizer.state
    return {name for name, p in loop.learner.model.named_parameters() if p in state}
