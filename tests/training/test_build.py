"""What the INI asks of a training is what the training does."""

import numpy as np
import pytest
import torch

from csi_predictor.config import Config, load_config
from csi_predictor.models.build import build_model
from csi_predictor.runtime import Compute
from csi_predictor.training.build import build_learner
from csi_predictor.training.learner import Learner

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
