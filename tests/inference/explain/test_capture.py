"""The pass that is explained leaves the network as it was."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from csi_predictor.errors import CsiError
from csi_predictor.inference.explain.capture import capture, ready_to_explain
from csi_predictor.inference.explain.heat_map import heat_map
from csi_predictor.inference.explain.target import Target
from csi_predictor.models import create_model
from csi_predictor.models.assemble import CsiModel
from csi_predictor.models.encoder import Encoded, Stages

PICTURE = torch.linspace(-1, 1, 48 * 48).reshape(1, 1, 48, 48)


def state_of(model: nn.Module) -> dict[str, Any]:
    return {
        "modes": [module.training for module in model.modules()],
        "learns": [parameter.requires_grad for parameter in model.parameters()],
        "gradients": [parameter.grad for parameter in model.parameters()],
        "hooks": [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules()],
        "values": [tensor.clone() for tensor in model.state_dict().values()],
    }


def assert_same(before: dict[str, Any], after: dict[str, Any]) -> None:
    for name in ("modes", "learns", "gradients", "hooks"):
        assert before[name] == after[name], name
    for one, other in zip(before["values"], after["values"], strict=True):
        assert torch.equal(one, other)


def test_the_network_is_left_as_it_was(tiny: CsiModel) -> None:
    tiny.train()
    tiny.freeze_stages(["block1"])
    before = state_of(tiny)
    heat_map(tiny, PICTURE, Target("square"))
    assert_same(before, state_of(tiny))
    assert not any(before["hooks"])


def test_the_network_is_left_as_it_was_after_an_error(tiny: CsiModel) -> None:
    tiny.train()
    before = state_of(tiny)
    with pytest.raises(CsiError):
        heat_map(tiny, PICTURE, Target("unheard of"))
    with pytest.raises(RuntimeError):
        heat_map(tiny, torch.zeros(1, 3, 48, 48), Target("square"))  # one channel too many
    assert_same(before, state_of(tiny))


def test_a_frozen_encoder_gives_the_same_map(tiny: CsiModel) -> None:
    expected = heat_map(tiny, PICTURE, Target("square")).values
    tiny.requires_grad_(False)
    assert (heat_map(tiny, PICTURE, Target("square")).values == expected).all()


def test_gradients_flow_where_the_caller_has_none(tiny: CsiModel) -> None:
    expected = heat_map(tiny, PICTURE, Target("square")).values
    with torch.inference_mode():
        inside = heat_map(tiny, PICTURE.clone(), Target("square")).values
    with torch.no_grad():
        assert (heat_map(tiny, PICTURE, Target("square")).values == expected).all()
    assert (inside == expected).all()


def test_channels_last_gives_the_same_map(tiny: CsiModel) -> None:
    expected = heat_map(tiny, PICTURE, Target("square")).values
    tiny.to(memory_format=torch.channels_last)
    found = heat_map(tiny, PICTURE.contiguous(memory_format=torch.channels_last), Target("square"))
    torch.testing.assert_close(found.values, expected, rtol=1e-4, atol=1e-5)


def test_dropout_is_off(tiny: CsiModel) -> None:
    tiny.train()
    maps = [heat_map(tiny, PICTURE, Target("square")).values for _ in range(3)]
    assert (maps[0] == maps[1]).all()
    assert (maps[0] == maps[2]).all()


def test_the_graph_begins_in_the_stage(tiny: CsiModel) -> None:
    grown = []
    first = tiny.get_submodule("backbone.block1")
    first.register_forward_hook(lambda _, __, output: grown.append(output.requires_grad))
    with ready_to_explain(tiny):
        captured = capture(tiny, PICTURE)
    assert grown == [False]
    assert captured.stage == "block2"
    assert captured.logits.requires_grad


def test_a_map_of_one_position_makes_way_for_the_stage_before() -> None:
    model = create_model("resnet18", image_size=32, labels=("a", "b"))  # 1/32: one position
    found = heat_map(model, torch.randn(1, 3, 32, 32), Target("a"))
    assert found.stage == "layer3"


class Summary(nn.Module):
    """A map to a vector, by way of inner numbers that have a map's shape, as heads of attention."""

    def __init__(self) -> None:
        super().__init__()
        self.heads = nn.Identity()

    def forward(self, feature_map: Tensor) -> Tensor:
        heads: Tensor = self.heads(feature_map.reshape(len(feature_map), 4, 4, -1))
        return heads.mean(dim=3).flatten(1)


class Summarised(nn.Module):
    """Another encoder's maps, and their summary in the place of their means."""

    def __init__(self, encoder: Any) -> None:
        super().__init__()
        self.encoder = encoder
        self.summary = Summary()

    def forward(self, images: Tensor) -> Encoded:
        maps = self.encoder.forward_maps(images)
        return Encoded(maps, self.summary(maps[-1]))

    def stages(self) -> Stages:
        return (*self.encoder.stages(), ("summary", self.summary))


def test_what_a_layer_holds_inside_is_never_taken_for_a_map(tiny: CsiModel) -> None:
    tiny.backbone = Summarised(tiny.backbone)  # type: ignore[assignment]
    assert heat_map(tiny, PICTURE, Target("square")).stage == "block2"


def test_an_unknown_stage_is_an_error(tiny: CsiModel) -> None:
    with pytest.raises(CsiError, match="no stage layer4: expected one of block1, block2"):
        heat_map(tiny, PICTURE, Target("square"), stage="layer4")


def test_a_stage_without_positions_is_an_error() -> None:
    model = create_model("resnet18", image_size=32, labels=("a", "b"))
    with pytest.raises(CsiError, match="more than one position in layer4: expected another stage"):
        heat_map(model, torch.randn(1, 3, 32, 32), Target("a"), stage="layer4")


def test_gradient_checkpointing_is_a_clear_error() -> None:
    model = create_model("resnet18", image_size=64, labels=("a", "b"))
    model.set_gradient_checkpointing(True)
    with pytest.raises(CsiError, match=r"call set_gradient_checkpointing\(False\)"):
        heat_map(model, torch.randn(1, 3, 64, 64), Target("a"))
