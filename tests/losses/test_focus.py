import pytest
import torch

from csi_predictor.losses.focus import focus


def test_focus_is_the_power_of_what_is_missing_to_certainty() -> None:
    log_probs = torch.tensor([0.5, 0.9, 1e-30]).log()
    torch.testing.assert_close(focus(log_probs, 2.0), torch.tensor([0.25, 0.01, 1.0]))


def test_without_gamma_every_answer_counts_alike() -> None:
    assert focus(torch.tensor([-3.0, 0.0]), 0.0).tolist() == [1, 1]


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0, 4.0])
def test_a_certain_answer_has_a_finite_gradient(gamma: float) -> None:
    log_probs = torch.tensor([0.0, -1e-30, -200.0], requires_grad=True)
    (focus(log_probs, gamma) * -log_probs).sum().backward()
    assert torch.isfinite(log_probs.grad).all()
