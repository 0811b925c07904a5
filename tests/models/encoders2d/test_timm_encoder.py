import pytest
import torch

from csi_predictor.architectures import find_architecture
from csi_predictor.errors import ConfigError, WeightsError
from csi_predictor.models.encoders2d.timm_encoder import (
    TimmEncoder,
    build_timm_encoder,
    read_pretrained_source,
)
from csi_predictor.specs import InputSpec


def build(name: str, size: int = 64, **arguments: object) -> TimmEncoder:
    spec = InputSpec(size=(size, size))
    return build_timm_encoder(find_architecture(name), input_spec=spec, **arguments).eval()


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("resnet18", (512, 2, 2)),
        ("densenet121", (1024, 2, 2)),
        ("timm/tf_efficientnet_lite0", (1280, 2, 2)),
        ("timm/vit_tiny_patch16_224", (192, 4, 4)),  # tokens
        ("timm/swin_tiny_patch4_window7_224", (768, 2, 2)),  # channels last inside timm
    ],
)
def test_the_last_map_has_channels_before_height(name: str, shape: tuple[int, ...]) -> None:
    encoder = build(name)
    assert encoder.forward_features(torch.zeros(1, 3, 64, 64)).shape[1:] == shape
    assert encoder.feature_dims == shape[:1]


def test_tokens_keep_their_place_in_the_map() -> None:
    encoder = build("timm/vit_tiny_patch16_224", size=64)
    images = torch.randn(1, 3, 64, 64)
    tokens = encoder.net.forward_features(images)
    # Token 0 is the class; row 2, column 3 of the 4 x 4 grid is token 1 + 2 * 4 + 3.
    torch.testing.assert_close(encoder.forward_features(images)[0, :, 2, 3], tokens[0, 12])


@pytest.mark.parametrize(
    ("name", "dims"),
    [
        ("resnet18", (256, 512)),
        ("densenet121", (1024, 1024)),
        ("timm/tf_efficientnet_lite0", (112, 1280)),
        ("timm/vit_tiny_patch16_224", (192, 192)),
        ("timm/swin_tiny_patch4_window7_224", (384, 768)),
    ],
)
def test_levels_are_timms_own_maps_before_its_last(name: str, dims: tuple[int, ...]) -> None:
    encoder = build(name, feature_levels=2)
    images = torch.randn(2, 3, 64, 64)
    finer, last = encoder.forward_maps(images)
    every = encoder.net.forward_intermediates(images, intermediates_only=True)
    torch.testing.assert_close(finer, every[-2])
    one_map = TimmEncoder(encoder.net, name=name).eval()
    torch.testing.assert_close(last, one_map.forward_features(images))
    assert encoder.feature_dims == (finer.shape[1], last.shape[1]) == dims


def test_no_layer_is_left_without_a_gradient() -> None:
    encoder = build("timm/tf_efficientnet_lite0", feature_levels=3).train()
    sum(one.square().mean() for one in encoder.forward_maps(torch.randn(2, 3, 64, 64))).backward()
    assert all(parameter.grad is not None for parameter in encoder.parameters())


@pytest.mark.parametrize(
    ("name", "first", "last"),
    [
        ("resnet50", "stem", "layer4"),
        ("densenet121", "stem", "features.denseblock4+features.norm5"),
        ("efficientnet_b0", "stem", "blocks.6+conv_head+bn2"),
        ("timm/vit_tiny_patch16_224", "stem", "blocks.11+norm"),
        ("timm/pit_ti_224", "stem", "transformers+norm"),  # timm has no groups of it
    ],
)
def test_stages_hold_each_parameter_once_from_input_to_output(
    name: str, first: str, last: str
) -> None:
    size = 224 if "pit" in name else 64
    encoder = build(name, size=size)
    stages = encoder.stages()
    held = [id(parameter) for _, stage in stages for parameter in stage.parameters()]
    assert len(held) == len(set(held))
    assert set(held) == {id(parameter) for parameter in encoder.parameters()}
    assert stages[0][0] == first
    assert stages[-1][0] == last


def test_one_module_is_its_own_stage_for_hooks() -> None:
    encoder = build("resnet18")
    assert dict(encoder.stages())["layer4"] is encoder.net.layer4


def test_stochastic_depth_reaches_the_network() -> None:
    encoder = build("resnet18", drop_path_rate=0.4)
    assert encoder.net.layer4[1].drop_path.drop_prob == pytest.approx(0.4)


@pytest.mark.parametrize(
    ("name", "arguments", "text"),
    [
        ("timm/tf_efficientnet_lit0", {}, r"has no network tf_efficientnet_lit0: .*lite0\?"),
        (
            "timm/resnet18.nonsense",
            {},
            r"no weights nonsense of resnet18: expected one of .*tv_in1k",
        ),
        ("densenet121", {"drop_path_rate": 0.1}, r"DROP_PATH_RATE: densenet121 has no stochastic"),
        ("resnet18", {"feature_levels": 6}, r"resnet18 has 5 resolutions: expected 1 to 5"),
    ],
)
def test_what_timm_lacks_is_refused(name: str, arguments: dict[str, int], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        build(name, **arguments)


def test_checkpointing_is_refused_where_timm_has_none() -> None:
    encoder = build("timm/pit_ti_224", size=224)
    with pytest.raises(ConfigError, match="GRADIENT_CHECKPOINTING = true: timm/pit_ti_224 can't"):
        encoder.set_gradient_checkpointing(True)


def test_position_embeddings_are_spared_weight_decay() -> None:
    assert "net.pos_embed" in build("timm/vit_tiny_patch16_224").no_weight_decay()


def test_the_source_of_published_weights_names_the_tag_and_the_size() -> None:
    source = read_pretrained_source(find_architecture("timm/tf_efficientnet_lite0"))
    assert source.name == "tf_efficientnet_lite0.in1k"
    assert source.repo_id == "timm/tf_efficientnet_lite0.in1k"
    assert source.size_mib == pytest.approx(17.9, abs=0.2)  # 4,652,008 parameters of 4 bytes


def test_a_network_without_published_weights_says_so() -> None:
    with pytest.raises(WeightsError, match=r"timm publishes no weights of efficientnet_b8"):
        read_pretrained_source(find_architecture("timm/efficientnet_b8"))
