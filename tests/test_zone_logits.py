from itertools import pairwise

import pytest
import torch
from scipy.special import expit
from scipy.stats import logistic

from csi_predictor.zone_logits import zone_log_probabilities, zone_probabilities

# One zone: cumulative logits 2, 0.5, -1 and an ungradable logit of -3.
ORDINAL = torch.tensor([[[2.0, 0.5, -1.0, -3.0]]])


def test_ordinal_grades_are_differences_of_the_cumulative_curve() -> None:
    probabilities = zone_probabilities(ORDINAL, "ordinal")
    above = [1, expit(2), expit(0.5), expit(-1), 0]  # scipy
    expected = torch.tensor([one - following for one, following in pairwise(above)])
    torch.testing.assert_close(probabilities.grades[0, 0], expected.float())
    assert probabilities.ungradable.item() == pytest.approx(expit(-3))


def test_softmax_grades_are_given_that_the_zone_is_gradable() -> None:
    logits = torch.tensor([[[0.1, 0.7, -0.3, 0.2, 1.5]]])
    probabilities = zone_probabilities(logits, "softmax")
    five = logits.softmax(-1)[0, 0]
    torch.testing.assert_close(probabilities.grades[0, 0], five[:4] / five[:4].sum())
    torch.testing.assert_close(probabilities.ungradable[0, 0], five[4])


@pytest.mark.parametrize(("head", "outputs"), [("ordinal", 4), ("softmax", 5)])
def test_grades_sum_to_one_and_answers_to_one(head: str, outputs: int) -> None:
    logits = torch.randn(5, 6, outputs, generator=torch.Generator().manual_seed(1)) * 4
    if head == "ordinal":
        logits[..., :3] = logits[..., :3].sort(dim=-1, descending=True).values
    logs = zone_log_probabilities(logits, head)
    torch.testing.assert_close(logs.grades.exp().sum(-1), torch.ones(5, 6))
    torch.testing.assert_close(logs.gradable.exp() + logs.ungradable.exp(), torch.ones(5, 6))


def test_tails_keep_their_logarithm() -> None:
    logits = torch.tensor([[[-50.0, -52.0, -60.0, 0.0]]])
    logs = zone_log_probabilities(logits, "ordinal").grades[0, 0]
    # P(1) = expit(-50) - expit(-52), which float32 probabilities would lose; scipy in float64.
    expected = logistic.logcdf(-50) + torch.log1p(-torch.exp(torch.tensor(-2.0))).item()
    assert logs[1].item() == pytest.approx(expected, rel=1e-6)


def test_extreme_and_equal_logits_stay_finite() -> None:
    logits = torch.tensor([[[1e4, 0.0, -1e4, 1e4], [3.0, 3.0, 3.0, -1e4]]], requires_grad=True)
    logs = zone_log_probabilities(logits, "ordinal")
    total = logs.grades.sum() + logs.gradable.sum() + logs.ungradable.sum()
    total.backward()
    assert torch.isfinite(total)
    assert torch.isfinite(logits.grad).all()


def test_half_precision_is_computed_in_float32() -> None:
    assert zone_probabilities(ORDINAL.bfloat16(), "ordinal").grades.dtype == torch.float32


def test_logits_of_the_other_head_are_refused() -> None:
    with pytest.raises(ValueError, match=r"logits \(1, 1, 4\): expected \(B, Z, 5\) of HEAD=softm"):
        zone_probabilities(ORDINAL, "softmax")
