from collections.abc import Callable
from pathlib import Path

import pytest
import timm
import torch
from monai.networks import nets
from safetensors.torch import save_file
from torch import Tensor, nn

from csi_predictor.errors import ConfigError
from csi_predictor.models import create_model
from csi_predictor.models.encoder import Encoder
from csi_predictor.models.weights import load_encoder_weights

BuildVolumeEncoder = Callable[..., Encoder]

_NAMES_IN_MONAI = {
    "patch_embed.proj": "patch_embedding.patch_embeddings",
    "attn.proj": "attn.out_proj",
    "mlp.fc1": "mlp.linear1",
    "mlp.fc2": "mlp.linear2",
}


def as_monai(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Our state under MONAI's names; its class token has no position, so ours is added to it."""
    renamed = {}
    for key, tensor in state.items():
        if key in ("cls_token", "pos_embed", "grid_shape"):
            continue
        name = key
        for ours, theirs in _NAMES_IN_MONAI.items():
            name = name.replace(ours, theirs)
        renamed[name] = tensor
    renamed["cls_token"] = state["cls_token"] + state["pos_embed"][:, :1]
    renamed["patch_embedding.position_embeddings"] = state["pos_embed"][:, 1:]
    return renamed


@pytest.mark.parametrize(
    ("name", "width", "heads", "patch"),
    [("vit_tiny_3d", 192, 3, (16, 16, 16)), ("vit_small_3d", 384, 6, (8, 16, 24))],
)
def test_tokens_equal_monais_with_copied_weights(
    build_volume_encoder: BuildVolumeEncoder,
    stir: Callable[[nn.Module], None],
    name: str,
    width: int,
    heads: int,
    patch: tuple[int, ...],
) -> None:
    pytest.importorskip("einops", reason="MONAI's ViT needs it")
    size = (32, 48, 48)
    encoder = build_volume_encoder(name, size, patch_size=patch).eval()
    stir(encoder)
    reference = nets.ViT(
        in_channels=1,
        img_size=size,
        patch_size=patch,
        hidden_size=width,
        mlp_dim=4 * width,
        num_layers=12,
        num_heads=heads,
        classification=True,
        num_classes=1,
        qkv_bias=True,
    ).eval()
    reference.classification_head = nn.Identity()
    for module in reference.modules():
        if isinstance(module, nn.LayerNorm):
            module.eps = 1e-6  # timm's and the paper's code; MONAI has PyTorch's 1e-5
    missing, unknown = reference.load_state_dict(as_monai(encoder.state_dict()), strict=False)
    assert not unknown
    assert all("norm_cross_attn" in key for key in missing)  # MONAI's unused part
    images = torch.randn(2, 1, *size, generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        class_token, hidden = reference(images)
        tokens = reference.norm(hidden[-1])
        encoded = encoder(images)
    torch.testing.assert_close(encoded.pooled, class_token, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(as_tokens(encoded.maps[0]), tokens[:, 1:], atol=1e-5, rtol=1e-5)


def test_tokens_equal_those_of_pytorchs_own_transformer(
    build_volume_encoder: BuildVolumeEncoder, stir: Callable[[nn.Module], None]
) -> None:
    size, patch = (16, 32, 48), (8, 16, 16)
    encoder = build_volume_encoder("vit_tiny_3d", size, patch_size=patch).eval()
    stir(encoder)
    images = torch.randn(2, 1, *size, generator=torch.Generator().manual_seed(2))
    kernel, bias = encoder.patch_embed.proj.weight, encoder.patch_embed.proj.bias
    patches = images[:, 0].reshape(2, 2, 8, 2, 16, 3, 16).permute(0, 1, 3, 5, 2, 4, 6)
    with torch.inference_mode():
        embedded = patches.reshape(2, 12, -1) @ kernel.reshape(192, -1).T + bias
        tokens = torch.cat([encoder.cls_token.expand(2, -1, -1), embedded], 1) + encoder.pos_embed
        for block in encoder.blocks:
            tokens = as_pytorch_layer(block)(tokens)
        tokens = nn.functional.layer_norm(
            tokens, (192,), encoder.norm.weight, encoder.norm.bias, eps=1e-6
        )
        encoded = encoder(images)
    torch.testing.assert_close(encoded.pooled, tokens[:, 0], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(as_tokens(encoded.maps[0]), tokens[:, 1:], atol=1e-5, rtol=1e-5)


def as_pytorch_layer(block: nn.Module) -> nn.Module:
    names = {
        "attn.qkv.": "self_attn.in_proj_",
        "attn.proj.": "self_attn.out_proj.",
        "mlp.fc1.": "linear1.",
        "mlp.fc2.": "linear2.",
    }
    layer = nn.TransformerEncoderLayer(
        192, 3, 4 * 192, 0.0, "gelu", layer_norm_eps=1e-6, batch_first=True, norm_first=True
    )
    state = {}
    for key, tensor in block.state_dict().items():
        name = key
        for ours, theirs in names.items():
            name = name.replace(ours, theirs)
        state[name] = tensor
    layer.load_state_dict(state)
    return layer.eval()


def as_tokens(feature_map: Tensor) -> Tensor:
    return feature_map.flatten(2).transpose(1, 2)  # (B, F, d, h, w) -> (B, N, F)


def test_the_map_has_depth_height_and_width_in_order(
    build_volume_encoder: BuildVolumeEncoder,
) -> None:
    encoder = build_volume_encoder("vit_tiny_3d", (16, 48, 64)).eval()
    with torch.inference_mode():
        assert encoder.forward_maps(torch.rand(2, 1, 16, 48, 64))[0].shape == (2, 192, 1, 3, 4)


def test_pooling_is_the_class_token_or_the_patches_mean(
    build_volume_encoder: BuildVolumeEncoder,
) -> None:
    images = torch.randn(2, 1, 32, 32, 32)
    with torch.inference_mode():
        own, cls, mean = (
            build_volume_encoder("vit_tiny_3d", (32, 32, 32), pooling=pooling).eval()(images)
            for pooling in ("auto", "cls", "mean")
        )
    assert torch.equal(own.pooled, cls.pooled)
    assert torch.equal(own.maps[0], mean.maps[0])
    torch.testing.assert_close(mean.pooled, mean.maps[0].mean(dim=(2, 3, 4)))
    assert not torch.allclose(cls.pooled, mean.pooled, atol=1e-2)


def test_stochastic_depth_grows_as_timms(build_volume_encoder: BuildVolumeEncoder) -> None:
    def rates(network: nn.Module) -> list[float]:
        return [one.drop_prob for one in network.modules() if type(one).__name__ == "DropPath"]

    encoder = build_volume_encoder("vit_tiny_3d", (32, 32, 32), drop_path_rate=0.3)
    expected = rates(timm.create_model("vit_tiny_patch16_224", drop_path_rate=0.3))
    assert rates(encoder) == pytest.approx(expected)


def test_positions_and_the_class_token_are_spared_weight_decay() -> None:
    model = create_model("vit_tiny_3d", num_classes=2, image_size=(32, 32, 32))
    groups = model.parameter_groups(learning_rate=1e-3, weight_decay=0.1)
    spared = {id(one) for group in groups if not group["weight_decay"] for one in group["params"]}
    assert id(model.backbone.pos_embed) in spared
    assert id(model.backbone.cls_token) in spared
    assert id(model.backbone.patch_embed.proj.weight) not in spared


def test_positions_of_another_volume_shape_are_resampled(
    build_volume_encoder: BuildVolumeEncoder, tmp_path: Path
) -> None:
    trained = build_volume_encoder("vit_tiny_3d", (32, 16, 16))
    with torch.no_grad():
        trained.pos_embed[0, 1] = 0.0
        trained.pos_embed[0, 2] = 1.0
    save_file(trained.state_dict(), tmp_path / "vit.safetensors")
    encoder = build_volume_encoder("vit_tiny_3d", (64, 16, 32))
    load_encoder_weights(encoder, tmp_path / "vit.safetensors")
    # Two depths, 0 and 1, become four: their middles lie at 0, 1/4, 3/4 and 1 of the way.
    grid = encoder.pos_embed[0, 1:, 0].reshape(4, 1, 2)
    torch.testing.assert_close(grid[:, 0, 0], torch.tensor([0.0, 0.25, 0.75, 1.0]))
    torch.testing.assert_close(grid[:, 0, 1], grid[:, 0, 0])
    assert torch.equal(encoder.pos_embed[:, 0], trained.pos_embed[:, 0])
    assert encoder.grid_shape.tolist() == [4, 1, 2]


def test_another_volume_size_says_which_is_expected(
    build_volume_encoder: BuildVolumeEncoder,
) -> None:
    encoder = build_volume_encoder("vit_tiny_3d", (32, 48, 32))
    with pytest.raises(ValueError, match=r"volumes of 48x32x32 voxels: expected 32x48x32, which"):
        encoder(torch.zeros(1, 1, 48, 32, 32))


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (
            {"size": (100, 256, 8)},
            r"\[MODEL\] PATCH_SIZE = 16x16x16 doesn't divide \[DATA\] VOLUME_SHAPE = 100x256x8: "
            "expected whole patches along each axis, as in 96x256x16, or another PATCH_SIZE",
        ),
        ({"patch_size": (8, 16)}, r"PATCH_SIZE = 8x16: a volume's patch has three edges"),
        ({"feature_levels": 2}, r"FEATURE_LEVELS = 2: vit_tiny_3d has one resolution: expected 1$"),
    ],
)
def test_what_it_lacks_is_refused(
    build_volume_encoder: BuildVolumeEncoder, options: dict[str, object], text: str
) -> None:
    with pytest.raises(ConfigError, match=text):
        build_volume_encoder("vit_tiny_3d", **{"size": (32, 32, 32), **options})
