"""RadDINO against transformers' and timm's own networks with the same weights."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor
from transformers import Dinov2Config, Dinov2Model

from csi_predictor.architectures import find_architecture
from csi_predictor.errors import ConfigError, WeightsError
from csi_predictor.models import create_model
from csi_predictor.models.encoder import EncoderOptions
from csi_predictor.models.encoders2d import raddino
from csi_predictor.models.encoders2d.raddino import PUBLISHED_CONFIG, RadDino, build_raddino
from csi_predictor.models.weights import load_encoder_weights
from csi_predictor.specs import InputSpec

ROW = find_architecture("raddino")
SPEC = InputSpec(size=(56, 56))
GREY = replace(SPEC, channels=1, mean=(0.5,), std=(0.5,))
TINY = {
    **PUBLISHED_CONFIG,
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "image_size": 56,
}


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> Callable[..., RadDino]:
    """`tiny(**options)`: the row's encoder with two blocks of 24 channels, random weights."""
    monkeypatch.setattr(raddino, "PUBLISHED_CONFIG", TINY)

    def build(**options: object) -> RadDino:
        torch.manual_seed(0)
        encoder = build_raddino(ROW, EncoderOptions(**{"input_spec": SPEC, **options})).eval()
        return _spread(encoder)

    return build


def _spread(encoder: RadDino) -> RadDino:
    """Weights far from their start, where biases are 0 and scales 1 and hide their absence."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
    return encoder


def _images(height: int = 56, width: int = 56, channels: int = 3) -> Tensor:
    return torch.randn(2, channels, height, width, generator=torch.Generator().manual_seed(2))


def test_the_row_counts_the_published_parameters_and_width() -> None:
    with torch.device("meta"):
        encoder = build_raddino(ROW, EncoderOptions(input_spec=ROW.input_spec))
        whole = Dinov2Model(Dinov2Config(image_size=518, patch_size=14))  # ViT-B by default
    assert sum(parameter.numel() for parameter in encoder.parameters()) == ROW.parameters
    assert {name: tensor.shape for name, tensor in encoder.net.state_dict().items()} == {
        name: tensor.shape for name, tensor in whole.state_dict().items()
    }
    assert encoder.feature_dim == ROW.feature_dim == 768
    assert len(encoder.stages()) == 13


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize(("height", "width"), [(56, 56), (28, 70), (98, 42)])
def test_its_output_equals_transformers_own(
    tiny: Callable[..., RadDino], attention: str, height: int, width: int
) -> None:
    encoder = tiny()
    own = Dinov2Model(Dinov2Config(**TINY, attn_implementation=attention)).eval()
    own.load_state_dict(encoder.net.state_dict())
    encoder.net.set_attn_implementation(attention)
    images = _images(height, width)
    with torch.inference_mode():
        expected, encoded = own(images), encoder(images)
    torch.testing.assert_close(encoded.pooled, expected.pooler_output, rtol=0, atol=1e-6)
    rows, columns = height // 14, width // 14
    assert encoded.maps[0].shape == (2, 24, rows, columns)
    # Row r, column c of the map is token 1 + r * columns + c, after the class token.
    for row, column in ((0, 0), (1, 2), (rows - 1, columns - 1)):
        token = expected.last_hidden_state[:, 1 + row * columns + column]
        torch.testing.assert_close(encoded.maps[0][:, :, row, column], token, rtol=0, atol=1e-6)
    torch.testing.assert_close(encoder.forward_features(images), encoded.maps[0])


def test_its_output_equals_timms_vision_transformer(tiny: Callable[..., RadDino]) -> None:
    encoder = tiny()
    other = VisionTransformer(
        img_size=56,
        patch_size=14,
        embed_dim=24,
        depth=2,
        num_heads=3,
        init_values=1.0,
        num_classes=0,
    ).eval()
    other.load_state_dict(_as_timm(encoder.net.state_dict()))
    with torch.inference_mode():
        tokens, encoded = other.forward_features(_images()), encoder(_images())
    torch.testing.assert_close(encoded.pooled, tokens[:, 0], rtol=0, atol=1e-5)
    torch.testing.assert_close(encoded.maps[0].flatten(2).mT, tokens[:, 1:], rtol=0, atol=1e-5)


def _as_timm(state: dict[str, Tensor]) -> dict[str, Tensor]:
    names = {
        "embeddings.cls_token": "cls_token",
        "embeddings.position_embeddings": "pos_embed",
        "embeddings.patch_embeddings.projection.weight": "patch_embed.proj.weight",
        "embeddings.patch_embeddings.projection.bias": "patch_embed.proj.bias",
        "layernorm.weight": "norm.weight",
        "layernorm.bias": "norm.bias",
    }
    converted = {there: state[here] for here, there in names.items()}
    for index in range(2):
        here, there = f"encoder.layer.{index}", f"blocks.{index}"
        for kind in ("weight", "bias"):
            parts = [state[f"{here}.attention.{part}_proj.{kind}"] for part in "qkv"]
            converted[f"{there}.attn.qkv.{kind}"] = torch.cat(parts)
            converted[f"{there}.attn.proj.{kind}"] = state[f"{here}.attention.o_proj.{kind}"]
            for name in ("norm1", "norm2", "mlp.fc1", "mlp.fc2"):
                converted[f"{there}.{name}.{kind}"] = state[f"{here}.{name}.{kind}"]
        for number in (1, 2):
            converted[f"{there}.ls{number}.gamma"] = state[f"{here}.layer_scale{number}.lambda1"]
    return converted


@pytest.mark.parametrize("pooling", ["auto", "cls", "mean"])
def test_pooling_is_the_class_token_or_the_patches_mean(
    tiny: Callable[..., RadDino], pooling: str
) -> None:
    encoder = tiny(pooling=pooling)
    encoded = encoder(_images())
    tokens = encoder.net(_images()).last_hidden_state
    expected = tokens[:, 1:].mean(dim=1) if pooling == "mean" else tokens[:, 0]
    torch.testing.assert_close(encoded.pooled, expected)


def _published_file(folder: Path, *, channels: int = 3) -> tuple[Path, Dinov2Model]:
    """A file as transformers publishes it, and the network that it came from."""
    torch.manual_seed(5)
    net = Dinov2Model(Dinov2Config(**TINY, num_channels=channels)).eval()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    net.save_pretrained(folder)
    return folder / "model.safetensors", net


def test_transformers_own_file_has_the_names_of_the_published_one(tmp_path: Path) -> None:
    names = set(load_file(_published_file(tmp_path)[0]))
    # Names in microsoft/rad-dino's model.safetensors, written before transformers 5.
    assert {
        "embeddings.cls_token",
        "encoder.layer.0.attention.attention.query.weight",
        "encoder.layer.1.attention.output.dense.bias",
        "encoder.layer.0.layer_scale1.lambda1",
        "layernorm.weight",
    } <= names


@pytest.mark.parametrize(
    "prefix",
    ["", "dinov2.", "model.", "module.", "module.dinov2.", "model.dinov2.", "encoder.", "net."],
)
@pytest.mark.parametrize("channels", [1, 3])
def test_a_published_file_fits_under_any_wrapper(
    tiny: Callable[..., RadDino], tmp_path: Path, prefix: str, channels: int
) -> None:
    path, net = _published_file(tmp_path)
    state = {f"{prefix}{name}": tensor for name, tensor in load_file(path).items()}
    if prefix == "dinov2.":
        state["classifier.weight"] = torch.zeros(3, 48)  # of Dinov2ForImageClassification
    save_file(state, tmp_path / "wrapped.safetensors")
    encoder = tiny(
        input_spec=replace(SPEC, channels=1, mean=(0.5,), std=(0.5,)) if channels == 1 else SPEC
    )
    load_encoder_weights(encoder, tmp_path / "wrapped.safetensors")
    grey = _images(channels=1)
    with torch.inference_mode():
        expected = net(grey.expand(-1, 3, -1, -1)).pooler_output
        pooled = encoder(grey.expand(-1, channels, -1, -1)).pooled
    torch.testing.assert_close(pooled, expected, rtol=0, atol=1e-5)


def test_a_file_of_its_own_state_comes_back(tiny: Callable[..., RadDino], tmp_path: Path) -> None:
    trained, fresh = tiny(), tiny()
    with torch.no_grad():
        trained.net.layernorm.bias.add_(1)
    save_file(
        {f"backbone.{k}": v for k, v in trained.state_dict().items()}, tmp_path / "a.safetensors"
    )
    load_encoder_weights(fresh, tmp_path / "a.safetensors")
    torch.testing.assert_close(fresh.state_dict(), trained.state_dict(), rtol=0, atol=0)


def test_a_file_without_the_unused_mask_token_fits(
    tiny: Callable[..., RadDino], tmp_path: Path
) -> None:
    path, net = _published_file(tmp_path)
    state = load_file(path)
    del state["embeddings.mask_token"]
    save_file(state, tmp_path / "short.safetensors")
    encoder = tiny()
    load_encoder_weights(encoder, tmp_path / "short.safetensors")
    torch.testing.assert_close(encoder(_images()).pooled, net(_images()).pooler_output)


def test_a_file_without_a_block_is_refused(tiny: Callable[..., RadDino], tmp_path: Path) -> None:
    path, _ = _published_file(tmp_path)
    state = load_file(path)
    del state["encoder.layer.1.attention.attention.key.bias"]
    save_file(state, tmp_path / "short.safetensors")
    with pytest.raises(WeightsError, match=r"missing encoder\.layer\.1\.attention\.k_proj\.bias"):
        load_encoder_weights(tiny(), tmp_path / "short.safetensors")


def test_checkpointing_gives_the_same_gradients_from_fewer_kept_tensors(
    tiny: Callable[..., RadDino],
) -> None:
    results = []
    for enabled in (False, True, False):
        encoder = tiny().train()
        encoder.set_gradient_checkpointing(True)
        encoder.set_gradient_checkpointing(enabled)
        kept: list[int] = []
        with torch.autograd.graph.saved_tensors_hooks(
            lambda tensor, kept=kept: (kept.append(tensor.numel()), tensor)[1],
            lambda tensor: tensor,
        ):
            encoded = encoder(_images())
        (encoded.pooled.square().sum() + encoded.maps[0].square().sum()).backward()
        gradients = {
            name: parameter.grad
            for name, parameter in encoder.named_parameters()
            if parameter.grad is not None
        }
        results.append((sum(kept), gradients))
    (plain, expected), (saved, gradients), (again, _) = results
    assert set(gradients) == {name for name, _ in tiny().named_parameters()} - {
        "net.embeddings.mask_token"
    }
    torch.testing.assert_close(gradients, expected, rtol=1e-5, atol=1e-5)
    assert saved < plain / 2
    assert again == plain


def test_stochastic_depth_drops_whole_paths_in_training_only(tiny: Callable[..., RadDino]) -> None:
    plain, deep = tiny(), tiny(drop_path_rate=0.5)
    torch.testing.assert_close(deep(_images()).pooled, plain(_images()).pooled)
    torch.manual_seed(0)
    assert not torch.allclose(deep.train()(_images()).pooled, plain.train()(_images()).pooled)


def test_each_parameter_stands_in_one_stage(tiny: Callable[..., RadDino]) -> None:
    encoder = tiny()
    assert [name for name, _ in encoder.stages()] == ["embeddings", "block0", "block1+norm"]
    staged = [id(parameter) for _, stage in encoder.stages() for parameter in stage.parameters()]
    assert sorted(staged) == sorted(map(id, encoder.parameters()))


def test_tokens_and_positions_are_spared_weight_decay(tiny: Callable[..., RadDino]) -> None:
    encoder = tiny()
    spared = encoder.no_weight_decay()
    assert spared == {
        name
        for name, _ in encoder.named_parameters()
        if "token" in name or "position_embeddings" in name
    }
    assert len(spared) == 3


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (
            {"feature_levels": 2},
            r"\[MODEL\] FEATURE_LEVELS = 2: every block of raddino .* 1/14: expected 1",
        ),
        ({"patch_size": (16, 16)}, r"\[MODEL\] PATCH_SIZE = 16: .* raddino have 14 pixels"),
        (
            {"input_spec": InputSpec(size=(518, 512))},
            r"\[MODEL\] IMAGE_SIZE = 518 x 512: raddino .* expected a multiple of 14",
        ),
        ({"input_spec": InputSpec(size=(0, 0))}, r"\[MODEL\] IMAGE_SIZE = 0: raddino cuts"),
    ],
)
def test_what_it_cant_do_is_refused(options: dict[str, object], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        build_raddino(ROW, EncoderOptions(**{"input_spec": SPEC, **options}))


def test_its_own_patch_size_may_be_named(tiny: Callable[..., RadDino]) -> None:
    assert tiny(patch_size=(14, 14)).net.config.patch_size == 14


def test_a_whole_network_grades_zones_and_answers_classes(
    tiny: Callable[..., RadDino], monkeypatch: pytest.MonkeyPatch
) -> None:
    zones = create_model("raddino", image_size=70)
    output = zones(_images(70, 70))
    assert output.logits.shape == (2, 6, 4)
    assert output.features.shape == (2, 24)
    classes = create_model("raddino", num_classes=3, image_size=56, in_channels=1, pooling="mean")
    assert classes(_images(channels=1)).logits.shape == (2, 3)
