"""What all three families promise: counts, stages, checkpointing, files of their own."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from csi_predictor.architectures import find_architecture
from csi_predictor.models import create_model
from csi_predictor.models.encoder import Encoder
from csi_predictor.models.weights import load_encoder_weights

BuildVolumeEncoder = Callable[..., Encoder]

# The described CT system's own counts, with its 18 outputs; resnet50_3d, which it lacks, is MONAI
# 1.6.1's resnet50(spatial_dims=3, n_input_channels=1, feed_forward=False, bias_downsample=False),
# 46,155,072, and a head of 2048 * 256 + 256 + 256 * 18 + 18.
PUBLISHED = {
    "resnet18_3d": 33_295_954,
    "resnet34_3d": 63_605_586,
    "resnet50_3d": 46_155_072 + 529_170,
    "densenet121_3d": 11_776_658,
    "densenet161_3d": 40_570_322,
    "densenet169_3d": 19_404_434,
    "densenet201_3d": 26_323_602,
    "densenet_small_3d": 1_420_346,
    "densenet_tiny_3d": 592_047,
    "vit_tiny_3d": 6_573_010,
    "vit_small_3d": 23_757_970,
    "vit_base_3d": 89_978_386,
    "vit_large_3d": 308_872_978,
}
SMALL = (
    ("resnet18_3d", (33, 48, 32)),
    ("densenet_tiny_3d", (37, 48, 32)),
    ("vit_tiny_3d", (32,) * 3),
)


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_count_of_parameters_is_the_published_one(name: str) -> None:
    with torch.device("meta"):
        model = create_model(name, num_classes=18)
    assert model.input_spec.size == (128, 256, 256)
    assert sum(parameter.numel() for parameter in model.parameters()) == PUBLISHED[name]
    row = find_architecture(name)
    assert (row.parameters, row.outputs) == (PUBLISHED[name], 18)
    assert model.feature_dim == row.feature_dim


@pytest.mark.parametrize(("name", "size"), SMALL)
def test_stages_hold_each_parameter_once(
    build_volume_encoder: BuildVolumeEncoder, name: str, size: tuple[int, ...]
) -> None:
    encoder = build_volume_encoder(name, size)
    held = [id(parameter) for _, stage in encoder.stages() for parameter in stage.parameters()]
    assert sorted(held) == sorted(map(id, encoder.parameters()))
    assert encoder.stages()[0][0] == "stem"


@pytest.mark.parametrize(("name", "size"), SMALL)
def test_three_channels_are_taken_too(
    build_volume_encoder: BuildVolumeEncoder, name: str, size: tuple[int, ...]
) -> None:
    encoder = build_volume_encoder(name, size, channels=3).eval()
    with torch.inference_mode():
        encoded = encoder(torch.rand(2, 3, *size))
    assert encoded.pooled.shape == (2, encoder.feature_dim)


def one_step(encoder: Encoder, images: Tensor) -> dict[str, Tensor]:
    """Gradients and running statistics after one step."""
    encoder.zero_grad()
    torch.manual_seed(3)  # stochastic depth draws the same paths
    encoded = encoder(images)
    sum(one.square().mean() for one in (*encoded.maps, encoded.pooled)).backward()
    gradients = {name: one.grad.clone() for name, one in encoder.named_parameters()}
    return gradients | {name: buffer.clone() for name, buffer in encoder.named_buffers()}


@pytest.mark.parametrize(
    ("name", "size", "options"),
    [
        ("resnet18_3d", (33, 48, 32), {"drop_path_rate": 0.4, "feature_levels": 5}),
        ("resnet50_3d", (17, 32, 32), {}),
        ("densenet_tiny_3d", (37, 48, 32), {"feature_levels": 5}),
        ("densenet_small_3d", (37, 48, 32), {}),
        ("vit_tiny_3d", (32, 32, 16), {"drop_path_rate": 0.4}),
    ],
)
def test_checkpointing_gives_equal_gradients_and_statistics(
    build_volume_encoder: BuildVolumeEncoder,
    name: str,
    size: tuple[int, ...],
    options: dict[str, float],
) -> None:
    images = torch.randn(3, 1, *size, generator=torch.Generator().manual_seed(2))
    plain = build_volume_encoder(name, size, **options).train()
    frugal = build_volume_encoder(name, size, **options).train()
    frugal.set_gradient_checkpointing(True)
    expected, found = one_step(plain, images), one_step(frugal, images)
    assert expected.keys() == found.keys()
    for key, value in expected.items():
        torch.testing.assert_close(found[key], value, atol=1e-5, rtol=1e-5, msg=key)
    counters = [int(value) for key, value in found.items() if key.endswith("batches_tracked")]
    assert set(counters) <= {1}


@pytest.mark.parametrize(
    ("name", "edge", "largest_share"),
    # The stem's own backward pass, three tensors at half the resolution, is what remains.
    [("resnet50_3d", 64, 0.8), ("densenet_tiny_3d", 64, 0.6), ("vit_tiny_3d", 96, 0.6)],
)
def test_checkpointing_lowers_the_peak_of_memory(
    build_volume_encoder: BuildVolumeEncoder,
    peak_bytes: Callable[[nn.Module, Callable[[], object]], int],
    name: str,
    edge: int,
    largest_share: float,
) -> None:
    images = torch.randn(2, 1, edge, edge, edge)
    encoder = build_volume_encoder(name, (edge,) * 3).train()

    def step() -> None:
        encoder(images).pooled.square().sum().backward()
        encoder.zero_grad(set_to_none=True)

    plain = peak_bytes(encoder, step)
    encoder.set_gradient_checkpointing(True)
    assert peak_bytes(encoder, step) < largest_share * plain
    encoder.set_gradient_checkpointing(False)
    assert peak_bytes(encoder, step) == plain


@pytest.mark.parametrize(("name", "size"), SMALL)
def test_a_trained_model_of_ours_lends_its_encoder(
    build_volume_encoder: BuildVolumeEncoder,
    stir: Callable[[nn.Module], None],
    tmp_path: Path,
    name: str,
    size: tuple[int, ...],
) -> None:
    trained = create_model(name, num_classes=2, image_size=size)
    stir(trained)
    save_file(trained.state_dict(), tmp_path / "model.safetensors")
    encoder = build_volume_encoder(name, size)
    load_encoder_weights(encoder, tmp_path / "model.safetensors")
    own = trained.backbone.state_dict()
    assert all(torch.equal(tensor, own[key]) for key, tensor in encoder.state_dict().items())
