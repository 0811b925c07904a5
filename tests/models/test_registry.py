import math

import pytest
import timm
import torch

from csi_predictor.architectures import ARCHITECTURES
from csi_predictor.errors import ConfigError
from csi_predictor.models import create_model
from csi_predictor.models.input_spec import published_input_spec
from csi_predictor.models.registry import resolve_architecture

# Published at 1000 classes: torchvision's model tables (ResNet, DenseNet, EfficientNet).
PUBLISHED_PARAMETERS = {
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "resnet101": 44_549_160,
    "resnet152": 60_192_808,
    "densenet121": 7_978_856,
    "densenet161": 28_681_000,
    "densenet169": 14_149_480,
    "densenet201": 20_013_928,
    "efficientnet_b0": 5_288_548,
    "efficientnet_b1": 7_794_184,
    "efficientnet_b2": 9_109_994,
    "efficientnet_b3": 12_233_232,
    "efficientnet_b4": 19_341_616,
    "efficientnet_b5": 30_389_784,
    "efficientnet_b6": 43_040_704,
    "efficientnet_b7": 66_347_960,
}
TIMM_ROWS = [name for name, row in ARCHITECTURES.items() if row.timm_name]


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_each_row_learns_from_a_tiny_picture__weakness_18(name: str) -> None:
    model = create_model(name, image_size=64)
    images = torch.randn(2, model.input_spec.channels, 64, 64)
    output = model(images)
    output.logits.square().mean().backward()
    assert output.logits.shape == (2, 6, 4)
    assert output.features.shape == (2, model.feature_dim)
    assert model.feature_dim == ARCHITECTURES[name].feature_dim
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_every_timm_row_has_a_published_count() -> None:
    assert set(PUBLISHED_PARAMETERS) == set(TIMM_ROWS)


@pytest.mark.parametrize("name", TIMM_ROWS)
def test_parameters_equal_the_published_count(name: str) -> None:
    with torch.device("meta"):
        model = create_model(name, num_classes=1000)
    counted = sum(parameter.numel() for parameter in model.parameters())
    assert counted == PUBLISHED_PARAMETERS[name]


@pytest.mark.parametrize("name", TIMM_ROWS)
def test_the_row_describes_the_picture_that_timm_published(name: str) -> None:
    row = ARCHITECTURES[name]
    assert row.timm_name in timm.list_pretrained()
    published = timm.get_pretrained_cfg(row.timm_name)
    assert row.input_spec is not None
    assert (row.input_spec.channels, *row.input_spec.size) == published.input_size
    assert row.input_spec.mean == published.mean
    assert row.input_spec.std == published.std
    assert row.input_spec.interpolation == published.interpolation


def test_timm_is_asked_for_the_picture_of_its_own_names() -> None:
    spec = published_input_spec(resolve_architecture("timm/tf_efficientnet_lite0"))
    assert (spec.size, spec.mean, spec.interpolation) == ((224, 224), (0.5,) * 3, "bicubic")


def test_custom1_has_about_a_million_parameters() -> None:
    counted = sum(parameter.numel() for parameter in create_model("custom1").parameters())
    assert math.isclose(counted, 1_000_000, rel_tol=0.05)


def test_an_unknown_name_is_an_error_of_the_config() -> None:
    with pytest.raises(ConfigError, match=r"\[MODEL\] MODEL_ARCH = resnet51: .* mean resnet50\?"):
        resolve_architecture("resnet51")
