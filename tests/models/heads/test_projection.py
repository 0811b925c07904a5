import torch

from csi_predictor.models.heads.projection import ProjectionHead


def test_projections_have_unit_length() -> None:
    vectors = ProjectionHead(20)(torch.randn(5, 20))
    assert vectors.shape == (5, 128)
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(5))
