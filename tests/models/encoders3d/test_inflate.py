"""Files of timm's image networks in the networks of volumes."""

from collections.abc import Callable
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from timm.models.vision_transformer import checkpoint_filter_fn
from torch import Tensor, nn

from csi_predictor.errors import WeightsError
from csi_predictor.models import create_model
from csi_predictor.models.encoder import Encoder
from csi_predictor.models.encoders3d.inflate import inflate_kernel, inflate_positions
from csi_predictor.models.weights import load_encoder_weights

BuildVolumeEncoder = Callable[..., Encoder]
Stir = Callable[[nn.Module], None]


@pytest.fixture
def published(tmp_path: Path, stir: Stir) -> Callable[[str], tuple[nn.Module, Path]]:
    """`published(name)`: timm's image network with its classifier, and its file."""

    def write(name: str) -> tuple[nn.Module, Path]:
        torch.manual_seed(5)
        network = timm.create_model(name, num_classes=10).eval()
        stir(network)
        path = tmp_path / f"{name}.safetensors"
        save_file(network.state_dict(), path)
        return network, path

    return write


@pytest.mark.parametrize("depth", [1, 3, 7, 16])
def test_a_kernel_is_repeated_and_sums_to_itself(depth: int) -> None:
    kernel = torch.randn(4, 3, 5, 2)
    inflated = inflate_kernel(kernel, depth)
    assert inflated.shape == (4, 3, depth, 5, 2)
    assert all(torch.equal(inflated[:, :, index], kernel / depth) for index in range(depth))
    torch.testing.assert_close(inflated.double().sum(dim=2), kernel.double(), atol=0, rtol=1e-7)


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "densenet121", "densenet161"])
def test_every_tensor_of_the_image_network_arrives(
    build_volume_encoder: BuildVolumeEncoder,
    published: Callable[[str], tuple[nn.Module, Path]],
    name: str,
) -> None:
    network, path = published(name)
    encoder = build_volume_encoder(f"{name}_3d", (32, 32, 32), channels=3)
    load_encoder_weights(encoder, path)
    flat = network.state_dict()
    for key, tensor in encoder.state_dict().items():
        summed = tensor.sum(dim=2) if tensor.ndim == 5 else tensor
        torch.testing.assert_close(summed, flat[key], atol=1e-6, rtol=1e-6, msg=key)


@pytest.mark.parametrize(
    ("name", "depth", "num_exact"),
    # A map is exact where no kernel has seen the zeros before the first and after the last slice:
    # its receptive field must lie inside. That of resnet18's last map is 435 voxels, that of
    # densenet121's second dense block 255.
    [("resnet18", 480, 5), ("densenet121", 300, 3)],
)
def test_a_volume_that_is_one_picture_at_all_depths_gives_the_pictures_maps(
    build_volume_encoder: BuildVolumeEncoder,
    published: Callable[[str], tuple[nn.Module, Path]],
    name: str,
    depth: int,
    num_exact: int,
) -> None:
    network, path = published(name)
    encoder = build_volume_encoder(f"{name}_3d", (depth, 33, 47), feature_levels=5).eval()
    load_encoder_weights(encoder, path)
    picture = torch.randn(1, 1, 33, 47, generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        flat = network.forward_intermediates(picture.expand(-1, 3, -1, -1), intermediates_only=True)
        deep = encoder.forward_maps(picture[:, :, None].expand(-1, -1, depth, -1, -1))
    for one, two in list(zip(deep, flat, strict=True))[:num_exact]:
        middle = one[:, :, (one.shape[2] - 1) // 2]
        scale = two.abs().max()
        torch.testing.assert_close(middle / scale, two / scale, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("height", "width"), [(224, 224), (48, 80)])
def test_one_patch_of_depth_gives_timms_tokens(
    build_volume_encoder: BuildVolumeEncoder,
    published: Callable[[str], tuple[nn.Module, Path]],
    height: int,
    width: int,
) -> None:
    name = "vit_tiny_patch16_224"
    network, path = published(name)
    reference = timm.create_model(name, num_classes=10, img_size=(height, width)).eval()
    reference.load_state_dict(checkpoint_filter_fn(network.state_dict(), reference))
    encoder = build_volume_encoder("vit_tiny_3d", (16, height, width)).eval()
    load_encoder_weights(encoder, path)
    picture = torch.randn(1, 1, height, width, generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        expected = reference.forward_features(picture.expand(-1, 3, -1, -1))
        found = encoder(picture[:, :, None].expand(-1, -1, 16, -1, -1))
    torch.testing.assert_close(found.pooled, expected[:, 0], atol=1e-4, rtol=1e-4)
    flat = found.maps[0].flatten(2).transpose(1, 2)
    torch.testing.assert_close(flat, expected[:, 1:], atol=1e-4, rtol=1e-4)


def test_positions_are_repeated_along_depth(
    build_volume_encoder: BuildVolumeEncoder,
    published: Callable[[str], tuple[nn.Module, Path]],
) -> None:
    network, path = published("vit_tiny_patch16_224")
    encoder = build_volume_encoder("vit_tiny_3d", (24, 224, 224), patch_size=(8, 16, 16))
    load_encoder_weights(encoder, path)
    planes = encoder.pos_embed[0, 1:].reshape(3, 14 * 14, 192)
    assert all(torch.equal(plane, network.pos_embed[0, 1:]) for plane in planes)
    assert torch.equal(encoder.pos_embed[:, 0], network.pos_embed[:, 0])
    assert encoder.grid_shape.tolist() == [3, 14, 14]


def test_a_patch_of_twice_the_size_gives_a_picture_of_twice_the_size_its_tokens(
    build_volume_encoder: BuildVolumeEncoder,
    published: Callable[[str], tuple[nn.Module, Path]],
) -> None:
    network, path = published("vit_tiny_patch16_224")
    encoder = build_volume_encoder("vit_tiny_3d", (4, 64, 96), patch_size=(4, 32, 32))
    load_encoder_weights(encoder, path)
    picture = torch.randn(1, 1, 32, 48, generator=torch.Generator().manual_seed(2))
    # Each patch is resized alone, as FlexiViT's derivation has it.
    patches = picture.unfold(2, 16, 16).unfold(3, 16, 16).reshape(1, 6, 16, 16)
    twice = nn.functional.interpolate(patches, (32, 32), mode="bicubic", antialias=True)
    volume = twice.reshape(1, 1, 1, 2, 3, 32, 32).transpose(4, 5).reshape(1, 1, 1, 64, 96)
    with torch.inference_mode():
        expected = network.patch_embed.proj(picture.expand(-1, 3, -1, -1))
        found = encoder.patch_embed(volume.expand(-1, -1, 4, -1, -1))
    torch.testing.assert_close(found, expected.flatten(2).transpose(1, 2), atol=1e-4, rtol=1e-4)


def test_a_whole_network_is_built_with_inflated_weights(
    published: Callable[[str], tuple[nn.Module, Path]],
) -> None:
    network, path = published("resnet18")
    model = create_model("resnet18_3d", num_classes=18, image_size=(32, 33, 34), weights=path)
    stem: Tensor = model.backbone.conv1.weight
    assert stem.shape == (64, 1, 7, 7, 7)
    expected = network.conv1.weight.sum(dim=1, keepdim=True)  # three colours to one grey
    torch.testing.assert_close(stem.sum(dim=2), expected, atol=1e-6, rtol=1e-5)


def test_a_deeper_image_network_is_refused_by_name(
    build_volume_encoder: BuildVolumeEncoder,
    published: Callable[[str], tuple[nn.Module, Path]],
) -> None:
    _, path = published("resnet34")
    with pytest.raises(WeightsError, match=r"doesn't fit this network: unknown layer1\.2\.bn1"):
        load_encoder_weights(build_volume_encoder("resnet18_3d", (32, 32, 32)), path)


def test_a_wider_transformer_is_refused_by_shape(
    build_volume_encoder: BuildVolumeEncoder,
    published: Callable[[str], tuple[nn.Module, Path]],
) -> None:
    _, path = published("vit_small_patch16_224")
    with pytest.raises(
        WeightsError, match=r"of another shape cls_token 1x1x384 instead of 1x1x192"
    ):
        load_encoder_weights(build_volume_encoder("vit_tiny_3d", (32, 32, 32)), path)


def test_positions_that_are_no_square_are_left_for_the_check_of_shapes() -> None:
    positions = torch.randn(1, 1 + 12, 8)
    assert inflate_positions(positions, (2, 3, 4)) is positions
