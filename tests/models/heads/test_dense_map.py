import pytest
import torch
from torch.nn import functional as F

from csi_predictor.models.heads.dense_map import DenseMapHead


@pytest.mark.parametrize("size", [(33, 47), (9, 17, 21)])
def test_the_answer_has_the_pictures_own_size(size: tuple[int, ...]) -> None:
    head = DenseMapHead((8, 16), size=size, num_outputs=2, dropout_rate=0.0)
    maps = [torch.randn(2, 8, *(4,) * len(size)), torch.randn(2, 16, *(2,) * len(size))]
    answer = head(maps)
    answer.square().mean().backward()
    assert answer.shape == (2, 2, *size)
    assert all(parameter.grad is not None for parameter in head.parameters())


def test_one_map_goes_through_the_layers_in_order() -> None:
    """Composed again by hand from the layers' own parameters."""
    head = DenseMapHead((4,), size=(6, 6), num_outputs=1, dropout_rate=0.0).eval()
    feature_map = torch.randn(1, 4, 3, 3)
    lateral = F.conv2d(feature_map, head.lateral[0].weight, head.lateral[0].bias)
    smooth = F.conv2d(lateral, head.smooth[0].weight, padding=1)
    normed = F.relu(F.group_norm(smooth, 32, head.smooth[1].weight, head.smooth[1].bias))
    projected = F.conv2d(normed, head.project.weight, head.project.bias)
    expected = F.interpolate(projected, (6, 6), mode="bilinear", align_corners=False)
    torch.testing.assert_close(head([feature_map]), expected)


def test_every_resolution_changes_the_answer() -> None:
    head = DenseMapHead((4, 4, 4), size=(16, 16), num_outputs=1, dropout_rate=0.0).eval()
    maps = [torch.randn(1, 4, edge, edge) for edge in (8, 4, 2)]
    before = head(maps)
    for index in range(3):
        changed = [*maps]
        changed[index] = changed[index] + 1.0 + torch.randn_like(changed[index])
        assert not torch.allclose(head(changed), before)
