"""One optimizer step."""

from dataclasses import dataclass

import pytest
import torch
from loguru import logger
from torch import Tensor, nn
from torch.nn import functional as F

from csi_predictor.errors import TrainingError
from csi_predictor.runtime import Compute
from csi_predictor.training.learner import Learner, LossFunction, NonFiniteLossError
from csi_predictor.training.mixing import Mixing
from csi_predictor.training.schedule import Schedule

CPU = Compute(torch.device("cpu"), torch.float32)


@dataclass
class Output:
    logits: Tensor


class TinyModel(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(3, 4)
        self.dropout = nn.Dropout(0.0)
        self.last = nn.Linear(4, 2)

    def forward(self, pixels: Tensor) -> Output:
        return Output(self.last(self.dropout(F.relu(self.first(pixels)))))


@dataclass
class Batch:
    pixels: Tensor
    targets: Tensor
    indices: Tensor


def make_batch(count: int, seed: int = 0) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randn(count, 3, generator=generator)
    return Batch(pixels, torch.randn(count, 2, generator=generator), torch.arange(count))


def make_learner(*, gradient_clip: float = 0.0, ema_decay: float = 0.0) -> Learner:
    torch.manual_seed(0)
    model = TinyModel()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    schedule = Schedule(optimizer, total_steps=10, warmup_steps=0, shape="none")
    return Learner(
        model,
        F.mse_loss,
        optimizer=optimizer,
        schedule=schedule,
        compute=CPU,
        gradient_clip=gradient_clip,
        ema_decay=ema_decay,
    )


def test_a_step_is_sgd_by_hand() -> None:
    learner, batch = make_learner(), make_batch(5)
    reference = TinyModel()
    reference.load_state_dict(learner.model.state_dict())
    loss = F.mse_loss(reference(batch.pixels).logits, batch.targets)
    loss.backward()
    assert learner.step([batch], 0) == pytest.approx(loss.item())
    for ours, theirs in zip(learner.model.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs - 0.1 * theirs.grad)


def test_accumulation_equals_the_big_batch_also_with_a_smaller_last_part() -> None:
    whole = make_batch(7)
    parts = [
        Batch(whole.pixels[s], whole.targets[s], whole.indices[s])
        for s in (slice(0, 3), slice(3, 6), slice(6, 7))
    ]
    big, accumulated = make_learner(), make_learner()
    assert big.step([whole], 0) == pytest.approx(accumulated.step(parts, 0))
    for one, other in zip(big.model.parameters(), accumulated.model.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-7)


def test_clipping_bounds_the_update() -> None:
    learner = make_learner(gradient_clip=1e-3)
    before = [p.detach().clone() for p in learner.model.parameters()]
    learner.step([make_batch(5)], 0)
    moved = torch.cat(
        [(b - a).flatten() for b, a in zip(before, learner.model.parameters(), strict=True)]
    )
    assert moved.norm().item() == pytest.approx(0.1 * 1e-3, rel=1e-3)


def test_a_loss_that_is_not_finite_changes_nothing_and_names_its_rows() -> None:
    learner, batch = make_learner(), make_batch(3)
    batch.targets[1] = float("inf")
    before = learner.model.first.weight.detach().clone()
    with pytest.raises(NonFiniteLossError, match=r"rows \[0, 1, 2\] is not a finite number"):
        learner.step([batch], 0)
    assert torch.equal(before, learner.model.first.weight)


def test_out_of_memory_names_the_keys_to_change() -> None:
    text = r"lower \[TRAINING\] BATCH_SIZE and raise ACCUMULATION_STEPS by the same factor"
    allocator = RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried 1 bytes")
    for error in (allocator, torch.OutOfMemoryError("CUDA out of memory")):
        with pytest.raises(TrainingError, match=text):
            failing(error).step([make_batch(2)], 0)
    with pytest.raises(RuntimeError, match="another fault"):
        failing(RuntimeError("another fault")).step([make_batch(2)], 0)


def failing(error: Exception) -> Learner:
    def loss(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        raise error

    learner = make_learner()
    learner.loss = loss
    return learner


def test_a_step_in_halves_has_the_whole_batchs_gradient() -> None:
    batch = make_batch(6)
    whole, halved = make_learner(), make_learner()
    halved._may_split_batches = True
    halved.loss = too_large_above(2, halved.loss)
    assert whole.step([batch], 0) == pytest.approx(halved.step([batch], 0), abs=1e-6)
    for mine, other in zip(whole.model.parameters(), halved.model.parameters(), strict=True):
        torch.testing.assert_close(mine, other)


def too_large_above(largest: int, loss: LossFunction) -> LossFunction:
    def limited(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        if len(logits) > largest:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return loss(logits, targets)

    return limited


def test_averaged_weights_lag_behind_and_are_the_ones_evaluated() -> None:
    learner = make_learner(ema_decay=0.9)
    for step in range(3):
        learner.step([make_batch(5, seed=step)], step)
    averaged = learner.evaluated_model.state_dict()["first.weight"]
    assert not torch.equal(averaged, learner.model.first.weight)
    assert learner.evaluated_model is not learner.model


def test_a_restored_learner_goes_on_to_equal_bits() -> None:
    whole, part = make_learner(ema_decay=0.9), make_learner(ema_decay=0.9)
    for step in range(2):
        whole.step([make_batch(5, seed=step)], step)
        part.step([make_batch(5, seed=step)], step)
    fresh = make_learner(ema_decay=0.9)
    fresh.load_state_dict(part.state_dict())
    whole.step([make_batch(5, seed=2)], 2)
    fresh.step([make_batch(5, seed=2)], 2)
    for name, value in whole.state_dict()["ema"].items():
        assert torch.equal(value, fresh.state_dict()["ema"][name])
    for one, other in zip(whole.model.parameters(), fresh.model.parameters(), strict=True):
        assert torch.equal(one, other)


class ShiftedError(nn.Module):
    """A loss with a parameter of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(2))

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        return F.mse_loss(logits + self.shift, targets)


def test_what_a_loss_learns_itself_is_saved_and_goes_on_to_equal_bits() -> None:
    def make() -> tuple[Learner, ShiftedError]:
        torch.manual_seed(0)
        model, loss = TinyModel(), ShiftedError()
        optimizer = torch.optim.AdamW([*model.parameters(), *loss.parameters()], lr=0.1)
        schedule = Schedule(optimizer, total_steps=10, warmup_steps=0, shape="none")
        learner = Learner(
            model, loss, optimizer=optimizer, schedule=schedule, compute=CPU, gradient_clip=1.0
        )
        return learner, loss

    whole, whole_loss = make()
    for step in range(4):
        whole.step([make_batch(5, seed=step)], step)
    part, part_loss = make()
    for step in range(2):
        part.step([make_batch(5, seed=step)], step)
    assert part_loss.shift.abs().min() > 0
    fresh, fresh_loss = make()
    fresh.load_state_dict(part.state_dict())
    for step in range(2, 4):
        fresh.step([make_batch(5, seed=step)], step)
    assert torch.equal(fresh_loss.shift, whole_loss.shift)
    for ours, theirs in zip(fresh.model.parameters(), whole.model.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_one_image_that_does_not_fit_is_the_end_of_halving() -> None:
    learner = make_learner()
    learner._may_split_batches = True
    learner.loss = too_large_above(0, learner.loss)
    before = [parameter.detach().clone() for parameter in learner.model.parameters()]
    text = r"lower \[TRAINING\] BATCH_SIZE .*MICRO_BATCHING = true .*or lower IMAGE_SIZE"
    with pytest.raises(TrainingError, match=text):
        learner.step([make_batch(6)], 0)
    for one, other in zip(before, learner.model.parameters(), strict=True):
        assert torch.equal(one, other)


def test_without_leave_a_step_is_not_halved() -> None:
    learner = make_learner()
    learner.loss = too_large_above(2, learner.loss)
    with pytest.raises(TrainingError, match="MICRO_BATCHING = true"):
        learner.step([make_batch(6)], 0)


def test_halving_is_told_once_and_kept_for_the_next_step() -> None:
    lines: list[str] = []
    sink = logger.add(lines.append, format="{message}", level="WARNING")
    learner = make_learner()
    learner._may_split_batches = True
    passes: list[int] = []
    limited = too_large_above(2, learner.loss)

    def noted(logits: Tensor, targets: Tensor) -> Tensor:
        passes.append(len(logits))
        return limited(logits, targets)

    learner.loss = noted
    learner.step([make_batch(6)], 0)
    assert passes == [6, 3, 1, 1, 1, 1, 1, 1]
    passes.clear()
    learner.step([make_batch(6, seed=1)], 1)
    assert passes == [1] * 6
    logger.remove(sink)
    assert [line.partition(":")[2].partition(";")[0] for line in lines] == [
        " going on with 3",
        " going on with 1",
    ]


def test_a_mixed_step_in_halves_is_the_mixed_whole_step() -> None:
    results = []
    for largest in (6, 2):
        learner = make_mixing_learner()
        learner._may_split_batches = True
        learner.loss = too_large_above(largest, learner.loss)
        results.append((learner.step([mixing_batch()], 3), [*learner.model.parameters()]))
    assert results[0][0] == pytest.approx(results[1][0], abs=1e-6)
    for one, other in zip(results[0][1], results[1][1], strict=True):
        torch.testing.assert_close(one, other)


def test_a_resumed_training_mixes_as_the_whole_one() -> None:
    whole, part = make_mixing_learner(), make_mixing_learner()
    for step in range(4):
        whole.step([mixing_batch(step)], step)
    for step in range(2):
        part.step([mixing_batch(step)], step)
    resumed = make_mixing_learner()
    resumed.load_state_dict(part.state_dict())
    for step in range(2, 4):
        resumed.step([mixing_batch(step)], step)
    for one, other in zip(whole.model.parameters(), resumed.model.parameters(), strict=True):
        assert torch.equal(one, other)


def test_batches_of_one_step_are_mixed_each_in_its_own_way() -> None:
    seen: list[Tensor] = []
    learner = make_mixing_learner()
    loss = learner.loss

    def noted(logits: Tensor, targets: Tensor) -> Tensor:
        seen.append(targets)
        return loss(logits, targets)

    learner.loss = noted
    learner.step([mixing_batch(), mixing_batch()], 0)
    assert not torch.equal(*seen)


def make_mixing_learner() -> Learner:
    learner = make_learner()
    learner.loss = F.binary_cross_entropy_with_logits
    learner._mixing = Mixing(task="multilabel", mixup_alpha=1.0)
    learner._seed = 5
    return learner


def mixing_batch(seed: int = 0) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randn(6, 3, generator=generator)
    targets = (torch.rand(6, 2, generator=generator) < 0.5).float()
    return Batch(pixels, targets, torch.arange(6))
