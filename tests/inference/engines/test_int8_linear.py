"""Int8 linear layers against whole-number products in NumPy and against rounding's own bound."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from csi_predictor.inference.engines.int8_linear import (
    Int8Linear,
    count_int8,
    quantize_linears,
    round_rows,
)
from csi_predictor.models.create import create_model


def linear(inputs: int, outputs: int, *, seed: int = 0) -> nn.Linear:
    torch.manual_seed(seed)
    return nn.Linear(inputs, outputs)


def by_numpy(layer: nn.Linear, features: Tensor) -> np.ndarray:
    """The same rule in float64 and int64: one scale an output, one scale a row of inputs."""
    weight, rows = (t.detach().numpy().astype(np.float64) for t in (layer.weight, features))
    weight_scale, row_scale = (np.abs(v).max(axis=1, keepdims=True) / 127 for v in (weight, rows))
    whole = np.rint(rows / row_scale).astype(np.int64)
    whole_weight = np.rint(weight / weight_scale).astype(np.int64)
    products = (whole @ whole_weight.T) * row_scale * weight_scale.T
    return np.asarray(products + layer.bias.detach().numpy())


@pytest.mark.parametrize(("rows", "inputs", "outputs"), [(1, 7, 3), (5, 65, 9), (33, 192, 24)])
def test_products_equal_those_of_whole_numbers(rows: int, inputs: int, outputs: int) -> None:
    layer, features = linear(inputs, outputs), torch.randn(rows, inputs)
    with torch.inference_mode():
        found = Int8Linear(layer)(features).numpy()
    np.testing.assert_allclose(found, by_numpy(layer, features), rtol=0, atol=1e-5)


def test_the_largest_sums_do_not_overflow() -> None:
    layer = nn.Linear(4096, 2, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[1.0], [-1.0]]).expand(2, 4096))
    # 4096 x 127 x 127 is far beyond 16 bits, in which some processors add pairs of products
    found = Int8Linear(layer)(torch.ones(3, 4096))
    torch.testing.assert_close(found, torch.tensor([[4096.0, -4096.0]] * 3), rtol=1e-5, atol=0)


def test_the_error_stays_within_what_rounding_allows() -> None:
    layer, features = linear(192, 48), torch.randn(20, 192)
    with torch.inference_mode():
        error = (Int8Linear(layer)(features) - layer(features)).abs()
        weight, half_w = layer.weight, layer.weight.abs().amax(1) / 254
        half_x = features.abs().amax(1, keepdim=True) / 254
        # |x w - x' w'| <= |x| dw + |w| dx + dx dw, summed over the inputs
        bound = features.abs().sum(1, keepdim=True) * half_w + half_x * weight.abs().sum(1)
        bound += 192 * half_x * half_w
    assert (error <= bound + 1e-5).all()
    assert error.max() > 1e-4  # it did round


def test_an_answer_does_not_depend_on_the_rows_beside_it() -> None:
    twin, row = Int8Linear(linear(64, 8)), torch.randn(1, 64)
    with torch.inference_mode():
        among_large = twin(torch.cat([row, 1e4 * torch.randn(5, 64)]))[:1]
        assert torch.equal(among_large, twin(row))


def test_a_row_of_zeros_gives_the_bias() -> None:
    layer = linear(16, 4)
    with torch.inference_mode():
        assert torch.equal(Int8Linear(layer)(torch.zeros(2, 16)), layer.bias.expand(2, 4))


def test_leading_axes_stay_and_a_missing_bias_is_none() -> None:
    layer = nn.Linear(10, 6, bias=False)
    twin, tokens = Int8Linear(layer), torch.randn(2, 3, 5, 10)
    with torch.inference_mode():
        found = twin(tokens)
        assert found.shape == (2, 3, 5, 6)
        assert torch.equal(found[1, 2], twin(tokens[1, 2]))


def test_the_weight_can_still_be_read_by_code_that_does_not_call_the_layer() -> None:
    layer = linear(32, 8)
    step = layer.weight.abs().amax(1, keepdim=True) / 127
    assert ((Int8Linear(layer).weight - layer.weight).abs() <= step / 2 + 1e-7).all()


def test_round_rows_uses_the_whole_range_but_minus_128() -> None:
    whole, scale = round_rows(torch.tensor([[-2.54, 1.27, 0.0], [0.0, 0.0, 0.0]]))
    assert whole.tolist() == [[-127, 64, 0], [0, 0, 0]]  # 63.5 to the even neighbour
    assert scale[0, 0].item() == pytest.approx(0.02)


class OwnLinear(nn.Linear):
    """Computes something else."""

    def forward(self, input: Tensor) -> Tensor:  # torch's name
        return 2 * super().forward(input)


def test_subclasses_stay_shared_layers_stay_one_and_the_original_is_untouched() -> None:
    shared = linear(6, 6)
    model = nn.Sequential(shared, nn.Sequential(shared, OwnLinear(6, 6)), nn.Conv2d(1, 1, 1))
    twin = quantize_linears(model.train())
    assert isinstance(twin[0], Int8Linear)
    assert twin[0] is twin[1][0]
    assert type(twin[1][1]) is OwnLinear
    assert count_int8(twin) == 36
    assert not twin.training
    assert type(model[0]) is nn.Linear
    assert model.training


def test_attention_of_torch_which_reads_weights_itself_still_answers() -> None:
    torch.manual_seed(2)
    layer = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True).eval()
    tokens = torch.randn(2, 5, 16)
    with torch.inference_mode():
        expected, found = layer(tokens), quantize_linears(layer)(tokens)
    assert (found - expected).abs().max() < 0.1
    assert not torch.equal(found, expected)


def test_only_linear_layers_become_int8_so_a_cnn_keeps_its_weights__weakness_001_12() -> None:
    cnn = create_model("resnet18", num_classes=7, image_size=64)
    assert count_int8(quantize_linears(cnn)) == 512 * 7  # of 11.2 million: its last layer
    transformer = create_model("vit_tiny_patch16_224", num_classes=7, image_size=32)
    # 12 blocks of 12 x 192 squared, and the last layer: He et al., Dosovitskiy et al. 2021
    assert count_int8(quantize_linears(transformer)) == 12 * 12 * 192**2 + 192 * 7
