"""Random changes of a training image that leave its answers true."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from csi_predictor.data.auto_augment import Policy, apply_policy
from csi_predictor.specs import MIRRORED_ZONE_INDEX

Floats = NDArray[np.float32]
Profile = Literal["none", "conservative", "standard", "skin", "randaugment", "autoaugment"]


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """Strengths; each change is drawn evenly up to its strength, 0 = never.

    Attributes:
        mirror_p: Probability of a left-right flip; right and left zones change places with it.
        rotation_deg: Largest rotation either way, degrees.
        translate: Largest shift in each direction, share of the edge.
        scale: Largest change of size, share.
        brightness: Largest value added or taken away, share of the range.
        contrast: Largest relative change of the distance from the image's mean.
        gamma: Exponents lie between 1 / (1 + gamma) and 1 + gamma.
        noise: Largest standard deviation of Gaussian noise, share of the range.
        erase_p: Probability that one rectangle (2-10 % of the area) is blanked.
        flip_p: Probability of an up-down flip, for pictures that have no up and down.
        policy: A published policy, after the flips and the placement; see `auto_augment`.
        num_ops: Of `randaugment`: operations on each image.
        magnitude: Of `randaugment`: their strength, 0 to 30.
    """

    mirror_p: float = 0.0
    rotation_deg: float = 0.0
    translate: float = 0.0
    scale: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    gamma: float = 0.0
    noise: float = 0.0
    erase_p: float = 0.0
    flip_p: float = 0.0
    policy: Policy = "none"
    num_ops: int = 2
    magnitude: int = 9


PROFILES: dict[Profile, Augmentation] = {
    "none": Augmentation(),
    "conservative": Augmentation(
        rotation_deg=5.0,
        translate=0.03,
        scale=0.05,
        brightness=0.05,
        contrast=0.1,
        gamma=0.1,
        noise=0.01,
    ),
    "standard": Augmentation(
        mirror_p=0.5,
        rotation_deg=10.0,
        translate=0.05,
        scale=0.1,
        brightness=0.1,
        contrast=0.2,
        gamma=0.25,
        noise=0.02,
        erase_p=0.1,
    ),
    # colour is what a skin lesion is known by, and it has neither up nor left
    "skin": Augmentation(
        mirror_p=0.5,
        flip_p=0.5,
        rotation_deg=180.0,
        translate=0.05,
        scale=0.15,
        noise=0.01,
    ),
    "randaugment": Augmentation(mirror_p=0.5, policy="randaugment"),
    "autoaugment": Augmentation(mirror_p=0.5, policy="autoaugment"),
}


def augment(
    pixels: Floats,
    targets: Floats,
    augmentation: Augmentation,
    rng: np.random.Generator,
    *,
    mirrored_order: Sequence[int] | None = MIRRORED_ZONE_INDEX,
) -> tuple[Floats, Floats]:
    """A changed copy of an image and of its answers; the arguments stay as they are.

    The same numbers are drawn whatever the strengths, so that changing one strength leaves the
    other changes of an image alone.

    Args:
        pixels: (H, W) grey or (3, H, W) colour in [0, 1].
        targets: (Z,) grades, NaN = ungradable; or (2, Z) of two readers; or (T,) labels or class.
        augmentation: Strengths.
        rng: Gives all randomness.
        mirrored_order: Index of the targets of the mirrored image; None = a flip changes no
            answer.

    Returns:
        The pixels in their shape, in [0, 1], and the targets in theirs.

    Raises:
        ValueError: The pixels are no picture, or the targets can't follow a flip.
    """
    _check(pixels, targets, augmentation, mirrored_order)
    is_mirrored = rng.random() < augmentation.mirror_p
    placement = rng.uniform(-1, 1, size=4)
    tone = rng.uniform(-1, 1, size=3)
    noise_std = rng.random() * augmentation.noise
    is_erased = rng.random() < augmentation.erase_p
    rectangle = rng.random(size=4)
    own = rng.spawn(1)[0]  # a stream beside: the noise comes next in the first one
    is_flipped = own.random() < augmentation.flip_p
    policy_seed = int(own.integers(2**63))
    changed = _place(
        pixels, augmentation, placement, is_mirrored=is_mirrored, is_flipped=is_flipped
    )
    if augmentation.policy != "none":
        changed = apply_policy(
            changed,
            augmentation.policy,
            num_ops=augmentation.num_ops,
            magnitude=augmentation.magnitude,
            seed=policy_seed,
        )
    changed = _tone(changed, augmentation, tone)
    if noise_std > 0:
        changed = changed + noise_std * rng.standard_normal(changed.shape, dtype=np.float32)
    changed = np.clip(changed, 0, 1, dtype=np.float32)
    if is_erased:
        _erase(changed, rectangle)
    if is_mirrored and mirrored_order is not None:
        return changed, targets[..., list(mirrored_order)]
    return changed, targets.copy()


def _check(
    pixels: Floats, targets: Floats, strengths: Augmentation, mirrored_order: Sequence[int] | None
) -> None:
    if pixels.ndim != 2 and pixels.shape[:-2] != (3,):
        raise ValueError(f"pixels of shape {pixels.shape}: expected (H, W) or (3, H, W)")
    if mirrored_order is None:
        return
    if targets.shape[-1] != len(mirrored_order):
        raise ValueError(
            f"{targets.shape[-1]} targets for a mirrored order of {len(mirrored_order)}: expected "
            "as many, or mirrored_order = None where a flip changes no answer"
        )
    if strengths.flip_p > 0:
        raise ValueError(
            f"flip_p = {strengths.flip_p:g} for targets that know right and left: expected 0, an "
            "up-down flip would give the upper zones the lower ones' grades"
        )


def _place(
    pixels: Floats,
    strengths: Augmentation,
    drawn: NDArray[np.float64],
    *,
    is_mirrored: bool,
    is_flipped: bool,
) -> Floats:
    """Mirror, then rotate about the centre, scale and shift in one resampling; outside is 0."""
    if is_mirrored:
        pixels = pixels[..., ::-1]
    if is_flipped:
        pixels = pixels[..., ::-1, :]
    if strengths.rotation_deg == strengths.translate == strengths.scale == 0:
        return np.ascontiguousarray(pixels)
    height, width = pixels.shape[-2:]
    angle = np.deg2rad(drawn[0] * strengths.rotation_deg)
    size = 1 + drawn[1] * strengths.scale
    cos, sin = np.cos(angle) / size, np.sin(angle) / size
    centre_x, centre_y = width / 2, height / 2
    from_x = centre_x + drawn[2] * strengths.translate * width
    from_y = centre_y + drawn[3] * strengths.translate * height
    # output (x, y) -> input (x, y), in pixels from the outer corner, as Pillow takes it
    rows = (
        (cos, sin, centre_x - cos * from_x - sin * from_y),
        (-sin, cos, centre_y + sin * from_x - cos * from_y),
    )
    planes = [
        Image.fromarray(np.ascontiguousarray(plane)).transform(
            (width, height), Image.Transform.AFFINE, (*rows[0], *rows[1]), Image.Resampling.BILINEAR
        )  # SciPy's affine_transform takes 3 times as long
        for plane in pixels.reshape(-1, height, width)
    ]
    placed = [np.asarray(plane, dtype=np.float32) for plane in planes]
    return placed[0] if pixels.ndim == 2 else np.stack(placed)


def _tone(pixels: Floats, strengths: Augmentation, drawn: NDArray[np.float64]) -> Floats:
    """Gamma, contrast, brightness, in this order."""
    exponent = np.float32((1 + strengths.gamma) ** drawn[0])
    factor = np.float32(1 + strengths.contrast * drawn[1])
    added = np.float32(strengths.brightness * drawn[2])
    if exponent != 1:
        pixels = np.power(pixels, exponent)
    if factor != 1 or added != 0:
        mean = pixels.mean(dtype=np.float32)
        pixels = (pixels - mean) * factor + (mean + added)
    return pixels


def _erase(pixels: Floats, drawn: NDArray[np.float64]) -> None:
    """Blank a rectangle in place, 2-10 % of the area, sides at most 2 to 1."""
    height, width = pixels.shape[-2:]
    area = (0.02 + 0.08 * drawn[0]) * height * width
    aspect = 2.0 ** (2 * drawn[1] - 1)
    rows = min(max(round((area * aspect) ** 0.5), 1), height)
    columns = min(max(round((area / aspect) ** 0.5), 1), width)
    top = int(drawn[2] * (height - rows + 1))
    left = int(drawn[3] * (width - columns + 1))
    pixels[..., top : top + rows, left : left + columns] = 0
