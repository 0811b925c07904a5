"""The learning rate, step by step, against torch's own schedules."""

import pytest
import torch
from torch.optim import SGD
from torch.optim.lr_scheduler import (
    CosineAnnealingLR,
    MultiStepLR,
    OneCycleLR,
    ReduceLROnPlateau,
)

from csi_predictor.training.schedule import Schedule, lr_factor


def optimizer(lr: float = 0.4) -> SGD:
    return SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr)


def rates(shape: str, steps: int, warmup: int = 0) -> list[float]:
    return [
        lr_factor(step, total_steps=steps, warmup_steps=warmup, shape=shape)  # type: ignore[arg-type]
        for step in range(steps)
    ]


def torch_rates(
    reference: SGD, scheduler: torch.optim.lr_scheduler.LRScheduler, steps: int
) -> list[float]:
    found = []
    for _ in range(steps):
        found.append(reference.param_groups[0]["lr"])
        reference.step()
        scheduler.step()
    return found


def test_cosine_is_torchs_cosine_annealing() -> None:
    reference = optimizer(1.0)
    expected = torch_rates(reference, CosineAnnealingLR(reference, T_max=17), 17)
    assert rates("cosine", 17) == pytest.approx(expected)


def test_onecycle_is_torchs_one_cycle() -> None:
    reference = optimizer(1.0)
    scheduler = OneCycleLR(reference, max_lr=1.0, total_steps=41, cycle_momentum=False)
    expected = torch_rates(reference, scheduler, 40)
    assert rates("onecycle", 41)[:40] == pytest.approx(expected)


def test_warm_up_rises_linearly_to_the_full_rate() -> None:
    assert rates("none", 6, warmup=3) == pytest.approx([0.25, 0.5, 0.75, 1, 1, 1])
    assert rates("cosine", 10, warmup=4)[4] == pytest.approx(1.0)


def test_plateau_halves_after_the_sixth_epoch_without_improvement_as_torchs_does() -> None:
    ours = optimizer()
    schedule = Schedule(ours, total_steps=100, warmup_steps=0, shape="plateau")
    reference = optimizer()
    torchs = ReduceLROnPlateau(reference, factor=0.5, patience=5, threshold=0)
    best = float("inf")
    for epoch, value in enumerate([3.0, 2.0] + [2.5] * 14):
        schedule.set_step(epoch)
        assert ours.param_groups[0]["lr"] == pytest.approx(reference.param_groups[0]["lr"])
        schedule.end_epoch(value < best)
        best = min(best, value)
        torchs.step(value)
    assert reference.param_groups[0]["lr"] == pytest.approx(0.1)


def test_each_group_keeps_its_own_base_rate() -> None:
    parameters = [torch.nn.Parameter(torch.zeros(1)) for _ in range(2)]
    two = SGD([{"params": [parameters[0]], "lr": 1.0}, {"params": [parameters[1]], "lr": 0.1}])
    schedule = Schedule(two, total_steps=10, warmup_steps=0, shape="cosine")
    schedule.set_step(5)
    assert [group["lr"] for group in two.param_groups] == pytest.approx([0.5, 0.05])


def test_setting_a_step_twice_changes_nothing() -> None:
    ours = optimizer()
    schedule = Schedule(ours, total_steps=10, warmup_steps=2, shape="cosine")
    schedule.set_step(6)
    first = ours.param_groups[0]["lr"]
    schedule.set_step(6)
    assert ours.param_groups[0]["lr"] == first


@pytest.mark.parametrize("milestones", [[5], [3, 9], [9, 3, 3]])
def test_multistep_is_torchs_multi_step(milestones: list[int]) -> None:
    reference = optimizer()
    scheduler = MultiStepLR(reference, milestones=sorted(milestones), gamma=0.3)
    expected = torch_rates(reference, scheduler, 12)
    ours = optimizer()
    schedule = Schedule(
        ours,
        total_steps=12,
        warmup_steps=0,
        shape="multistep",
        milestones=milestones,
        gamma=0.3,
    )
    found = []
    for step in range(12):
        schedule.set_step(step)
        found.append(ours.param_groups[0]["lr"])
    assert found == pytest.approx(expected)


def test_multistep_rises_first_and_goes_on_alike_from_any_step() -> None:
    def schedule(reference: SGD) -> Schedule:
        return Schedule(
            reference, total_steps=9, warmup_steps=3, shape="multistep", milestones=(2, 6)
        )

    found = []
    for step in range(9):  # a new schedule a step, as after a resume
        ours = optimizer(1.0)
        schedule(ours).set_step(step)
        found.append(ours.param_groups[0]["lr"])
    assert found == pytest.approx([0.25, 0.5, 0.75, 0.1, 0.1, 0.1, 0.01, 0.01, 0.01])
    assert schedule(optimizer()).state_dict() == {"plateau_factor": 1.0, "worse_epochs": 0}


def test_multistep_without_a_milestone_is_refused() -> None:
    with pytest.raises(ValueError, match="shape = multistep without milestones: expected one step"):
        Schedule(optimizer(), total_steps=9, warmup_steps=0, shape="multistep")
