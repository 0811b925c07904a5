from collections.abc import Callable

import pytest
import timm
import torch
from monai.networks import nets
from torch import nn

from csi_predictor.errors import ConfigError
from csi_predictor.models.encoder import Encoder

BuildVolumeEncoder = Callable[..., Encoder]


def monai_densenet(name: str) -> nn.Module:
    if name in ("121", "169", "201"):
        return getattr(nets, f"DenseNet{name}")(spatial_dims=3, in_channels=1, out_channels=1)
    # MONAI names no others. Source: Huang et al. 2017, table 1; the described CT system.
    init_features, growth_rate, block_config = {
        "161": (96, 48, (6, 12, 36, 24)),
        "_small": (32, 16, (4, 8, 12, 8)),
        "_tiny": (24, 12, (3, 6, 9, 6)),
    }[name]
    return nets.DenseNet(
        spatial_dims=3,
        in_channels=1,
        out_channels=1,
        init_features=init_features,
        growth_rate=growth_rate,
        block_config=block_config,
    )


@pytest.mark.parametrize("name", ["121", "161", "169", "201", "_small", "_tiny"])
def test_features_equal_monais_with_copied_weights(
    build_volume_encoder: BuildVolumeEncoder, stir: Callable[[nn.Module], None], name: str
) -> None:
    size = (33, 41, 29)
    reference = monai_densenet(name).eval()
    stir(reference)
    state = {
        key.replace(".layers.", "."): tensor
        for key, tensor in reference.state_dict().items()
        if not key.startswith("class_layers.")
    }
    encoder = build_volume_encoder(f"densenet{name}_3d", size).eval()
    encoder.load_state_dict(state)
    images = torch.randn(1, 1, *size, generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        expected = torch.relu(reference.features(images))
        found = encoder(images)
        scale = expected.abs().max()
        torch.testing.assert_close(found.maps[0] / scale, expected / scale, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(
            found.pooled / scale, expected.mean(dim=(2, 3, 4)) / scale, atol=1e-5, rtol=1e-5
        )


def test_levels_have_timms_channels_and_halve_the_resolution(
    build_volume_encoder: BuildVolumeEncoder,
) -> None:
    levels = timm.create_model("densenet121", num_classes=0).feature_info
    encoder = build_volume_encoder("densenet121_3d", (33, 50, 64), feature_levels=5).eval()
    with torch.inference_mode():
        maps = encoder.forward_maps(torch.rand(1, 1, 33, 50, 64))
    assert encoder.feature_dims == tuple(level["num_chs"] for level in levels)
    assert [one.shape[1] for one in maps] == [level["num_chs"] for level in levels]
    # The stem rounds up (33, 17, 9), the transitions down (9, 4, 2, 1).
    assert [tuple(one.shape[2:]) for one in maps] == [
        (17, 25, 32),
        (9, 13, 16),
        (4, 6, 8),
        (2, 3, 4),
        (1, 1, 2),
    ]


@pytest.mark.parametrize("count", [1, 2, 4])
def test_fewer_levels_are_the_deepest_of_all(
    build_volume_encoder: BuildVolumeEncoder, count: int
) -> None:
    images = torch.randn(1, 1, 29, 36, 33)
    every = build_volume_encoder("densenet_tiny_3d", (29, 36, 33), feature_levels=5).eval()
    some = build_volume_encoder("densenet_tiny_3d", (29, 36, 33), feature_levels=count).eval()
    with torch.inference_mode():
        for one, two in zip(
            some.forward_maps(images), every.forward_maps(images)[-count:], strict=True
        ):
            assert torch.equal(one, two)
    assert some.feature_dims == every.feature_dims[-count:]


def test_the_smallest_edge_is_the_smallest_that_monai_runs(
    build_volume_encoder: BuildVolumeEncoder,
) -> None:
    reference = monai_densenet("_tiny").eval()
    with torch.inference_mode():
        assert reference.features(torch.zeros(1, 1, 29, 29, 29)).shape[2:] == (1, 1, 1)
        with pytest.raises(RuntimeError, match="smaller than kernel size"):
            reference(torch.zeros(1, 1, 28, 29, 29))
        encoder = build_volume_encoder("densenet_tiny_3d", (29, 29, 29)).eval()
        assert encoder.forward_features(torch.zeros(1, 1, 29, 29, 29)).shape[2:] == (1, 1, 1)
    with pytest.raises(ConfigError, match=r"VOLUME_SHAPE = 28x29x29: .* at least 29 voxels"):
        build_volume_encoder("densenet_tiny_3d", (28, 29, 29))


def test_checkpointing_never_computes_the_large_convolution_again(
    build_volume_encoder: BuildVolumeEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[tuple[int, ...]] = []
    original = nn.Conv3d.forward

    def forward(self: nn.Conv3d, x: torch.Tensor) -> torch.Tensor:
        result = original(self, x)
        ended.append(self.kernel_size)
        return result

    monkeypatch.setattr(nn.Conv3d, "forward", forward)
    encoder = build_volume_encoder("densenet_tiny_3d", (32, 32, 32)).train()
    encoder.set_gradient_checkpointing(True)
    encoder(torch.randn(2, 1, 32, 32, 32)).pooled.sum().backward()
    assert ended.count((3, 3, 3)) == 3 + 6 + 9 + 6  # one a layer: forward, not again in backward
    assert ended.count((1, 1, 1)) == 2 * (3 + 6 + 9 + 6 + 3)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"drop_path_rate": 0.1}, r"DROP_PATH_RATE = 0\.1: densenet121_3d has no residual paths"),
        ({"feature_levels": 6}, r"FEATURE_LEVELS = 6: densenet121_3d has 5 resolutions: .* 1 to 5"),
        ({"patch_size": (8, 8, 8)}, r"PATCH_SIZE = 8: densenet121_3d has no patches"),
        ({"pooling": "cls"}, r"POOLING = cls: densenet121_3d has no class token"),
    ],
)
def test_what_it_lacks_is_refused(
    build_volume_encoder: BuildVolumeEncoder, options: dict[str, object], text: str
) -> None:
    with pytest.raises(ConfigError, match=text):
        build_volume_encoder("densenet121_3d", (32, 32, 32), **options)
