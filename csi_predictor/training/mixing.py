"""Mixup and cutmix: pairs of images of a batch become one, and their answers with them."""

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from csi_predictor.losses.multiclass import class_probabilities
from csi_predictor.specs import Task

_MIXING_STREAM = (1,)
"""Keeps the draws apart from those of the order and of an image, seeded with numbers alike."""


def mixing_generator(seed: int, step: int, batch: int = 0) -> np.random.Generator:
    """All randomness of one batch's mixing: of these numbers alone, so that resuming is exact.

    Args:
        seed: Of the training.
        step: Of the optimizer, counted over all epochs.
        batch: Index among the batches that the step accumulates.
    """
    sequence = np.random.SeedSequence((seed, step, batch), spawn_key=_MIXING_STREAM)
    return np.random.default_rng(sequence)


@dataclass(frozen=True, kw_only=True)
class Mixing:
    """Makes one image of each two neighbours of a batch; the batch's order is random already.

    Where both kinds have an alpha, each batch gets one of them, with equal chance.

    Attributes:
        task: `multiclass` or `multilabel`.
        num_classes: K of `multiclass`; another task has none.
        mixup_alpha: Both parameters of the beta distribution from which the share is drawn;
            0 = no mixup (Zhang et al. 2018, arXiv:1710.09412).
        cutmix_alpha: The same; 0 = no cutmix (Yun et al. 2019, arXiv:1905.04899).

    Raises:
        ValueError: Nothing to mix, an alpha below 0, or a task whose answers can't be mixed.
    """

    task: Task
    num_classes: int = 0
    mixup_alpha: float = 0.0
    cutmix_alpha: float = 0.0

    def __post_init__(self) -> None:
        if self.task not in ("multiclass", "multilabel"):
            raise ValueError(
                f"task = {self.task}: expected multiclass or multilabel, whose answers can be mixed"
            )
        if (
            min(self.mixup_alpha, self.cutmix_alpha) < 0
            or self.mixup_alpha == self.cutmix_alpha == 0
        ):
            raise ValueError(
                f"mixup_alpha = {self.mixup_alpha:g} and cutmix_alpha = {self.cutmix_alpha:g}: "
                "expected none below 0 and one above"
            )

    def mix(
        self, pixels: Tensor, targets: Tensor, rng: np.random.Generator
    ) -> tuple[Tensor, Tensor]:
        """The mixed images and their answers; the arguments stay as they are.

        Args:
            pixels: (B, C, H, W) or (B, C, D, H, W).
            targets: (B, 1) index of the class, or (B, L) in [0, 1]; NaN = unknown.
            rng: Gives all randomness.

        Returns:
            The pixels in their shape; (B, K) probabilities, a row of NaN where either image's
            class is unknown, or (B, L), NaN where the label of either is unknown.
        """
        soft = self._soft(targets)
        is_mixup = rng.random() < self._mixup_chance
        if is_mixup:
            share = rng.beta(self.mixup_alpha, self.mixup_alpha)
            pixels = share * pixels + (1 - share) * pixels.roll(1, dims=0)
        else:
            share = rng.beta(self.cutmix_alpha, self.cutmix_alpha)
            pixels, share = _cut(pixels, share, rng)
        if share == 1:  # an unknown answer of the neighbour would hide a known one
            return pixels, soft
        return pixels, share * soft + (1 - share) * soft.roll(1, dims=0)

    @property
    def _mixup_chance(self) -> float:
        if self.mixup_alpha > 0 and self.cutmix_alpha > 0:
            return 0.5
        return float(self.mixup_alpha > 0)

    def _soft(self, targets: Tensor) -> Tensor:
        if self.task == "multilabel":
            return targets
        is_known, probs = class_probabilities(targets, self.num_classes)
        return probs.masked_fill(~is_known[:, None], float("nan"))


def _cut(pixels: Tensor, share: float, rng: np.random.Generator) -> tuple[Tensor, float]:
    """Each image with a box of its neighbour, and the share of itself that is left.

    The box has the image's proportions and, before it is cut at the border, 1 - share of its area
    or volume; its centre may lie anywhere. Source: Yun et al. 2019, equation 2 and algorithm A1.
    """
    extent = pixels.shape[2:]
    edge = (1 - share) ** (1 / len(extent))
    box = [slice(None), slice(None)]  # all images and channels
    for length in extent:
        centre, half = int(rng.integers(length)), int(0.5 * edge * length)
        box.append(slice(max(centre - half, 0), min(centre + half, length)))
    mixed = pixels.clone()
    mixed[tuple(box)] = pixels.roll(1, dims=0)[tuple(box)]
    taken = mixed[tuple(box)][0, 0].numel() / mixed[0, 0].numel()
    return mixed, 1 - taken
