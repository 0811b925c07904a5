"""Operations, activations and parameters, against hand counts and timm's published tables."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from csi_predictor.benchmarking.cost import count_cost
from csi_predictor.inference.engines.logits import LogitsModel
from csi_predictor.models.create import create_model

# Source: timm results/benchmark-infer-fp32-nchw-pt240-cpu-i9_10940x-dynamo.csv; resnet50 and
# densenet121 by their model cards on the Hugging Face hub (timm/resnet50.a1_in1k, 4.1 / 11.1;
# timm/densenet121.ra_in1k, 2.9 / 6.9), vit_base by the same counting (17.6 / 23.9).
PUBLISHED = [
    ("resnet18", 1.82, 2.48, 11.69),
    ("resnet34", 3.67, 3.74, 21.80),
    ("resnet50", 4.11, 11.11, 25.56),
    ("densenet121", 2.87, 6.90, 7.98),
    ("efficientnet_b0", 0.40, 6.75, 5.29),
    ("vit_tiny_patch16_224", 1.26, 5.97, 5.72),
    ("vit_small_patch16_224", 4.61, 11.95, 22.05),
    ("vit_base_patch16_224", 17.58, 23.90, 86.57),
]


class Attention(nn.Module):
    def forward(self, tokens: Tensor) -> Tensor:
        return F.scaled_dot_product_attention(tokens, tokens, tokens)


@pytest.mark.parametrize(("name", "gmacs", "macts", "params_m"), PUBLISHED)
def test_counts_are_those_that_timm_publishes(
    name: str, gmacs: float, macts: float, params_m: float
) -> None:
    """fvcore adds norms and pooling, 0.3 to 3.6 % of the operations; activations are the same."""
    with torch.device("meta"):
        model = LogitsModel(create_model(name, num_classes=1000)).eval()
        cost = count_cost(model, torch.empty(1, 3, 224, 224))
    assert cost.gmacs == pytest.approx(gmacs, rel=0.04)
    assert cost.gmacs <= gmacs + 0.005
    assert cost.macts == pytest.approx(macts, abs=0.0055)
    assert cost.params_m == pytest.approx(params_m, abs=0.0051)


def test_a_convolution_and_a_product_by_hand() -> None:
    """8 maps of 4x4 from 3x3x3: 128 outputs of 27 products; then 128 x 5 and a norm of nothing."""
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(128, 5)
    ).eval()
    cost = count_cost(model, torch.rand(1, 3, 4, 4))
    assert cost.gmacs * 1e9 == pytest.approx(128 * 27 + 128 * 5)
    assert cost.macts * 1e6 == pytest.approx(128 + 5)
    assert cost.params_m * 1e6 == pytest.approx(8 * 27 + 8 + 16 + 128 * 5 + 5)


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_both_products_of_attention_are_counted(device: str) -> None:
    """2 heads, 5 tokens of 4 numbers: scores 2x5x5 of 4 products, answers 2x5x4 of 5."""
    cost = count_cost(Attention(), torch.rand(1, 2, 5, 4, device=device))
    assert cost.gmacs * 1e9 == pytest.approx(200 + 200)
    assert cost.macts * 1e6 == pytest.approx(50 + 40)


def test_a_transposed_convolution_of_a_volume_by_hand() -> None:
    """2x2x2 from one voxel each: every input voxel gives 8 outputs a channel."""
    model = nn.ConvTranspose3d(2, 3, 2, stride=2, bias=False)
    cost = count_cost(model, torch.rand(1, 2, 3, 3, 3))
    assert cost.gmacs * 1e9 == pytest.approx(2 * 27 * 8 * 3)
    assert cost.macts * 1e6 == pytest.approx(3 * 6**3)
