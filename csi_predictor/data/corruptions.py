"""Damage done on purpose to prepared images, at five severities, to see what a network bears."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from csi_predictor.data.cache import PixelStore
from csi_predictor.data.manifest import Row

Floats = NDArray[np.float32]
Damage = Callable[[Floats, float, np.random.Generator], Floats]
"""(C, D, H, W) in [0, 1], strength, randomness -> the same shape, not yet cut to [0, 1]."""

SEVERITIES = (1, 2, 3, 4, 5)


@dataclass(frozen=True, kw_only=True)
class Corruption:
    """One kind of damage.

    Attributes:
        title: For people.
        unit: What its strength counts.
        strengths: Of severities 1 to 5.
        damage: Does it.
    """

    title: str
    unit: str
    strengths: tuple[float, float, float, float, float]
    damage: Damage


def corrupt(
    pixels: Floats,
    name: str,
    *,
    severity: int,
    rng: np.random.Generator,
    is_volume: bool = False,
) -> Floats:
    """A damaged copy of a prepared image; the argument stays as it is.

    The image is already at the network's range and size, so that no preparation can take brightness
    or contrast back. Noise, blur and crop of a volume run along all its axes; JPEG and rotation
    take each axial slice by itself.

    Args:
        pixels: (H, W) grey or (3, H, W) colour; of a volume (D, H, W), D along the body. In [0, 1].
        name: Of `CORRUPTIONS`.
        severity: 1 to 5.
        rng: Gives all randomness.
        is_volume: Tells three slices from three colours.

    Returns:
        float32 of the same shape, in [0, 1].

    Raises:
        ValueError: There is no such corruption or severity, or the pixels have another shape.
    """
    if name not in CORRUPTIONS:
        raise ValueError(f"corruption {name}: expected one of {', '.join(CORRUPTIONS)}")
    if severity not in SEVERITIES:
        raise ValueError(f"severity {severity} of {name}: expected 1, 2, 3, 4 or 5")
    corruption = CORRUPTIONS[name]
    planes = pixels.reshape(_four_axes(pixels.shape, is_volume=is_volume))
    damaged = corruption.damage(planes, corruption.strengths[severity - 1], rng)
    clipped = np.clip(damaged, 0, 1).reshape(pixels.shape)
    return np.ascontiguousarray(clipped, dtype=np.float32)


class CorruptedStore:
    """Another store's images, each damaged as it is asked for; nothing is kept.

    An image's damage follows from seed, name, severity and the image's id alone: it is the same in
    any order, in any process and whatever other images there are.

    Args:
        store: Of the undamaged images; stays as it is.
        name: Of `CORRUPTIONS`.
        severity: 1 to 5.
        seed: Of the randomness.
    """

    def __init__(self, store: PixelStore, name: str, *, severity: int, seed: int) -> None:
        self.spec = store.spec
        self._store = store
        self._name = name
        self._severity = severity
        self._seed = seed

    def get(self, row: Row) -> Floats:
        """The damaged image, in the shape that the store gives it.

        Raises:
            ImageError: The image can't be used.
        """
        text = f"{self._seed} {self._name} {self._severity} {row.file_id}"
        digest = hashlib.sha256(text.encode(errors="surrogateescape")).digest()
        return corrupt(
            self._store.get(row),
            self._name,
            severity=self._severity,
            rng=np.random.default_rng(int.from_bytes(digest, "big")),
            is_volume=len(self.spec.size) == 3,
        )

    def fill(self, rows: Sequence[Row], workers: int = 0) -> None:
        """Prepare the undamaged images."""
        self._store.fill(rows, workers)


class MirroredStore:
    """Another store's images with left and right exchanged.

    Args:
        store: Of the images as they are.
    """

    def __init__(self, store: PixelStore) -> None:
        self.spec = store.spec
        self._store = store

    def get(self, row: Row) -> Floats:
        """The mirrored image: its last axis, W, runs from the patient's left to the right.

        Raises:
            ImageError: The image can't be used.
        """
        return np.ascontiguousarray(self._store.get(row)[..., ::-1])

    def fill(self, rows: Sequence[Row], workers: int = 0) -> None:
        """Prepare the images as they are."""
        self._store.fill(rows, workers)


def _four_axes(shape: tuple[int, ...], *, is_volume: bool) -> tuple[int, int, int, int]:
    """(C, D, H, W) of an image's shape; what it hasn't is 1."""
    match shape:
        case (depth, height, width) if is_volume:
            return 1, depth, height, width
        case (3, height, width) if not is_volume:
            return 3, 1, height, width
        case (height, width) if not is_volume:
            return 1, 1, height, width
    expected = "(D, H, W)" if is_volume else "(H, W) or (3, H, W)"
    raise ValueError(f"pixels of shape {shape}: expected {expected}")


def _noise(pixels: Floats, strength: float, rng: np.random.Generator) -> Floats:
    noise = rng.standard_normal(pixels.shape, dtype=np.float32)
    return pixels + np.float32(strength) * noise


def _brightness(pixels: Floats, strength: float, rng: np.random.Generator) -> Floats:
    return pixels + np.float32(strength * _either_way(rng))


def _contrast(pixels: Floats, strength: float, rng: np.random.Generator) -> Floats:
    """Nearer to the mean of the image, of each colour by itself."""
    mean = pixels.mean(axis=(1, 2, 3), keepdims=True, dtype=np.float64).astype(np.float32)
    nearer: Floats = (pixels - mean) * np.float32(strength) + mean
    return nearer


def _blur(pixels: Floats, strength: float, rng: np.random.Generator) -> Floats:
    blurred = pixels
    for axis in (1, 2, 3):
        sigma = strength * pixels.shape[axis]
        blurred = ndimage.gaussian_filter1d(blurred, sigma, axis=axis, mode="nearest")
    return np.asarray(blurred, dtype=np.float32)


def _salt_and_pepper(pixels: Floats, strength: float, rng: np.random.Generator) -> Floats:
    """A struck pixel is white or black in all colours, as of a detector's dead element."""
    drawn = rng.random(pixels.shape[1:], dtype=np.float32)
    peppered = np.where(drawn < strength / 2, np.float32(0), pixels)
    return np.where(drawn > 1 - strength / 2, np.float32(1), peppered)


def _jpeg(pixels: Floats, strength: float, rng: np.random.Generator) -> Floats:
    """Each slice written and read by Pillow, of three colours as one colour picture."""
    levels = (pixels * 255 + 0.5).astype(np.uint8)
    levels = np.moveaxis(levels, 0, -1)  # (C, D, H, W) -> (D, H, W, C)
    read = []
    for plane in levels:
        buffer = BytesIO()
        picture = Image.fromarray(plane if plane.shape[-1] == 3 else plane[..., 0])
        picture.save(buffer, format="JPEG", quality=int(strength))
        with Image.open(buffer) as decoded:
            read.append(np.asarray(decoded, dtype=np.float32).reshape(plane.shape))
    colours_first: Floats = np.moveaxis(np.stack(read), -1, 0)
    return colours_first / np.float32(255)


def _rotation(pixels: Floats, strength: float, rng: np.random.Generator) -> Floats:
    """About the middle of each slice; what comes in from outside is black."""
    degrees = strength * _either_way(rng)
    planes = [
        np.asarray(Image.fromarray(plane).rotate(degrees, Image.Resampling.BILINEAR))
        for plane in np.ascontiguousarray(pixels).reshape(-1, *pixels.shape[-2:])
    ]
    return np.stack(planes).reshape(pixels.shape)


def _crop(pixels: Floats, strength: float, rng: np.random.Generator) -> Floats:
    """A window somewhere inside, stretched to the whole size."""
    kept = 1 - strength
    matrix, offset = [1.0], [0.0]
    for length, place in zip(pixels.shape[1:], rng.random(3), strict=True):
        is_cut = length > 1
        matrix.append(kept if is_cut else 1.0)
        start = place * strength * length  # from the outer edge, in pixels
        offset.append(start + kept / 2 - 0.5 if is_cut else 0.0)
    return np.asarray(
        ndimage.affine_transform(pixels, matrix, offset, order=1, mode="nearest"), dtype=np.float32
    )


def _either_way(rng: np.random.Generator) -> float:
    return 1.0 if rng.random() < 0.5 else -1.0


CORRUPTIONS: dict[str, Corruption] = {
    "noise": Corruption(
        title="Noise",
        unit="standard deviation, share of the range",
        strengths=(0.05, 0.1, 0.15, 0.22, 0.3),
        damage=_noise,
    ),
    "brightness": Corruption(
        title="Brightness",
        unit="added or taken away, share of the range",
        strengths=(0.1, 0.2, 0.3, 0.4, 0.5),
        damage=_brightness,
    ),
    "contrast": Corruption(
        title="Contrast",
        unit="share of the contrast that is left",
        strengths=(0.8, 0.65, 0.5, 0.35, 0.2),
        damage=_contrast,
    ),
    "blur": Corruption(
        title="Blur",
        unit="sigma, share of each edge",
        strengths=(0.004, 0.008, 0.012, 0.018, 0.027),
        damage=_blur,
    ),
    "salt_and_pepper": Corruption(
        title="Salt and pepper",
        unit="share of the pixels",
        strengths=(0.02, 0.05, 0.08, 0.15, 0.25),
        damage=_salt_and_pepper,
    ),
    "jpeg": Corruption(
        title="JPEG",
        unit="quality",
        strengths=(50, 30, 15, 10, 7),
        damage=_jpeg,
    ),
    "rotation": Corruption(
        title="Rotation",
        unit="degrees, either way",
        strengths=(5, 10, 15, 20, 30),
        damage=_rotation,
    ),
    "crop": Corruption(
        title="Crop",
        unit="share lost of each edge",
        strengths=(0.05, 0.1, 0.15, 0.2, 0.3),
        damage=_crop,
    ),
}
"""Strengths for radiographs, whose grey values carry the finding: they begin below those of
photographs (Hendrycks and Dietterich 2019, arXiv:1903.12261: noise .08-.38, contrast .4-.05,
impulses .03-.27) and hold system 001's own three (noise .05 .15 .30; contrast .8 .5 .2; impulses
.02 .08 .15). Brightness, there only brighter, and blur, there 1 to 6 px of 224, are that paper's;
JPEG is that of chest radiographs in MedMNIST-C (Di Salvo et al. 2024, arXiv:2406.17536). Rotation
and crop are this program's own: a patient or a collimation that lies askew."""
