import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.special import expit
from scipy.stats import logistic

from csi_predictor.losses.ordinal import cumulative, ordinal
from csi_predictor.zone_logits import zone_probabilities

NAN = float("nan")
LOSSES = [ordinal, cumulative]
# Two zones: grade 2 with cumulative logits 2, 0.5, -1; ungradable with an ungradable logit of 1.5.
LOGITS = torch.tensor([[[2.0, 0.5, -1.0, -3.0], [1.0, 0.0, -2.0, 1.5]]])
TARGETS = torch.tensor([[2.0, NAN]])


def random_batch(count: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(2)
    logits = torch.randn(count, 6, 4, generator=generator)
    logits[..., :3] = logits[..., :3].sort(dim=-1, descending=True).values
    targets = torch.randint(0, 4, (count, 6), generator=generator).float()
    targets[torch.rand(count, 6, generator=generator) < 0.3] = NAN
    return logits, targets


def test_the_likelihood_equals_the_hand_calculation() -> None:
    # P(grade = 2) = expit(0.5) - expit(-1), by scipy's logistic distribution.
    of_grade = -math.log(logistic.cdf(0.5) - logistic.cdf(-1.0))
    of_answers = -logistic.logsf(-3.0) - logistic.logcdf(1.5)
    expected = (of_grade + 0.3 * of_answers) / 2
    assert ordinal(LOGITS, TARGETS, unknown_weight=0.3).item() == pytest.approx(expected)


def test_the_cumulative_loss_equals_the_hand_calculation() -> None:
    # Grade 2 is above 0 and 1 and not above 2.
    of_grade = -np.log(expit([2.0, 0.5, 1.0])).sum()
    of_answers = -math.log(expit(3.0)) - math.log(expit(1.5))
    expected = (of_grade + 0.3 * of_answers) / 2
    assert cumulative(LOGITS, TARGETS, unknown_weight=0.3).item() == pytest.approx(expected)


@pytest.mark.parametrize("loss", LOSSES)
def test_an_ungradable_zone_moves_no_grade(loss: Callable[..., torch.Tensor]) -> None:
    logits = LOGITS.clone().requires_grad_()
    loss(logits, TARGETS, unknown_weight=0.3, label_smoothing=0.1).backward()
    assert torch.equal(logits.grad[0, 1, :3], torch.zeros(3))
    assert logits.grad[0, 1, 3] < 0  # towards ungradable
    assert (logits.grad[0, 0] != 0).all()


@pytest.mark.parametrize("loss", LOSSES)
def test_without_weight_the_ungradable_answer_is_not_learnt(
    loss: Callable[..., torch.Tensor],
) -> None:
    logits = LOGITS.clone().requires_grad_()
    loss(logits, TARGETS, unknown_weight=0.0).backward()
    assert torch.equal(logits.grad[..., 3], torch.zeros(1, 2))


@pytest.mark.parametrize("loss", LOSSES)
def test_equal_batches_accumulate_to_the_big_batch(loss: Callable[..., torch.Tensor]) -> None:
    logits, targets = random_batch(count=4)
    halves = [loss(logits[part], targets[part]) for part in (slice(0, 2), slice(2, 4))]
    torch.testing.assert_close(sum(halves) / 2, loss(logits, targets))


@pytest.mark.parametrize("loss", LOSSES)
def test_a_batch_of_ungradable_zones_alone_has_a_finite_loss(
    loss: Callable[..., torch.Tensor],
) -> None:
    assert torch.isfinite(loss(torch.randn(2, 6, 4), torch.full((2, 6), NAN)))


@pytest.mark.parametrize("loss", LOSSES)
def test_descent_finds_the_targets_frequencies(loss: Callable[..., torch.Tensor]) -> None:
    # 4 of 10 zones are grade 0, 3 grade 1, 2 grade 2, 1 grade 3: both losses are proper, so the
    # best constant answer is these frequencies.
    targets = torch.tensor([[0.0] * 4 + [1.0] * 3 + [2.0] * 2 + [3.0]]).T
    free = torch.tensor([1.0, 0.0, -1.0, 0.0], requires_grad=True)
    optimizer = torch.optim.LBFGS([free], max_iter=100)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        value = loss(free.expand(10, 1, 4), targets)
        value.backward()
        return value

    optimizer.step(closure)
    found = zone_probabilities(free.detach()[None, None], "ordinal").grades[0, 0]
    torch.testing.assert_close(found, torch.tensor([0.4, 0.3, 0.2, 0.1]), atol=1e-3, rtol=0)


def test_smoothing_asks_for_some_of_the_neighbours() -> None:
    smoothed = ordinal(LOGITS[:, :1], TARGETS[:, :1], unknown_weight=0.0, label_smoothing=0.2)
    logs = zone_probabilities(LOGITS, "ordinal").grades[0, 0].log()
    assert smoothed.item() == pytest.approx(-(0.1 * logs[1] + 0.8 * logs[2] + 0.1 * logs[3]).item())
