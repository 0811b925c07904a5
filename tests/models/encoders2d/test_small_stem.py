"""Resnets for pictures of 28 pixels."""

import pytest
import timm
import torch
from torch import nn

from csi_predictor.config import Config, load_config
from csi_predictor.errors import ConfigError, WeightsError
from csi_predictor.models.build import build_model, build_model_spec
from csi_predictor.models.create import create_model
from csi_predictor.models.encoders2d.small_stem import make_stem_small


def configure(*overrides: str) -> Config:
    base = ("DATA.TASK=multilabel", "DATA.LABELS=a, b", "MODEL.MODEL_ARCH=resnet18")
    return load_config(None, [*base, *overrides], {})


def test_28_pixels_keep_a_map_of_4x4__weakness_001_11() -> None:
    # 28 through the stem, then halved by three of four stages, rounded up: 28, 14, 7, 4
    small = create_model("resnet18", num_classes=2, image_size=28, stem="small").eval()
    published = create_model("resnet18", num_classes=2, image_size=28).eval()
    picture = torch.rand(1, 3, 28, 28)
    with torch.inference_mode():
        assert small.backbone.forward_features(picture).shape == (1, 512, 4, 4)
        assert published.backbone.forward_features(picture).shape == (1, 512, 1, 1)


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_parameters_are_the_published_with_a_3x3_for_the_7x7(name: str) -> None:
    encoder = create_model(name, num_classes=2, stem="small", image_size=28).backbone
    published = sum(p.numel() for p in timm.create_model(name, num_classes=0).parameters())
    found = sum(parameter.numel() for parameter in encoder.parameters())
    assert found == published - 3 * 64 * 7 * 7 + 3 * 64 * 3 * 3


def test_the_stem_is_that_of_the_medmnist_protocol() -> None:
    net = timm.create_model("resnet18", num_classes=0, in_chans=1)
    make_stem_small(net)
    conv = net.conv1
    assert (conv.kernel_size, conv.stride, conv.padding) == ((3, 3), (1, 1), (1, 1))
    assert (conv.in_channels, conv.out_channels, conv.bias) == (1, 64, None)
    assert isinstance(net.maxpool, nn.Identity)
    # He et al. 2015: a normal distribution of variance 2 / (64 * 3 * 3)
    assert conv.weight.std().item() == pytest.approx((2 / 576) ** 0.5, rel=0.1)


@pytest.mark.parametrize(
    ("overrides", "stem"),
    [
        (("MODEL.IMAGE_SIZE=28",), "small"),
        (("MODEL.IMAGE_SIZE=63",), "small"),
        (("MODEL.IMAGE_SIZE=64",), "published"),
        ((), "published"),
        (("MODEL.IMAGE_SIZE=28", "MODEL.STEM=published"), "published"),
        (("MODEL.IMAGE_SIZE=224", "MODEL.STEM=small"), "small"),
        (("MODEL.IMAGE_SIZE=28", "MODEL.PRETRAINED=true"), "published"),
        (("MODEL.IMAGE_SIZE=28", "MODEL.WEIGHTS=own.safetensors"), "published"),
        (("MODEL.IMAGE_SIZE=32", "MODEL.MODEL_ARCH=custom1"), "published"),
        (("MODEL.IMAGE_SIZE=32", "MODEL.MODEL_ARCH=efficientnet_b0"), "published"),
        (("DATA.VOLUME_SHAPE=28, 28, 28", "MODEL.MODEL_ARCH=resnet18_3d"), "published"),
    ],
)
def test_auto_is_small_for_tiny_pictures_without_weights(
    overrides: tuple[str, ...], stem: str
) -> None:
    assert build_model_spec(configure(*overrides)).stem == stem


@pytest.mark.parametrize("name", ["custom1", "efficientnet_b0", "timm/resnet18"])
def test_a_small_stem_of_another_family_is_refused(name: str) -> None:
    text = rf"\[MODEL\] STEM = small: {name} has none: expected auto or published, or a 2D resnet"
    with pytest.raises(ConfigError, match=text):
        build_model(configure("MODEL.STEM=small", f"MODEL.MODEL_ARCH={name}"))


def test_a_small_stem_of_volumes_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"STEM = small: resnet18_3d has none"):
        build_model(configure("MODEL.STEM=small", "MODEL.MODEL_ARCH=resnet18_3d"))


def test_an_unknown_stem_is_refused_in_python_too() -> None:
    with pytest.raises(ConfigError, match=r"STEM = tiny: expected one of published, small"):
        create_model("resnet18", num_classes=2, stem="tiny")


def test_published_weights_do_not_fit_a_small_stem(tmp_path: object) -> None:
    from pathlib import Path

    from safetensors.torch import save_file

    path = Path(str(tmp_path)) / "resnet18.safetensors"
    save_file(timm.create_model("resnet18").state_dict(), path)
    overrides = ("MODEL.STEM=small", "MODEL.IMAGE_SIZE=28", f"MODEL.WEIGHTS={path}")
    with pytest.raises((ConfigError, WeightsError), match="conv1"):
        build_model(configure(*overrides))
