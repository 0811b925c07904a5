import pytest
import torch

from csi_predictor.models.longitudinal.decoder import MapDecoder


def test_four_doublings_and_the_described_widths() -> None:
    decoder = MapDecoder().eval()
    shapes: list[tuple[int, ...]] = []
    for block in decoder.blocks:
        block.register_forward_hook(lambda _, __, output: shapes.append(tuple(output.shape[1:])))
    assert decoder(torch.rand(1, 640, 2, 3)).shape == (1, 1, 32, 48)
    assert shapes == [(320, 4, 6), (160, 8, 12), (80, 16, 24), (40, 32, 48)]
    assert decoder.project.kernel_size == (1, 1)


def test_each_skip_connection_is_used() -> None:
    torch.manual_seed(0)
    decoder = MapDecoder((6, 4, 2)).eval()
    features = torch.rand(1, 640, 2, 2)
    skips = [torch.rand(1, 6, 4, 4), torch.rand(1, 4, 8, 8), torch.rand(1, 2, 16, 16)]
    whole = decoder(features, skips)
    for index in range(3):
        without = [torch.zeros_like(one) if at == index else one for at, one in enumerate(skips)]
        assert not torch.allclose(decoder(features, without), whole)


def test_magnitude_is_0_to_1_and_signed_is_minus_1_to_1() -> None:
    features = 10 * torch.randn(1, 640, 2, 2)
    magnitude, signed = (MapDecoder(output=one).eval() for one in ("magnitude", "signed"))
    signed.load_state_dict(magnitude.state_dict())
    torch.nn.init.normal_(magnitude.project.weight)
    signed.project.load_state_dict(magnitude.project.state_dict())
    low, high = magnitude(features), signed(features)
    assert 0 <= low.min() < 0.5 < low.max() <= 1
    # tanh(x) = 2 sigmoid(2 x) - 1
    torch.testing.assert_close(high, 2 * torch.sigmoid(2 * torch.logit(low)) - 1, atol=1e-4, rtol=0)


def test_missing_and_surplus_skip_maps_are_refused() -> None:
    with pytest.raises(ValueError, match="0 skip maps: expected 3"):
        MapDecoder((6, 4, 2))(torch.rand(1, 640, 2, 2))
    with pytest.raises(ValueError, match="1 skip maps: expected 0"):
        MapDecoder()(torch.rand(1, 640, 2, 2), [torch.rand(1, 6, 4, 4)])
