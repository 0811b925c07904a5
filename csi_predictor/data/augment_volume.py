"""Random changes of a training volume: the patient is turned a little, never put on the head."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import affine_grid, grid_sample

from csi_predictor.data.augment import Augmentation

Floats = NDArray[np.float32]


def augment_volume(pixels: Floats, augmentation: Augmentation, rng: np.random.Generator) -> Floats:
    """A changed copy of a volume.

    W may be mirrored; the volume is rotated about D, which runs along the body, and scaled and
    shifted along all axes, in one resampling; then gamma, contrast, brightness and noise follow, as
    of pictures, and a box may be blanked. D is never mirrored: `flip_p` is of pictures that have no
    up and down, and not used. Rotation keeps angles where H and W have one spacing.

    The same numbers are drawn whatever the strengths, so that changing one strength leaves the
    other changes of a volume alone.

    Args:
        pixels: (D, H, W) in [0, 1].
        augmentation: Strengths; `scale` and `translate` hold for each axis, an erased box has 2-10
            % of the volume.
        rng: Gives all randomness.

    Returns:
        (D, H, W) in [0, 1].

    Raises:
        ValueError: A policy of pictures is asked for.
    """
    if augmentation.policy != "none":
        raise ValueError(f"{augmentation.policy} is of pictures: expected strengths for a volume")
    is_mirrored = rng.random() < augmentation.mirror_p
    turn, size, *shift = rng.uniform(-1, 1, size=5)
    tone = rng.uniform(-1, 1, size=3)
    noise_std = rng.random() * augmentation.noise
    is_erased = rng.random() < augmentation.erase_p
    box = rng.random(size=4)
    changed = np.ascontiguousarray(pixels[:, :, ::-1] if is_mirrored else pixels)
    if augmentation.rotation_deg or augmentation.scale or augmentation.translate:
        changed = _placed(
            changed,
            turn_rad=float(np.deg2rad(turn * augmentation.rotation_deg)),
            size=float(1 + size * augmentation.scale),
            shift=[float(share * augmentation.translate) for share in shift],
        )
    changed = _toned(changed, augmentation, tone)
    if noise_std > 0:
        noise = rng.standard_normal(changed.shape, dtype=np.float32)
        changed = changed + np.float32(noise_std) * noise
    changed = np.asarray(np.clip(changed, 0, 1), dtype=np.float32)
    if is_erased:
        _erase(changed, box)
    return changed


def _placed(pixels: Floats, *, turn_rad: float, size: float, shift: list[float]) -> Floats:
    """Rotate about the middle of each plane, scale and shift; outside is 0.

    Args:
        pixels: (D, H, W).
        turn_rad: From H towards W.
        size: Above 1 makes what is seen larger.
        shift: Along D, H and W, share of the edge.
    """
    _, height, width = pixels.shape
    cos, sin = np.cos(turn_rad) / size, np.sin(turn_rad) / size
    # Output (x, y, z) -> input (x, y, z), each from -1 to 1 over the whole edge: a turn in voxels
    # is a turn with unequal sines where W and H differ.
    linear = np.array(
        [[cos, sin * height / width, 0], [-sin * width / height, cos, 0], [0, 0, 1 / size]]
    )
    moved = linear @ (2.0 * np.array(shift[::-1]))
    matrix = np.concatenate([linear, -moved[:, None]], axis=1)
    writable = np.require(pixels, requirements="W")  # PyTorch warns of others
    volume = torch.from_numpy(writable)[None, None]  # (D, H, W) -> (1, 1, D, H, W)
    grid = affine_grid(
        torch.from_numpy(matrix.astype(np.float32))[None], list(volume.shape), align_corners=False
    )
    placed: Floats = grid_sample(volume, grid, align_corners=False)[0, 0].numpy()
    return placed


def _toned(pixels: Floats, strengths: Augmentation, drawn: NDArray[np.float64]) -> Floats:
    """Gamma, contrast, brightness, in this order."""
    exponent = np.float32((1 + strengths.gamma) ** drawn[0])
    factor = np.float32(1 + strengths.contrast * drawn[1])
    added = np.float32(strengths.brightness * drawn[2])
    if exponent != 1:
        # Interpolation may pass 0 by the last bit, of which no power exists.
        pixels = np.power(np.maximum(pixels, 0), exponent)
    if factor != 1 or added != 0:
        mean = pixels.mean(dtype=np.float32)
        pixels = (pixels - mean) * factor + (mean + added)
    return pixels


def _erase(pixels: Floats, drawn: NDArray[np.float64]) -> None:
    """Blank a box in place, 2-10 % of the volume, with the volume's own proportions."""
    share = (0.02 + 0.08 * drawn[0]) ** (1 / 3)
    place = []
    for length, start in zip(pixels.shape, drawn[1:], strict=True):
        edge = min(max(round(length * share), 1), length)
        first = int(start * (length - edge + 1))
        place.append(slice(first, first + edge))
    pixels[tuple(place)] = 0
