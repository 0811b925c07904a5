"""Losses over labels, against torch's, torchvision's and timm's, and against hand calculations."""

from collections.abc import Callable

import pytest
import torch
from timm.loss import AsymmetricLossMultiLabel
from torch.nn import functional as F
from torchvision.ops import sigmoid_focal_loss

from csi_predictor.losses.multilabel import asymmetric, binary_cross_entropy, focal

NAN = float("nan")
LOSSES = (binary_cross_entropy, focal, asymmetric)


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    """Logits (6, 4) and targets (6, 4), all known."""
    generator = torch.Generator().manual_seed(3)
    logits = 2 * torch.randn(6, 4, generator=generator)
    return logits, (torch.rand(6, 4, generator=generator) < 0.4).float()


@pytest.mark.parametrize("weights", [(), (2.0,), (1.0, 5.0, 0.5, 10.0)])
def test_binary_cross_entropy_is_torchs(weights: tuple[float, ...]) -> None:
    logits, targets = batch()
    pos_weight = torch.tensor(weights) if weights else None
    expected = F.binary_cross_entropy_with_logits(logits, targets, pos_weight=pos_weight)
    torch.testing.assert_close(binary_cross_entropy(logits, targets, pos_weight=weights), expected)


def test_smoothing_and_mixing_are_torchs_soft_targets() -> None:
    logits, targets = batch()
    mixed = 0.3 * targets + 0.7 * targets.roll(1, 0)
    soft = mixed * 0.8 + 0.1
    weights = torch.tensor([2.0, 3, 4, 5])
    expected = F.binary_cross_entropy_with_logits(logits, soft, pos_weight=weights)
    found = binary_cross_entropy(logits, mixed, pos_weight=(2, 3, 4, 5), label_smoothing=0.2)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("alpha", [0.25, 0.5, 0.9])
@pytest.mark.parametrize("gamma", [0.5, 2.0, 2.5])
def test_focal_is_torchvisions(gamma: float, alpha: float) -> None:
    logits, targets = batch()
    expected = sigmoid_focal_loss(logits, targets, alpha=alpha, gamma=gamma, reduction="mean")
    torch.testing.assert_close(focal(logits, targets, gamma=gamma, alpha=(alpha,)), expected)


def test_without_alpha_positives_and_negatives_weigh_one_as_torchvisions_minus_one() -> None:
    logits, targets = batch()
    expected = sigmoid_focal_loss(logits, targets, alpha=-1, gamma=2.0, reduction="mean")
    torch.testing.assert_close(focal(logits, targets, gamma=2.0), expected)


def test_weakness_001_08_focal_alpha_is_indexed_by_the_label() -> None:
    logits, targets = batch()
    alphas = (0.1, 0.4, 0.6, 0.9)
    columns = [
        focal(logits[:, [label]], targets[:, [label]], alpha=(alpha,))
        for label, alpha in enumerate(alphas)
    ]
    torch.testing.assert_close(focal(logits, targets, alpha=alphas), torch.stack(columns).mean())


@pytest.mark.parametrize("alpha", [1.0, 0.0, 1.5, -0.25])
def test_weakness_004_02_an_alpha_that_silences_one_answer_is_refused(alpha: float) -> None:
    logits, targets = batch()
    with pytest.raises(ValueError, match=r"expected a number between 0 and 1; leave it empty"):
        focal(logits, targets, alpha=(alpha,))


def test_weakness_004_02_negatives_teach_by_default() -> None:
    logits = torch.zeros(1, 1, requires_grad=True)
    focal(logits, torch.zeros(1, 1)).backward()
    assert logits.grad.item() > 0.1


def test_focal_of_a_mixed_label_is_the_mean_of_both_answers() -> None:
    logits = torch.tensor([[0.7]])
    absent, present = (float(focal(logits, torch.full((1, 1), y), alpha=(0.3,))) for y in (0, 1))
    mixed = float(focal(logits, torch.tensor([[0.2]]), alpha=(0.3,)))
    assert mixed == pytest.approx(0.8 * absent + 0.2 * present)


@pytest.mark.parametrize(("positive", "negative"), [(0.0, 4.0), (1.0, 4.0), (2.0, 2.0)])
@pytest.mark.parametrize("margin", [0.0, 0.05, 0.2])
def test_asymmetric_is_timms(positive: float, negative: float, margin: float) -> None:
    logits, targets = batch()
    timms = AsymmetricLossMultiLabel(gamma_neg=negative, gamma_pos=positive, clip=margin)
    found = asymmetric(
        logits, targets, gamma_positive=positive, gamma_negative=negative, margin=margin
    )
    expected = timms(logits, targets)  # the sum, over the batch in newer versions
    is_sum = getattr(timms, "reduction", "sum") == "sum"
    torch.testing.assert_close(found, expected / (24 if is_sum else 4))


def test_asymmetric_equals_its_formula_by_hand() -> None:
    # a negative of p = 0.35 and margin 0.05: 0.3^4 * -ln 0.7; a positive of p = 0.4: 0.6 * -ln 0.4
    logits = torch.tensor([[0.35, 0.4]]).logit()
    found = asymmetric(logits, torch.tensor([[0.0, 1.0]]), gamma_positive=1.0, gamma_negative=4.0)
    expected = (0.3**4 * 0.3566749 + 0.6 * 0.9162907) / 2
    assert float(found) == pytest.approx(expected, rel=1e-5)


def test_a_negative_below_the_margin_teaches_nothing() -> None:
    logits = torch.tensor([[0.04, 0.06]]).logit().requires_grad_()
    asymmetric(logits, torch.zeros(1, 2), gamma_negative=1.0, margin=0.05).backward()
    assert logits.grad[0, 0] == 0
    assert logits.grad[0, 1] > 0


def test_without_focus_and_margin_asymmetric_and_focal_are_cross_entropy() -> None:
    logits, targets = batch()
    expected = F.binary_cross_entropy_with_logits(logits, targets)
    plain = asymmetric(logits, targets, gamma_positive=0.0, gamma_negative=0.0, margin=0.0)
    torch.testing.assert_close(plain, expected)
    torch.testing.assert_close(focal(logits, targets, gamma=0.0), expected)


@pytest.mark.parametrize("loss", LOSSES)
def test_an_unknown_label_adds_nothing_and_still_counts_in_the_mean(
    loss: Callable[..., torch.Tensor],
) -> None:
    logits, targets = batch()
    logits.requires_grad_()
    hidden = targets.clone()
    hidden[:, 1:] = NAN
    found = loss(logits, hidden, label_smoothing=0.1)
    known = loss(logits[:, :1], targets[:, :1], label_smoothing=0.1)
    torch.testing.assert_close(found, known / 4)
    found.backward()
    assert torch.equal(logits.grad[:, 1:], torch.zeros(6, 3))


@pytest.mark.parametrize("loss", LOSSES)
def test_equal_batches_accumulate_to_the_big_batch_whatever_is_unknown(
    loss: Callable[..., torch.Tensor],
) -> None:
    logits, targets = batch()
    targets[0] = targets[1, 2] = NAN
    parts = [loss(logits[part], targets[part]) for part in (slice(0, 3), slice(3, 6))]
    torch.testing.assert_close(sum(parts) / 2, loss(logits, targets))


@pytest.mark.parametrize("loss", LOSSES)
def test_gradients_equal_differences(loss: Callable[..., torch.Tensor]) -> None:
    logits, targets = batch()
    targets[2, 1] = NAN
    targets[3, 0] = 0.4
    assert torch.autograd.gradcheck(
        lambda x: loss(x, targets.double(), label_smoothing=0.1), logits.double().requires_grad_()
    )


@pytest.mark.parametrize(
    "loss",
    [
        lambda x, y: binary_cross_entropy(x, y, pos_weight=(10.0,)),
        lambda x, y: focal(x, y, gamma=0.5),
        lambda x, y: focal(x, y, gamma=2.0, alpha=(0.25,)),
        asymmetric,
        lambda x, y: asymmetric(x, y, gamma_negative=0.5, margin=0.0),
        lambda x, y: asymmetric(x, y, gamma_negative=0.5, margin=0.05),
    ],
)
def test_extreme_logits_have_a_finite_loss_and_gradient(
    loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
) -> None:
    logits = torch.tensor([[100.0, -100.0, 100.0, -100.0, 0.0]], requires_grad=True)
    found = loss(logits, torch.tensor([[1.0, 1.0, 0.0, 0.0, NAN]]))
    found.backward()
    assert torch.isfinite(found)
    assert torch.isfinite(logits.grad).all()
    assert logits.grad[0, 1] < -0.01  # a missed positive still learns


@pytest.mark.parametrize("loss", LOSSES)
def test_targets_of_another_shape_are_refused(loss: Callable[..., torch.Tensor]) -> None:
    with pytest.raises(ValueError, match=r"targets of shape \(3, 1\) for logits of shape \(3, 4\)"):
        loss(torch.zeros(3, 4), torch.zeros(3, 1))


def test_weights_of_another_number_are_refused() -> None:
    logits, targets = batch()
    with pytest.raises(ValueError, match="pos_weight has 2 numbers: expected one, or 4, one a l"):
        binary_cross_entropy(logits, targets, pos_weight=(1.0, 2.0))
    with pytest.raises(ValueError, match="alpha has 3 numbers: expected one, or 4"):
        focal(logits, targets, alpha=(0.1, 0.2, 0.3))


def test_a_margin_of_one_is_refused() -> None:
    logits, targets = batch()
    with pytest.raises(ValueError, match="margin = 1: expected at least 0 and less than 1"):
        asymmetric(logits, targets, margin=1.0)
