import pytest
import torch
from torch import nn

from csi_predictor.errors import ConfigError
from csi_predictor.models.longitudinal.transformer_branch import (
    FeatureEmbeddings,
    TransformerBranch,
    ViTEncoder,
)


def test_a_layer_computes_what_torch_s_own_does_from_the_same_weights() -> None:
    ours = ViTEncoder(1).eval()
    theirs = nn.TransformerEncoderLayer(
        768, 12, 3072, activation="gelu", batch_first=True, norm_first=True, layer_norm_eps=1e-6
    ).eval()
    layer = ours.layers[0]
    for target, source in (
        (theirs.norm1, layer.norm1),
        (theirs.norm2, layer.norm2),
        (theirs.self_attn.out_proj, layer.attn.proj),
        (theirs.linear1, layer.mlp.fc1),
        (theirs.linear2, layer.mlp.fc2),
    ):
        target.load_state_dict(source.state_dict())
    with torch.no_grad():
        theirs.self_attn.in_proj_weight.copy_(layer.attn.qkv.weight)
        theirs.self_attn.in_proj_bias.copy_(layer.attn.qkv.bias)
    tokens = torch.randn(2, 5, 768, requires_grad=True)  # or torch takes its fused path
    expected = nn.functional.layer_norm(theirs(tokens), (768,), eps=1e-6)
    torch.testing.assert_close(ours(tokens), expected, rtol=1e-4, atol=1e-5)


def test_stochastic_depth_rises_to_the_last_layer() -> None:
    encoder = ViTEncoder(3, drop_path_rate=0.2)
    assert [getattr(layer.drop_path1, "drop_prob", 0.0) for layer in encoder.layers] == [
        0.0,
        pytest.approx(0.1),
        pytest.approx(0.2),
    ]


def test_a_branch_keeps_the_map_s_shape_also_where_it_is_not_square() -> None:
    branch = TransformerBranch(nn.Identity(), feature_size=(4, 6)).eval()
    assert branch(torch.rand(2, 640, 4, 6)).shape == (2, 640, 4, 6)


def test_tokens_go_row_by_row_and_come_back_to_their_places() -> None:
    branch = TransformerBranch(nn.Identity(), feature_size=(4, 6)).eval()
    nn.init.zeros_(branch.embeddings.position_embeddings)
    seen: list[torch.Tensor] = []
    branch.restore[0].register_forward_hook(lambda _, inputs, __: seen.append(inputs[0]))
    features = torch.rand(2, 640, 4, 6)
    branch(features)
    torch.testing.assert_close(seen[0], branch.embeddings.project(features))


def test_a_token_knows_its_place() -> None:
    embeddings = FeatureEmbeddings(feature_size=4).eval()
    with torch.no_grad():
        tokens = embeddings(torch.ones(1, 640, 4, 4))
    learned = embeddings.position_embeddings
    torch.testing.assert_close(tokens - tokens[:, :1], learned - learned[:, :1])


def test_position_embeddings_start_within_two_deviations() -> None:
    # A normal cut at 2 sigma keeps 0.8796 of its deviation: sqrt(1 - 4 phi(2) / (2 Phi(2) - 1)).
    start = FeatureEmbeddings().position_embeddings
    assert start.abs().max() <= 0.04
    assert start.std().item() == pytest.approx(0.8796 * 0.02, rel=0.01)


def test_a_map_of_another_size_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"a map of 8x8: the network was built for 4x4: expected"):
        FeatureEmbeddings(feature_size=4)(torch.rand(1, 640, 8, 8))


def test_an_odd_map_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"feature_size = 3x4: .* expected even edges"):
        FeatureEmbeddings(feature_size=(3, 4))
