import torch
from torch.nn import functional as F

from csi_predictor.losses.targets import (
    smooth_over_all,
    smooth_over_neighbours,
    split_targets,
)


def test_nan_is_ungradable() -> None:
    is_gradable, grades = split_targets(torch.tensor([[3.0, float("nan"), 0.0]]))
    assert is_gradable.tolist() == [[True, False, True]]
    assert grades.tolist() == [[3, 0, 0]]


def test_neighbours_share_what_a_grade_loses() -> None:
    smoothed = smooth_over_neighbours(torch.tensor([[0, 1, 3]]), 0.2)
    expected = [[0.8, 0.2, 0.0, 0.0], [0.1, 0.8, 0.1, 0.0], [0.0, 0.0, 0.2, 0.8]]
    torch.testing.assert_close(smoothed, torch.tensor([expected]))


def test_smoothing_over_all_is_torchs() -> None:
    logits = torch.randn(5, 4)
    grades = torch.tensor([0, 1, 2, 3, 1])
    by_hand = -(smooth_over_all(grades, 0.3) * logits.log_softmax(-1)).sum(-1).mean()
    torch.testing.assert_close(by_hand, F.cross_entropy(logits, grades, label_smoothing=0.3))
