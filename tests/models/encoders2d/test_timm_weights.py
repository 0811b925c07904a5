from collections.abc import Mapping

import pytest
import timm
import torch
from timm.models.vision_transformer import checkpoint_filter_fn
from torch import Tensor, nn

from csi_predictor.architectures import find_architecture
from csi_predictor.errors import WeightsError
from csi_predictor.models.encoder import EncoderOptions
from csi_predictor.models.encoders2d.timm_encoder import (
    TimmEncoder,
    build_timm_encoder,
    read_pretrained_source,
)
from csi_predictor.specs import InputSpec

VIT = "vit_tiny_patch16_224"


def build(name: str, size: int | tuple[int, int] = 64, **options: object) -> TimmEncoder:
    edges = (size, size) if isinstance(size, int) else size
    row = find_architecture(name)
    return build_timm_encoder(
        row, EncoderOptions(input_spec=InputSpec(size=edges), **options)
    ).eval()


def fitted(encoder: TimmEncoder, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    names = encoder.net.state_dict()
    return encoder.fit_weights({key: value for key, value in state.items() if key in names})


@pytest.mark.parametrize(
    ("size", "patch"),
    [((96, 96), (16, 16)), ((64, 128), (16, 16)), ((64, 64), (8, 8)), ((64, 96), (32, 32))],
)
def test_patches_and_positions_follow_the_input_as_timm_resamples_them(
    size: tuple[int, int], patch: tuple[int, int]
) -> None:
    published = timm.create_model(VIT).state_dict()
    encoder = build(VIT, size=size, patch_size=patch)
    own = fitted(encoder, published)
    expected = checkpoint_filter_fn(dict(published), encoder.net, interpolation="bicubic")
    for key in ("pos_embed", "patch_embed.proj.weight"):
        torch.testing.assert_close(own[key], expected[key])
    encoder.net.load_state_dict(own, strict=True)


def test_as_many_positions_in_another_shape_are_resampled_too() -> None:
    published = timm.create_model(VIT, img_size=64).state_dict()  # 4 x 4 patches
    encoder = build(VIT, size=(32, 128))  # 2 x 8: also sixteen
    own = fitted(encoder, published)["pos_embed"]
    assert own.shape == published["pos_embed"].shape
    # A cubic kernel can't copy rows: the grids differ, the class token's place doesn't.
    assert not torch.allclose(own[:, 1:], published["pos_embed"][:, 1:])
    torch.testing.assert_close(own[:, 0], published["pos_embed"][:, 0])


def test_halved_patches_see_a_smooth_picture_at_half_size_alike() -> None:
    """The point of resampling: tokens stay what they were when picture and patches shrink."""
    whole = build(VIT, size=64)
    half = build(VIT, size=32, patch_size=(8, 8))
    half.net.load_state_dict(fitted(half, whole.net.state_dict()))
    small = torch.randn(1, 3, 8, 8)
    pictures = [
        nn.functional.interpolate(small, size=edge, mode="bicubic", antialias=True)
        for edge in (64, 32)
    ]
    with torch.no_grad():
        one, two = whole(pictures[0]).pooled, half(pictures[1]).pooled
    assert nn.functional.cosine_similarity(one, two).item() > 0.99


def test_position_embeddings_are_spared_weight_decay() -> None:
    assert "net.pos_embed" in build(VIT).no_weight_decay()


def test_the_source_of_published_weights_names_the_tag_and_the_size() -> None:
    source = read_pretrained_source(find_architecture("timm/tf_efficientnet_lite0"))
    assert source.name == "tf_efficientnet_lite0.in1k"
    assert source.repo_id == "timm/tf_efficientnet_lite0.in1k"
    assert source.size_mib == pytest.approx(17.9, abs=0.2)  # 4,652,008 parameters of 4 bytes


def test_a_network_without_published_weights_says_so() -> None:
    with pytest.raises(WeightsError, match=r"timm publishes no weights of efficientnet_b8"):
        read_pretrained_source(find_architecture("timm/efficientnet_b8"))
