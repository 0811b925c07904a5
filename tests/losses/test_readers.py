"""Two readers of one image: each on an own scale, one of them maybe absent."""

import numpy as np
import pytest
import torch
from torch import Tensor

from csi_predictor.losses.ordinal import cumulative
from csi_predictor.losses.readers import TwoReaders
from csi_predictor.specs import NOT_READ

ZONES = 2
FIRST = torch.tensor([[2.0, 0.0], [1.0, 3.0], [0.0, 1.0]])
SECOND = torch.tensor([[1.0, 0.0], [NOT_READ, NOT_READ], [0.0, float("nan")]])


def loss(logits: Tensor, targets: Tensor) -> Tensor:
    return cumulative(logits, targets, head="ordinal", unknown_weight=1.0)


def make_logits() -> Tensor:
    return torch.randn(3, ZONES, 4, generator=torch.Generator().manual_seed(0))


def test_the_loss_is_the_mean_over_images_of_each_images_readers() -> None:
    logits = make_logits()
    total = TwoReaders(loss, weight=0.25, num_zones=ZONES)(logits, torch.stack([FIRST, SECOND], 1))
    by_image = [
        0.75 * loss(logits[:1], FIRST[:1]) + 0.25 * loss(logits[:1], SECOND[:1]),
        loss(logits[1:2], FIRST[1:2]),
        0.75 * loss(logits[2:], FIRST[2:]) + 0.25 * loss(logits[2:], SECOND[2:]),
    ]
    assert total.item() == pytest.approx(np.mean([value.item() for value in by_image]), rel=1e-6)


def test_the_second_readers_thresholds_are_shifted_and_what_is_ungradable_stays() -> None:
    readers = TwoReaders(loss, weight=0.5, num_zones=ZONES)
    with torch.no_grad():
        readers.zone_offset.copy_(torch.tensor([0.5, -1.0]))
        readers.threshold_offset.copy_(torch.tensor([0.0, 0.1, 0.2]))
    logits = make_logits()
    moved = readers.shift(logits) - logits
    expected = torch.tensor([[0.5, 0.6, 0.7, 0.0], [-1.0, -0.9, -0.8, 0.0]])
    torch.testing.assert_close(moved, expected.expand(3, -1, -1))


def test_validation_asks_the_first_reader_alone() -> None:
    logits = make_logits()
    readers = TwoReaders(loss, weight=0.5, num_zones=ZONES)
    assert torch.equal(readers(logits, FIRST), loss(logits, FIRST))


@pytest.mark.parametrize("second", [SECOND[:1].expand(3, -1), SECOND[1:2].expand(3, -1)])
def test_all_or_none_read_twice_gives_finite_gradients(second: Tensor) -> None:
    readers = TwoReaders(loss, weight=0.5, num_zones=ZONES)
    logits = make_logits().requires_grad_()
    readers(logits, torch.stack([FIRST, second], 1)).backward()
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()


def test_a_second_reader_who_grades_lower_is_learnt_as_an_offset_not_as_a_grade() -> None:
    """500 scores; the second reader's thresholds lie 1.5 higher: the offset finds -1.5."""
    generator = torch.Generator().manual_seed(1)
    scores = 2 * torch.randn(500, generator=generator)
    thresholds = torch.tensor([-1.0, 0.5, 2.0])

    def read(shift: float) -> Tensor:
        noise = torch.rand(500, generator=generator)
        heard = scores + torch.log(noise / (1 - noise))  # logistic: the cumulative link
        return (heard[:, None] > thresholds + shift).sum(dim=1).float()

    targets = torch.stack([read(0.0), read(1.5)], dim=1)[..., None]
    logits = torch.cat([scores[:, None] - thresholds, torch.full((500, 1), -9.0)], dim=1)[:, None]
    readers = TwoReaders(loss, weight=0.5, num_zones=1)
    optimizer = torch.optim.Adam(readers.parameters(), lr=0.05)
    for _ in range(300):
        optimizer.zero_grad()
        readers(logits, targets).backward()
        optimizer.step()
    found = readers.shift(torch.zeros(1, 1, 4))[0, 0, :3]
    torch.testing.assert_close(found, torch.full((3,), -1.5), atol=0.35, rtol=0)
