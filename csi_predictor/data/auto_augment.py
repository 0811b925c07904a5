"""The published augmentation policies, torchvision's, made a function of a seed."""

from functools import cache
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

Floats = NDArray[np.float32]
Policy = Literal["none", "randaugment", "autoaugment"]
"""`randaugment` (Cubuk et al. 2019, arXiv:1909.13719) draws operations of one strength from 14;
`autoaugment` (Cubuk et al. 2018, arXiv:1805.09501) draws one of the 25 pairs found for ImageNet,
among them turning black to white. Neither flips; rotations stay below 31 degrees."""

MAX_MAGNITUDE = 30


def apply_policy(
    pixels: Floats, policy: Policy, *, num_ops: int, magnitude: int, seed: int
) -> Floats:
    """A picture changed by a policy: the same for the same seed, in any process.

    The picture is rounded to 256 levels, on which the policies are defined. What comes in from
    outside is black. The operations on colour leave a grey picture as it is.

    Args:
        pixels: (H, W) grey or (3, H, W) colour in [0, 1].
        policy: Which.
        num_ops: Of `randaugment`: operations on each picture.
        magnitude: Of `randaugment`: their strength, 0 to 30.
        seed: Of the draws.

    Returns:
        The picture in its shape, in [0, 1].

    Raises:
        ValueError: `magnitude` is outside its range, or `num_ops` below 0.
    """
    if num_ops < 0 or not 0 <= magnitude <= MAX_MAGNITUDE:
        raise ValueError(
            f"num_ops = {num_ops} and magnitude = {magnitude}: expected at least 0, and 0 to "
            f"{MAX_MAGNITUDE}"
        )
    levels = torch.from_numpy(np.rint(pixels * 255).astype(np.uint8))
    planes = levels[None] if levels.ndim == 2 else levels  # (1, H, W) or (3, H, W)
    # devices=[] and the CPU's generator alone: torch.manual_seed would seed every GPU's too
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        changed: Tensor = _transform(policy, num_ops, magnitude)(planes)
    return changed.reshape(levels.shape).numpy().astype(np.float32) / np.float32(255)


@cache
def _transform(policy: Policy, num_ops: int, magnitude: int) -> nn.Module:
    from torchvision.transforms import v2  # two seconds that the other profiles needn't wait

    bilinear = v2.InterpolationMode.BILINEAR
    transforms: dict[Policy, nn.Module] = {
        "none": v2.Identity(),
        "randaugment": v2.RandAugment(num_ops, magnitude, MAX_MAGNITUDE + 1, bilinear),
        "autoaugment": v2.AutoAugment(interpolation=bilinear),
    }
    return transforms[policy]
