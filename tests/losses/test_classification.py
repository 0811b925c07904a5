import pytest
import torch
from torch.nn import functional as F

from csi_predictor.losses.classification import cross_entropy, focal
from csi_predictor.zone_logits import zone_probabilities

NAN = float("nan")


def batch() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Softmax logits, targets with NaN, and the same targets as five classes."""
    generator = torch.Generator().manual_seed(4)
    logits = torch.randn(4, 6, 5, generator=generator)
    classes = torch.randint(0, 5, (4, 6), generator=generator)
    return logits, torch.where(classes == 4, NAN, classes.float()), classes


@pytest.mark.parametrize("unknown_weight", [0.0, 0.3, 1.0])
def test_cross_entropy_is_torchs_weighted_sum_over_all_zones(unknown_weight: float) -> None:
    logits, targets, classes = batch()
    weight = torch.tensor([1.0, 1.0, 1.0, 1.0, unknown_weight])
    summed = F.cross_entropy(logits.flatten(0, 1), classes.flatten(), weight, reduction="sum")
    found = cross_entropy(logits, targets, unknown_weight=unknown_weight)
    torch.testing.assert_close(found, summed / 24)


def test_smoothing_is_torchs_over_the_four_grades_and_spares_ungradable() -> None:
    logits, targets, classes = batch()
    graded = classes < 4
    four = F.cross_entropy(
        logits[graded][:, :4], classes[graded], label_smoothing=0.2, reduction="sum"
    )
    logs = logits.log_softmax(-1)
    being_gradable = logs[graded][:, :4].logsumexp(-1).sum()
    expected = (four - being_gradable - logs[~graded][:, 4].sum()) / 24
    torch.testing.assert_close(cross_entropy(logits, targets, label_smoothing=0.2), expected)


def test_focal_without_focus_is_cross_entropy() -> None:
    logits, targets, _ = batch()
    torch.testing.assert_close(
        focal(logits, targets, gamma=0.0, unknown_weight=0.3),
        cross_entropy(logits, targets, unknown_weight=0.3),
    )


def test_focal_equals_its_formula_with_alpha_of_the_true_grade() -> None:
    logits, targets, classes = batch()
    alpha = (0.1, 0.2, 0.3, 0.4)
    weights = torch.tensor([*alpha, 0.5])  # 001's weakness 8: alpha wasn't indexed by the class
    p = logits.softmax(-1).gather(-1, classes[..., None])[..., 0]
    expected = (weights[classes] * (1 - p) ** 2 * -p.log()).mean()
    found = focal(logits, targets, gamma=2.0, alpha=alpha, unknown_weight=0.5)
    torch.testing.assert_close(found, expected)


def test_an_ungradable_zone_leaves_the_grades_proportions_alone() -> None:
    logits = torch.randn(1, 1, 4, requires_grad=True)
    cross_entropy(logits, torch.tensor([[NAN]]), head="ordinal").backward()
    assert torch.equal(logits.grad[..., :3], torch.zeros(1, 1, 3))


def test_an_ordinal_head_can_use_it_too() -> None:
    logits = torch.tensor([[[2.0, 0.5, -1.0, -3.0]]])
    probabilities = zone_probabilities(logits, "ordinal")
    joint = probabilities.grades[0, 0, 2] * (1 - probabilities.ungradable[0, 0])
    found = cross_entropy(logits, torch.tensor([[2.0]]), head="ordinal")
    torch.testing.assert_close(found, -joint.log())


def test_equal_batches_accumulate_to_the_big_batch() -> None:
    logits, targets, _ = batch()
    halves = [focal(logits[part], targets[part]) for part in (slice(0, 2), slice(2, 4))]
    torch.testing.assert_close(sum(halves) / 2, focal(logits, targets))


def test_a_certain_and_right_answer_has_a_finite_gradient() -> None:
    logits = torch.tensor([[[200.0, 0.0, 0.0, 0.0, 0.0]]], requires_grad=True)
    focal(logits, torch.tensor([[0.0]]), gamma=0.5).backward()
    assert torch.isfinite(logits.grad).all()


def test_alpha_of_another_length_is_refused() -> None:
    logits, targets, _ = batch()
    with pytest.raises(ValueError, match="alpha has 2 numbers: expected 4, one a grade"):
        focal(logits, targets, alpha=(0.25, 0.75))
