"""An epoch's figures of labels and classes, against scikit-learn."""

from dataclasses import dataclass
from functools import partial

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, roc_auc_score
from torch import Tensor, nn
from torch.nn import functional as F

from csi_predictor.losses import multilabel
from csi_predictor.specs import TargetSpec
from csi_predictor.training.validation import make_label_validation

CPU = torch.device("cpu")


@dataclass
class Batch:
    pixels: Tensor
    targets: Tensor
    indices: Tensor


@dataclass
class Output:
    logits: Tensor


class Same(nn.Module):
    """Its logits are the pixels."""

    def forward(self, pixels: Tensor) -> Output:
        return Output(pixels)


def batches_of(logits: Tensor, targets: Tensor, size: int = 7) -> list[Batch]:
    rows = torch.arange(len(logits)).split(size)
    return [Batch(logits[index], targets[index], index) for index in rows]


def test_figures_of_labels_are_scikit_learns_over_the_known_answers__weakness_004_07() -> None:
    rng = np.random.default_rng(1)
    logits = rng.normal(size=(40, 3)).astype(np.float32)
    truth = (rng.random((40, 3)) < 0.4).astype(np.float32)
    truth[::5, 1] = np.nan
    truth[:, 2] = 0  # never positive, so without an area
    spec = TargetSpec(task="multilabel", names=("a", "b", "c"), num_classes=2)
    loss = multilabel.binary_cross_entropy
    batches = batches_of(torch.from_numpy(logits), torch.from_numpy(truth))
    found = make_label_validation(batches, loss, targets=spec, device=CPU)(Same())
    areas = []
    for label in range(2):
        is_known = np.isfinite(truth[:, label])
        areas.append(roc_auc_score(truth[is_known, label], logits[is_known, label]))
    assert found["val_auroc_macro"] == pytest.approx(np.mean(areas), abs=1e-9)
    is_known = np.isfinite(truth)
    called = logits[is_known] >= 0  # a probability of at least one half
    assert found["val_accuracy"] == pytest.approx(accuracy_score(truth[is_known] == 1, called))
    expected = F.binary_cross_entropy_with_logits(
        torch.from_numpy(logits)[torch.from_numpy(is_known)],
        torch.from_numpy(truth)[torch.from_numpy(is_known)],
    )
    # an unknown answer adds nothing to the sum over all answers
    assert found["val_loss"] == pytest.approx(float(expected) * is_known.mean(), abs=1e-6)


def test_figures_of_classes_are_scikit_learns() -> None:
    rng = np.random.default_rng(2)
    logits = rng.normal(size=(50, 4)).astype(np.float32) * 2
    truth = rng.integers(0, 4, 50)
    spec = TargetSpec(task="multiclass", names=("a", "b", "c", "d"), num_classes=4)
    targets = torch.from_numpy(truth[:, None].astype(np.float32))

    def loss(values: Tensor, classes: Tensor) -> Tensor:
        return F.cross_entropy(values, classes[:, 0].long())

    batches = batches_of(torch.from_numpy(logits), targets)
    found = make_label_validation(batches, loss, targets=spec, device=CPU)(Same())
    probs = torch.from_numpy(logits).double().softmax(dim=1).numpy()
    area = roc_auc_score(truth, probs, multi_class="ovr", average="macro")
    assert found["val_auroc_macro"] == pytest.approx(area, abs=1e-9)
    assert found["val_accuracy"] == pytest.approx(accuracy_score(truth, probs.argmax(axis=1)))
    assert found["val_loss"] == pytest.approx(
        float(F.cross_entropy(torch.from_numpy(logits), torch.from_numpy(truth))), abs=1e-6
    )


def test_a_row_of_unknown_class_counts_nowhere() -> None:
    logits = torch.tensor([[2.0, 0.0], [0.0, 2.0], [5.0, 0.0]])
    targets = torch.tensor([[0.0], [0.0], [float("nan")]])
    spec = TargetSpec(task="multiclass", names=("a", "b"), num_classes=2)
    loss = partial(torch.Tensor.new_zeros, size=())
    validate = make_label_validation(
        batches_of(logits, targets), lambda values, _: loss(values), targets=spec, device=CPU
    )
    found = validate(Same())
    assert found["val_accuracy"] == 0.5  # one of the two known
    assert np.isnan(found["val_auroc_macro"])  # all known ones are of one class


def test_the_figures_of_a_set_do_not_depend_on_its_batches() -> None:
    generator = torch.Generator().manual_seed(4)
    logits = torch.randn(21, 2, generator=generator)
    targets = (torch.rand(21, 2, generator=generator) < 0.5).float()
    spec = TargetSpec(task="multilabel", names=("a", "b"), num_classes=2)
    found = [
        make_label_validation(
            batches_of(logits, targets, size),
            multilabel.binary_cross_entropy,
            targets=spec,
            device=CPU,
        )(Same())
        for size in (2, 21)
    ]
    assert found[0] == pytest.approx(found[1])
