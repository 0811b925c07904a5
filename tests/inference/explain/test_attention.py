"""Attention weights as the networks compute them, and rollout with weights known by hand."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import Dinov2Model

from csi_predictor.architectures import find_architecture
from csi_predictor.errors import CsiError
from csi_predictor.inference.explain.attention import recorded_attention
from csi_predictor.inference.explain.heat_map import heat_map
from csi_predictor.inference.explain.target import Target
from csi_predictor.models import create_model
from csi_predictor.models.assemble import CsiModel
from csi_predictor.models.encoder import EncoderOptions
from csi_predictor.models.encoders2d import raddino
from csi_predictor.models.encoders2d.raddino import PUBLISHED_CONFIG, build_raddino
from csi_predictor.models.encoders3d.vit3d import TransformerShape, Vit3d
from csi_predictor.models.heads.linear import linear_head
from csi_predictor.models.model_spec import ModelSpec
from csi_predictor.specs import InputSpec, TargetSpec

LABELS = TargetSpec(task="multilabel", names=("a", "b"), num_classes=2)
BRIGHT = 5
"""The patch, of eight, that every token looks at."""


def as_model(encoder: Vit3d | raddino.RadDino, spec: InputSpec) -> CsiModel:
    torch.manual_seed(0)
    head = linear_head(encoder.feature_dim, num_outputs=2, dropout_rate=0.0)
    whole = ModelSpec(
        architecture="vit_tiny_3d",
        input_spec=spec,
        target_spec=LABELS,
        head="linear",
        zone_focus="none",
    )
    return CsiModel(encoder, pooling=None, classifier=head, spec=whole).eval()


@pytest.fixture
def known() -> CsiModel:
    """Two blocks in which every token looks at patch BRIGHT four times as much as at any other.

    Token j is the unit vector e_j alone: the patch embedding gives 0, and the blocks add 0. After
    the norm of F numbers its entry j is (F - 1) / s and all others -1 / s, s = sqrt(F - 1). The
    query is a constant, and the key is the entry of BRIGHT: scores differ by
    constant x F / s / sqrt(head width), which is set to log 4.
    """
    width = 16
    torch.manual_seed(0)
    shape = TransformerShape(width=width, depth=2, num_heads=1)
    encoder = Vit3d(shape, volume_size=(4, 4, 4), patch_size=(2, 2, 2))
    query = math.log(4) * math.sqrt(width - 1) / width * math.sqrt(width)
    with torch.no_grad():
        for parameter in (*encoder.patch_embed.parameters(), encoder.cls_token):
            parameter.zero_()
        encoder.pos_embed.copy_(torch.eye(9, width)[None] * 100)
        blocks: Any = encoder.blocks
        for block in blocks:
            for layer in (block.attn.qkv, block.attn.proj, block.mlp.fc2):
                layer.weight.zero_()
                layer.bias.zero_()
            block.attn.qkv.bias[0] = query
            block.attn.qkv.weight[width, 1 + BRIGHT] = 1
    return as_model(encoder, InputSpec(size=(4, 4, 4), channels=1, mean=(0.5,), std=(0.5,)))


def test_rollout_of_a_network_with_known_attention_is_as_on_paper(known: CsiModel) -> None:
    pixels = torch.zeros(1, 1, 4, 4, 4)
    with torch.no_grad(), recorded_attention(known) as recorded:
        known(pixels)
    weights = next(iter(recorded.values()))[0, 0]
    expected = torch.full((9, 9), 1 / 12)  # eight of weight 1 and one of weight 4
    expected[:, 1 + BRIGHT] = 4 / 12
    torch.testing.assert_close(weights, expected, rtol=1e-4, atol=1e-5)
    # From the class token two layers of (A + I) / 2 leave 1/4 with itself; of the rest each patch
    # has its weight: the others are a quarter of BRIGHT.
    found = heat_map(known, pixels, Target("a"), method="attention_rollout")
    coarse = torch.full((8,), 0.25)
    coarse[BRIGHT] = 1
    fine = F.interpolate(
        coarse.reshape(1, 1, 2, 2, 2), (4, 4, 4), mode="trilinear", align_corners=False
    )[:, 0]
    torch.testing.assert_close(
        torch.from_numpy(found.values), fine / fine.amax(), rtol=1e-4, atol=1e-5
    )


@pytest.fixture
def tiny_raddino(monkeypatch: pytest.MonkeyPatch) -> Callable[..., CsiModel]:
    def build(**options: object) -> CsiModel:
        config = {**PUBLISHED_CONFIG, "hidden_size": 24, "num_hidden_layers": 2}
        small = {**config, "num_attention_heads": 3, "image_size": 56}
        monkeypatch.setattr(raddino, "PUBLISHED_CONFIG", small)
        torch.manual_seed(0)
        spec = InputSpec(size=(56, 42))
        encoder = build_raddino(
            find_architecture("raddino"),
            EncoderOptions(input_spec=spec, **options),  # type: ignore[arg-type]
        )
        with torch.no_grad():
            for parameter in encoder.parameters():
                parameter.add_(0.2 * torch.randn(parameter.shape))
        return as_model(encoder, spec)

    return build


def test_raddinos_attention_equals_transformers_own(tiny_raddino: Callable[..., CsiModel]) -> None:
    model, pixels = tiny_raddino(), torch.randn(2, 3, 56, 42)
    with torch.no_grad(), recorded_attention(model) as recorded:
        model(pixels)
    own = model.backbone.net
    assert isinstance(own, Dinov2Model)
    before = own.config._attn_implementation
    own.set_attn_implementation("eager")
    with torch.no_grad():
        expected = own(pixels, output_attentions=True).attentions
    own.set_attn_implementation(before)
    assert len(recorded) == len(expected) == 2
    for found, layer in zip(recorded.values(), expected, strict=True):
        assert found.shape == (2, 3, 13, 13)
        torch.testing.assert_close(found, layer)


@pytest.mark.parametrize("method", ["attention_rollout", "gradient_rollout", "token_grad_cam"])
@pytest.mark.parametrize("pooling", ["auto", "mean"])
def test_raddino_gets_a_map_and_keeps_its_attention(
    tiny_raddino: Callable[..., CsiModel], method: str, pooling: str
) -> None:
    model, pixels = tiny_raddino(pooling=pooling), torch.randn(2, 3, 56, 42)
    encoder: Any = model.backbone
    config = encoder.net.config
    before = config._attn_implementation
    with torch.no_grad():
        answer = model(pixels).logits
    found = heat_map(model, pixels, Target("a"), method=method)  # type: ignore[arg-type]
    assert found.values.shape == (2, 56, 42)
    assert not found.is_empty.any()
    assert config._attn_implementation == before != "eager"
    with torch.no_grad():
        assert torch.equal(model(pixels).logits, answer)


def test_raddino_is_explained_by_gradient_rollout(tiny_raddino: Callable[..., CsiModel]) -> None:
    found = heat_map(tiny_raddino(), torch.randn(1, 3, 56, 42), Target("a"))
    assert found.method == "gradient_rollout"


def fused(model: nn.Module) -> list[bool]:
    return [bool(part.fused_attn) for part in model.modules() if hasattr(part, "fused_attn")]


def test_timms_fused_attention_is_switched_back_on(known: CsiModel) -> None:
    assert fused(known) == [True, True]
    with recorded_attention(known):
        assert fused(known) == [False, False]
    assert fused(known) == [True, True]
    with pytest.raises(CsiError):
        heat_map(known, torch.zeros(1, 1, 4, 4, 4), Target("c"), method="attention_rollout")
    assert fused(known) == [True, True]


def test_weights_by_hand_from_query_and_key_equal_the_recorded_ones() -> None:
    torch.manual_seed(0)
    model = create_model("vit_tiny_3d", image_size=32, labels=("a", "b")).eval()
    assert isinstance(model, CsiModel)
    inputs: list[Tensor] = []
    first: Any = model.get_submodule("backbone.blocks.0.attn")
    first.register_forward_pre_hook(lambda _, args: inputs.append(args[0]))
    with torch.no_grad(), recorded_attention(model) as recorded:
        model(torch.randn(2, 1, 32, 32, 32))
        query, key, _ = first.qkv(inputs[0]).reshape(2, 9, 3, 3, 64).permute(2, 0, 3, 1, 4)
    expected = (query @ key.mT / 8).softmax(dim=-1)  # sqrt(64)
    torch.testing.assert_close(next(iter(recorded.values())), expected)


@pytest.mark.parametrize("method", ["attention_rollout", "gradient_rollout"])
def test_rollout_of_a_network_without_attention_is_an_error(tiny: CsiModel, method: str) -> None:
    with pytest.raises(CsiError, match="custom1: it has no attention whose weights can be read"):
        heat_map(tiny, torch.zeros(1, 1, 48, 48), Target("square"), method=method)  # type: ignore[arg-type]


def test_rollout_of_windows_is_an_error() -> None:
    model = create_model("timm/swin_s3_tiny_224", image_size=224, labels=("a", "b"))
    with pytest.raises(CsiError, match=r"49 to 49 tokens and the last stage gives a map"):
        heat_map(model, torch.zeros(1, 3, 224, 224), Target("a"), method="attention_rollout")


def test_rollout_of_one_stage_is_an_error(known: CsiModel) -> None:
    with pytest.raises(CsiError, match="goes through all layers: expected no stage, found stem"):
        heat_map(
            known,
            torch.zeros(1, 1, 4, 4, 4),
            Target("a"),
            method="gradient_rollout",
            stage="stem",
        )
