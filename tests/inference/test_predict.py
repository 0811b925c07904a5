"""The predict loop with zones, labels and classes: mean of probabilities, by hand."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from scipy.special import expit, softmax
from torch import Tensor, nn

from csi_predictor.inference.predict import mean_label_probabilities, predict_logits, run_models

CPU = torch.device("cpu")


@dataclass
class Output:
    logits: Tensor


@dataclass
class Batch:
    pixels: Tensor
    targets: Tensor
    indices: Tensor


class Sided(nn.Module):
    """K logits: how bright the left column of the picture is, and the right one; times a factor."""

    def __init__(self, factor: float = 1.0) -> None:
        super().__init__()
        self.factor = factor
        self.norm = nn.BatchNorm2d(1)

    def forward(self, pixels: Tensor) -> Output:
        columns = self.norm(pixels)[:, 0].mean(dim=1)  # (B, 1, H, W) -> (B, W)
        return Output(self.factor * columns[:, [0, -1]])


class SixZones(nn.Module):
    """A zone's one logit is its own number."""

    def forward(self, pixels: Tensor) -> Output:
        return Output(torch.arange(6.0).reshape(1, 6, 1).expand(len(pixels), 6, 4))


PIXELS = torch.tensor([[[[4.0, 0.0, 1.0]] * 2], [[[0.0, 9.0, 2.0]] * 2]])  # (2, 1, 2, 3)
NORM = (1 + 1e-5) ** -0.5  # of a fresh BatchNorm in evaluation mode


def test_labels_are_not_moved_in_the_mirrored_look() -> None:
    found = run_models([Sided().train()], PIXELS, device=CPU, test_time="mirror", task="multilabel")
    expected = NORM * torch.tensor([[[4.0, 1.0], [0.0, 2.0]], [[1.0, 4.0], [2.0, 0.0]]])
    torch.testing.assert_close(found, expected)


def test_zones_change_sides_in_the_mirrored_look() -> None:
    found = run_models([SixZones()], PIXELS, device=CPU, test_time="mirror")
    assert found[0, 0, :, 0].tolist() == [0, 1, 2, 3, 4, 5]
    assert found[1, 0, :, 0].tolist() == [1, 0, 3, 2, 5, 4]


@pytest.mark.parametrize("task", ["multilabel", "multiclass"])
def test_the_answer_is_the_mean_of_both_looks_of_each_network(task: str) -> None:
    models = [Sided(1.0), Sided(-0.5)]
    values = run_models(models, PIXELS, device=CPU, test_time="mirror", task=task)  # type: ignore[arg-type]
    found = mean_label_probabilities(values, task=task).numpy()  # type: ignore[arg-type]
    looks = NORM * np.array([[[4.0, 1.0], [0.0, 2.0]], [[1.0, 4.0], [2.0, 0.0]]])
    every = [factor * look for factor in (1.0, -0.5) for look in looks]
    link = expit if task == "multilabel" else lambda logits: softmax(logits, axis=1)
    expected = np.mean([link(each) for each in every], axis=0)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_probabilities_of_another_task_are_refused() -> None:
    with pytest.raises(ValueError, match="task csi: expected multiclass or multilabel"):
        mean_label_probabilities(torch.zeros(1, 2, 3), task="csi")


def test_many_batches_keep_their_targets_and_rows_and_leave_the_mode() -> None:
    model = Sided().train()
    batches = [
        Batch(PIXELS[[row]], torch.tensor([[float("nan"), row]]), torch.tensor([row + 5]))
        for row in range(2)
    ]
    found = predict_logits([model], batches, device=CPU, task="multilabel")
    assert found.values.shape == (1, 2, 2)
    assert found.indices.tolist() == [5, 6]
    assert torch.isnan(found.targets[:, 0]).all()
    assert found.targets[:, 1].tolist() == [0, 1]
    assert model.training
    assert model.norm.training
    assert model.norm.num_batches_tracked == 0  # no statistics were moved
