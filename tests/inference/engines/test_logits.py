"""Networks as engines take them."""

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from csi_predictor.inference.engines.logits import BundleLogits, LogitsModel
from csi_predictor.inference.predict import run_models
from csi_predictor.models.create import create_model


@dataclass
class Answer:
    logits: Tensor


class Difference(nn.Module):
    def forward(self, current: Tensor, prior: Tensor) -> Tensor:
        return current - prior


class Doubled(nn.Module):
    def forward(self, pixels: Tensor) -> Answer:
        return Answer(2 * pixels)


def test_the_logits_of_an_output_or_the_tensor_itself() -> None:
    pixels = torch.rand(2, 1, 3, 3)
    assert torch.equal(LogitsModel(Doubled())(pixels), 2 * pixels)
    assert torch.equal(LogitsModel(nn.Identity())(pixels), pixels)


def test_a_pair_is_taken_apart_in_the_order_current_prior() -> None:
    pairs = torch.rand(4, 2, 1, 3, 3)
    answer = LogitsModel(Difference(), num_images=2)(pairs)
    assert torch.equal(answer, pairs[:, 0] - pairs[:, 1])


def test_a_bundle_gives_the_same_passes_as_the_predict_loop() -> None:
    members = [create_model("custom1", image_size=32).eval() for _ in range(2)]
    pixels = torch.rand(3, 1, 32, 32)
    for mirror in (False, True):
        expected = run_models(
            members,
            pixels,
            device=torch.device("cpu"),
            test_time="mirror" if mirror else "none",
        )
        with torch.inference_mode():
            found = cast(Tensor, BundleLogits(members, mirror=mirror)(pixels))
        assert torch.equal(found, expected)
