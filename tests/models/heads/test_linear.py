import torch

from csi_predictor.models.heads.linear import linear_head


def test_a_plain_head_is_one_linear_layer() -> None:
    head = linear_head(6, num_outputs=3, dropout_rate=0.9).eval()
    weight, bias = (parameter.detach() for parameter in head.parameters())
    features = torch.randn(4, 6)
    torch.testing.assert_close(head(features), features @ weight.T + bias)


def test_a_hidden_layer_is_counted_as_published() -> None:
    # System 004: ResNet head 512 -> 256 -> 18: 512 * 256 + 256 + 256 * 18 + 18.
    head = linear_head(512, num_outputs=18, dropout_rate=0.5, hidden=256)
    assert sum(parameter.numel() for parameter in head.parameters()) == 135_954


def test_dropout_acts_in_training_only() -> None:
    torch.manual_seed(0)
    head = linear_head(32, num_outputs=2, dropout_rate=0.5, hidden=16)
    features = torch.randn(1, 32)
    assert not torch.equal(head(features), head(features))
    head.eval()
    assert torch.equal(head(features), head(features))
