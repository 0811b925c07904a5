"""Learning rates by stage."""

import pytest
from torch import nn

from csi_predictor.models.create import create_model
from csi_predictor.models.parameter_groups import group_parameters


def rates_of(*, fine_tuning: str = "layerwise", **keywords: object) -> dict[str, float]:
    """Each stage's rate; both of its groups must have the same."""
    groups = create_model("resnet50", num_classes=9).parameter_groups(
        learning_rate=0.1, fine_tuning=fine_tuning, weight_decay=0.01, **keywords
    )
    rates: dict[str, set[float]] = {}
    for group in groups:
        rates.setdefault(group["name"].removesuffix(" without decay"), set()).add(group["lr"])
    assert all(len(found) == 1 for found in rates.values())
    return {name: found.pop() for name, found in rates.items()}


def test_the_four_rates_of_system_001_are_given_exactly() -> None:
    """Head 1e-3, layer4 1e-4, layer3 1e-5, layer1 and layer2 1e-6."""
    assert rates_of(stage_rates=(1e-3, 1e-4, 1e-5, 1e-6)) == {
        "head": 1e-3,
        "layer4": 1e-4,
        "layer3": 1e-5,
        "layer2": 1e-6,
        "layer1": 1e-6,
        "stem": 1e-6,
    }


def test_layer_decay_multiplies_from_the_head_to_the_input() -> None:
    found = rates_of(layer_decay=0.5)
    assert found == pytest.approx(
        {
            "head": 0.1,
            "layer4": 0.05,
            "layer3": 0.025,
            "layer2": 0.0125,
            "layer1": 0.00625,
            "stem": 0.003125,
        }
    )


def test_more_rates_than_stages_leave_the_last_ones_unused() -> None:
    assert rates_of(stage_rates=(1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4))["stem"] == 0.5


@pytest.mark.parametrize("fine_tuning", ["full", "gradual"])
def test_rates_of_stages_serve_layerwise_alone(fine_tuning: str) -> None:
    found = rates_of(fine_tuning=fine_tuning, stage_rates=(1.0, 0.5), backbone_lr_factor=0.1)
    assert found.pop("head") == 0.1
    assert list(found.values()) == pytest.approx([0.01] * 5)


def test_frozen_has_the_head_alone() -> None:
    assert rates_of(fine_tuning="frozen") == {"head": 0.1}


def test_spared_parameters_have_no_decay() -> None:
    stage = nn.Linear(3, 2)
    names = {id(parameter): name for name, parameter in stage.named_parameters()}
    groups = group_parameters(
        (("head", stage),),
        names,
        ("weight",),
        learning_rate=0.1,
        backbone_lr_factor=1.0,
        weight_decay=0.01,
        fine_tuning="full",
        layer_decay=1.0,
    )
    assert [(group["name"], group["weight_decay"]) for group in groups] == [
        ("head without decay", 0.0)
    ]
    assert len(groups[0]["params"]) == 2
