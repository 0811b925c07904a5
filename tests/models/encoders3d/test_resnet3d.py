from collections.abc import Callable

import pytest
import timm
import torch
from monai.networks import nets
from torch import nn

from csi_predictor.errors import ConfigError
from csi_predictor.models.encoder import Encoder

BuildVolumeEncoder = Callable[..., Encoder]


@pytest.mark.parametrize(
    ("name", "size"),
    [("resnet18", (33, 47, 38)), ("resnet34", (17, 29, 40)), ("resnet50", (19, 35, 31))],
)
def test_features_equal_monais_with_copied_weights(
    build_volume_encoder: BuildVolumeEncoder,
    stir: Callable[[nn.Module], None],
    name: str,
    size: tuple[int, ...],
) -> None:
    reference = getattr(nets, name)(
        spatial_dims=3,
        n_input_channels=1,
        conv1_t_stride=2,
        feed_forward=False,
        shortcut_type="B",
        bias_downsample=False,
    ).eval()
    stir(reference)
    encoder = build_volume_encoder(f"{name}_3d", size).eval()
    encoder.load_state_dict(reference.state_dict())
    images = torch.randn(2, 1, *size, generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        expected = reference(images)
        found = encoder(images).pooled
        scale = expected.abs().max()
        torch.testing.assert_close(found / scale, expected / scale, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_levels_have_timms_channels_and_resolutions(
    build_volume_encoder: BuildVolumeEncoder, name: str
) -> None:
    size = (33, 50, 47)
    levels = timm.create_model(name, num_classes=0).feature_info
    encoder = build_volume_encoder(f"{name}_3d", size, feature_levels=5).eval()
    with torch.inference_mode():
        maps = encoder.forward_maps(torch.rand(1, 1, *size))
    for one, level in zip(maps, levels, strict=True):
        edges = tuple(-(-edge // level["reduction"]) for edge in size)  # rounded up
        assert one.shape == (1, level["num_chs"], *edges)
    assert encoder.feature_dims == tuple(level["num_chs"] for level in levels)


@pytest.mark.parametrize("count", [1, 2, 4])
def test_fewer_levels_are_the_deepest_of_all(
    build_volume_encoder: BuildVolumeEncoder, count: int
) -> None:
    images = torch.randn(1, 1, 16, 21, 32)
    every = build_volume_encoder("resnet18_3d", (16, 21, 32), feature_levels=5).eval()
    some = build_volume_encoder("resnet18_3d", (16, 21, 32), feature_levels=count).eval()
    with torch.inference_mode():
        for one, two in zip(
            some.forward_maps(images), every.forward_maps(images)[-count:], strict=True
        ):
            assert torch.equal(one, two)
    assert some.feature_dims == every.feature_dims[-count:]


def test_stochastic_depth_grows_as_timms(build_volume_encoder: BuildVolumeEncoder) -> None:
    def rates(network: nn.Module) -> list[float]:
        return [one.drop_prob for one in network.modules() if type(one).__name__ == "DropPath"]

    encoder = build_volume_encoder("resnet34_3d", (32, 32, 32), drop_path_rate=0.3)
    expected = rates(timm.create_model("resnet34", drop_path_rate=0.3))
    assert rates(encoder) == pytest.approx(expected)
    assert len(expected) == 15  # of 16 blocks; the first has rate 0


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"feature_levels": 6}, r"FEATURE_LEVELS = 6: resnet18_3d has 5 resolutions: .* 1 to 5"),
        ({"patch_size": (8, 8, 8)}, r"PATCH_SIZE = 8: resnet18_3d has no patches: expected auto"),
        ({"pooling": "cls"}, r"POOLING = cls: resnet18_3d has no class token"),
        (
            {"size": (15, 64, 64)},
            r"\[DATA\] VOLUME_SHAPE = 15x64x64: resnet18_3d halves the volume five times: expected "
            "edges of at least 16 voxels",
        ),
    ],
)
def test_what_it_lacks_is_refused(
    build_volume_encoder: BuildVolumeEncoder, options: dict[str, object], text: str
) -> None:
    with pytest.raises(ConfigError, match=text):
        build_volume_encoder("resnet18_3d", **{"size": (32, 32, 32), **options})
