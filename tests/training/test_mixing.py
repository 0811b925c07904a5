"""Mixup and cutmix, against torchvision's, given the same draws."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F
from torchvision.transforms import v2

from csi_predictor.training.mixing import Mixing, mixing_generator

NAN = float("nan")
MIXUP = Mixing(task="multiclass", num_classes=3, mixup_alpha=0.4)
CUTMIX = Mixing(task="multiclass", num_classes=3, cutmix_alpha=1.0)
CLASSES = torch.tensor([[0.0], [2.0], [1.0], [2.0]])


def pictures(*extent: int) -> torch.Tensor:
    return torch.rand(4, 2, *(extent or (9, 14)), generator=torch.Generator().manual_seed(0))


class Drawn(np.random.Generator):
    """A generator whose share and box centre are given."""

    def __init__(self, share: float, *centre: int) -> None:
        super().__init__(np.random.PCG64(0))
        self._share, self._centre = share, list(centre)

    def beta(self, a: float, b: float) -> float:  # type: ignore[override]
        return self._share

    def integers(self, low: int) -> int:  # type: ignore[override]
        return self._centre.pop(0)


@pytest.mark.parametrize("share", [0.2, 0.73])
def test_mixup_is_torchvisions(share: float) -> None:
    theirs = v2.MixUp(num_classes=3)
    theirs.make_params = lambda flat: {"lam": share}
    expected = theirs(pictures(), CLASSES[:, 0].long())
    found = MIXUP.mix(pictures(), CLASSES, Drawn(share))
    torch.testing.assert_close(found[0], expected[0])
    torch.testing.assert_close(found[1], expected[1])


@pytest.mark.parametrize("seed", range(8))
def test_cutmix_is_torchvisions(seed: int) -> None:
    theirs = v2.CutMix(num_classes=3)
    torch.manual_seed(seed)
    expected = theirs(pictures(), CLASSES[:, 0].long())
    torch.manual_seed(seed)
    share = float(theirs._dist.sample(()))
    column, row = (int(torch.randint(length, (1,))) for length in (14, 9))  # in their order
    found = CUTMIX.mix(pictures(), CLASSES, Drawn(share, row, column))
    assert torch.equal(found[0], expected[0])
    torch.testing.assert_close(found[1], expected[1])


def test_a_volumes_box_takes_the_share_of_its_volume() -> None:
    # 1 - share = 1/8, so half of each edge: 4 x 6 x 8 of 8 x 12 x 16 around the middle
    volumes = pictures(8, 12, 16)
    mixed, classes = CUTMIX.mix(volumes, CLASSES, Drawn(7 / 8, 4, 6, 8))
    is_taken = (mixed != volumes).all(dim=1)
    assert is_taken[:, 2:6, 3:9, 4:12].all()
    assert int(is_taken[0].sum()) == 4 * 6 * 8
    assert torch.equal(mixed[1, :, 2:6, 3:9, 4:12], volumes[0, :, 2:6, 3:9, 4:12])
    torch.testing.assert_close(classes[1], torch.tensor([1 / 8, 0, 7 / 8]))


def test_a_box_at_the_border_counts_with_what_is_left_of_it() -> None:
    # share 3/4: half of each edge, 5 x 6 around the corner (0, 0), of which 2 x 3 lies inside
    images = pictures(10, 12)
    mixed, classes = CUTMIX.mix(images, CLASSES, Drawn(0.75, 0, 0))
    assert torch.equal(mixed[1, :, :2, :3], images[0, :, :2, :3])
    assert int((mixed != images)[0, 0].sum()) == 6
    torch.testing.assert_close(classes[1], torch.tensor([6 / 120, 0, 114 / 120]))


def test_an_unknown_label_of_either_image_stays_unknown() -> None:
    labels = torch.tensor([[1.0, NAN], [0.0, 1.0], [NAN, 0.0], [0.0, 0.0]])
    mixing = Mixing(task="multilabel", mixup_alpha=1.0)
    _, found = mixing.mix(pictures(), labels, Drawn(0.75))
    expected = torch.tensor([[0.75, NAN], [0.25, NAN], [NAN, 0.25], [NAN, 0.0]])
    torch.testing.assert_close(found, expected, equal_nan=True)


def test_an_unknown_class_of_either_image_is_a_row_of_nan() -> None:
    classes = torch.tensor([[0.0], [NAN], [1.0], [2.0]])
    _, found = MIXUP.mix(pictures(), classes, Drawn(0.5))
    assert found.isnan().all(dim=1).tolist() == [False, True, True, False]
    torch.testing.assert_close(found[3], torch.tensor([0, 0.5, 0.5]))


def test_an_image_left_whole_keeps_its_own_answers() -> None:
    labels = torch.tensor([[1.0], [NAN], [0.0], [1.0]])
    mixing = Mixing(task="multilabel", cutmix_alpha=0.2)
    images, found = mixing.mix(pictures(), labels, Drawn(0.9999, 3, 3))  # the box has no pixel
    assert torch.equal(images, pictures())
    torch.testing.assert_close(found, labels, equal_nan=True)


def test_with_both_alphas_each_batch_gets_one_kind_about_as_often() -> None:
    mixing = replace(MIXUP, cutmix_alpha=1.0)
    own = torch.zeros(2, 1, 6, 6)
    own[1] = 1
    is_mixup = [
        bool(((mixed > 0) & (mixed < 1)).any())
        for step in range(60)
        for mixed, _ in [mixing.mix(own, CLASSES[:2], mixing_generator(0, step))]
    ]
    assert 20 <= sum(is_mixup) <= 40


def test_the_arguments_stay_as_they_are() -> None:
    for mixing in (MIXUP, CUTMIX):
        images, classes = pictures(), CLASSES.clone()
        mixing.mix(images, classes, mixing_generator(1, 1))
        assert torch.equal(images, pictures())
        assert torch.equal(classes, CLASSES)


def test_a_step_is_mixed_alike_after_a_resume_and_others_are_not() -> None:
    def mixed(*position: int) -> torch.Tensor:
        return MIXUP.mix(pictures(), CLASSES, mixing_generator(*position))[0]

    for step in range(5):  # what ran before doesn't count
        mixed(7, step)
    np.random.default_rng().random()
    first = mixed(7, 3, 1)
    assert torch.equal(first, mixed(7, 3, 1))
    for other in ((8, 3, 1), (7, 4, 1), (7, 3, 2)):
        assert not torch.equal(first, mixed(*other))


def test_the_draws_are_not_those_of_the_images_or_the_order() -> None:
    own = mixing_generator(0, 2, 0).random()
    order, image = np.random.default_rng((0, 2)), np.random.default_rng((0, 2, 0))
    assert own not in (order.random(), image.random(), image.spawn(1)[0].random())


def test_mixed_classes_are_what_the_loss_takes() -> None:
    _, classes = MIXUP.mix(pictures(), CLASSES, Drawn(0.6))
    torch.testing.assert_close(classes.sum(dim=1), torch.ones(4))
    torch.testing.assert_close(
        classes[0], 0.6 * F.one_hot(torch.tensor(0), 3) + 0.4 * F.one_hot(torch.tensor(2), 3)
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"task": "multilabel"}, "mixup_alpha = 0 and cutmix_alpha = 0: expected none below 0"),
        (
            {"task": "multilabel", "mixup_alpha": 1, "cutmix_alpha": -1},
            "none below 0 and one above",
        ),
        ({"task": "csi", "mixup_alpha": 1}, "task = csi: expected multiclass or multilabel"),
    ],
)
def test_what_cant_be_mixed_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Mixing(**arguments)
