"""Losses over classes, against torch's own and against hand calculations."""

import pytest
import torch
from torch.nn import functional as F

from csi_predictor.losses.multiclass import class_probabilities, cross_entropy, focal

NAN = float("nan")
WEIGHTS = (0.2, 1.0, 3.0, 0.5, 1.3)


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    """Logits (7, 5) and targets (7, 1), all known."""
    generator = torch.Generator().manual_seed(8)
    logits = 3 * torch.randn(7, 5, generator=generator)
    return logits, torch.randint(0, 5, (7, 1), generator=generator).float()


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.4])
def test_cross_entropy_is_torchs_with_its_smoothing(smoothing: float) -> None:
    logits, targets = batch()
    expected = F.cross_entropy(logits, targets[:, 0].long(), label_smoothing=smoothing)
    torch.testing.assert_close(cross_entropy(logits, targets, label_smoothing=smoothing), expected)


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_weighted_cross_entropy_is_torchs_sum_over_the_number_of_images(smoothing: float) -> None:
    logits, targets = batch()
    summed = F.cross_entropy(
        logits,
        targets[:, 0].long(),
        torch.tensor(WEIGHTS),
        label_smoothing=smoothing,
        reduction="sum",
    )
    found = cross_entropy(logits, targets, class_weights=WEIGHTS, label_smoothing=smoothing)
    torch.testing.assert_close(found, summed / 7)


def test_mixed_classes_are_torchs_class_probabilities() -> None:
    logits, _ = batch()
    shares = torch.randn(7, 5, generator=torch.Generator().manual_seed(1)).softmax(1)
    expected = F.cross_entropy(logits, shares, torch.tensor(WEIGHTS), label_smoothing=0.2)
    found = cross_entropy(logits, shares, class_weights=WEIGHTS, label_smoothing=0.2)
    torch.testing.assert_close(found, expected)


def test_smoothing_goes_to_all_classes_the_true_one_too__weakness_001_08() -> None:
    # 0.3 over three classes: 0.8 of the true one and 0.1 of each other, by hand
    probs = torch.tensor([[0.7, 0.2, 0.1]])
    expected = -(0.8 * probs[0, 0].log() + 0.1 * probs[0, 1].log() + 0.1 * probs[0, 2].log())
    found = cross_entropy(probs.log(), torch.tensor([[0.0]]), label_smoothing=0.3)
    torch.testing.assert_close(found, expected)


def test_focal_alpha_is_that_of_the_true_class__weakness_001_08() -> None:
    # by hand: 0.2 * 0.6^2 * -ln 0.4 for class 0 and 3.0 * 0.5^2 * -ln 0.5 for class 2
    logits = torch.tensor([[0.4, 0.5, 0.1], [0.2, 0.3, 0.5]]).log()
    targets = torch.tensor([[0.0], [2.0]])
    found = focal(logits, targets, gamma=2.0, alpha=(0.2, 1.0, 3.0))
    assert float(found) == pytest.approx((0.2 * 0.36 * 0.9162907 + 3 * 0.25 * 0.6931472) / 2)


def test_focal_of_a_mixed_image_is_the_mean_of_its_classes_by_their_shares() -> None:
    logits = torch.tensor([[0.5, -1.0, 2.0]])
    parts = [float(focal(logits, torch.tensor([[c]]), gamma=1.5)) for c in (0.0, 2.0)]
    found = float(focal(logits, torch.tensor([[0.3, 0.0, 0.7]]), gamma=1.5))
    assert found == pytest.approx(0.3 * parts[0] + 0.7 * parts[1])


@pytest.mark.parametrize("as_probabilities", [False, True])
def test_an_unknown_class_adds_nothing_and_still_counts_in_the_mean(as_probabilities: bool) -> None:
    logits, targets = batch()
    logits.requires_grad_()
    known = cross_entropy(logits[:4], targets[:4]) * 4 / 7
    hidden = targets.clone()
    hidden[4:] = NAN
    if as_probabilities:
        is_known, probs = class_probabilities(hidden, 5)
        hidden = probs.masked_fill(~is_known[:, None], NAN)
    found = cross_entropy(logits, hidden)
    torch.testing.assert_close(found, known)
    found.backward()
    assert torch.equal(logits.grad[4:], torch.zeros(3, 5))
    assert logits.grad[:4].abs().min() > 0


def test_equal_batches_accumulate_to_the_big_batch_whatever_is_unknown() -> None:
    logits, targets = batch()
    targets[:2] = NAN
    options = {"gamma": 2.0, "alpha": WEIGHTS, "label_smoothing": 0.1}
    parts = [focal(logits[part], targets[part], **options) for part in (slice(0, 3), slice(3, 6))]
    torch.testing.assert_close(sum(parts) / 2, focal(logits[:6], targets[:6], **options))


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_gradients_equal_differences(gamma: float) -> None:
    logits, targets = batch()
    targets[3] = NAN
    assert torch.autograd.gradcheck(
        lambda x: focal(x, targets.double(), gamma=gamma, alpha=WEIGHTS, label_smoothing=0.1),
        logits.double().requires_grad_(),
    )


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_extreme_logits_have_a_finite_loss_and_gradient(gamma: float, smoothing: float) -> None:
    logits = torch.tensor([[100.0, -100, 0], [-100.0, 100, 0]], requires_grad=True)
    loss = focal(logits, torch.zeros(2, 1), gamma=gamma, label_smoothing=smoothing)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(logits.grad).all()
    assert logits.grad[1].abs().max() > 0.1  # the wrong answer still learns


def test_a_width_of_one_is_an_index_so_one_class_is_refused() -> None:
    with pytest.raises(ValueError, match=r"1 class: expected at least two, or a label"):
        cross_entropy(torch.zeros(3, 1), torch.zeros(3, 1))


def test_targets_of_another_width_are_refused() -> None:
    with pytest.raises(ValueError, match=r"shape \(3, 4\): expected \(B, 1\).*or \(B, 5\)"):
        cross_entropy(torch.zeros(3, 5), torch.zeros(3, 4))


def test_weights_of_another_number_are_refused() -> None:
    with pytest.raises(ValueError, match="2 class weights: expected 5, one a class"):
        cross_entropy(torch.zeros(3, 5), torch.zeros(3, 1), class_weights=(0.25, 0.75))
