"""From a picture's own size to the network's."""

from dataclasses import replace

import numpy as np
import PIL.Image
import torch
from numpy.typing import NDArray
from torch.nn.functional import interpolate

from csi_predictor.data.image import Image
from csi_predictor.errors import ImageError
from csi_predictor.specs import InputSpec, Interpolation


def fit(image: Image, spec: InputSpec) -> Image:
    """The picture (H, W) at the network's size, antialiased, in [0, 1].

    `letterbox` and `crop` keep the aspect ratio in millimetres where the file gives the spacing.
    Every kernel is widened with the reduction, as in Pillow and in PyTorch's `antialias=True`.

    Args:
        image: In the model's range.
        spec: Its `size`, `fit`, `interpolation` and `is_eight_bit` are used.

    Raises:
        ImageError: MULTI_FRAME for a volume where a picture is expected.
    """
    if image.pixels.ndim != 2 or len(spec.size) != 2:
        raise ImageError(
            image.facts.path,
            "MULTI_FRAME",
            f"{image.pixels.ndim}-D pixels for a {len(spec.size)}-D input: expected one picture",
        )
    target = spec.size[0], spec.size[1]
    size = target if spec.fit == "stretch" else _size_in_proportion(image, spec)
    resize = _resize_eight_bit if spec.is_eight_bit else _resize
    resized = resize(image.pixels, size, spec.interpolation)
    return replace(
        image,
        pixels=_centred(resized, target),
        padding=None,
        spacing_mm=_spacing_after(image, size),
    )


def _size_in_proportion(image: Image, spec: InputSpec) -> tuple[int, int]:
    """(H, W) with the picture's aspect ratio that fits into (letterbox) or covers (crop) the size.

    The longer side is cut off to whole pixels, as the official processors of the networks do.
    """
    row_mm, column_mm = image.spacing_mm or (1.0, 1.0)
    extent = np.array(image.pixels.shape) * (row_mm, column_mm)
    scales = np.array(spec.size) / extent
    scale = scales.min() if spec.fit == "letterbox" else scales.max()
    # The tolerance keeps 223.9999 that is meant to be 224.
    height, width = np.maximum(np.floor(extent * scale + 1e-6), 1).astype(int)
    return int(height), int(width)


def _resize(
    pixels: NDArray[np.float32], size: tuple[int, int], interpolation: Interpolation
) -> NDArray[np.float32]:
    if pixels.shape == size:
        return pixels
    pixels = np.ascontiguousarray(pixels)
    if interpolation == "lanczos":  # PyTorch has it from 2.15 only
        picture = PIL.Image.fromarray(pixels)  # mode F: float32 throughout
        lanczos = picture.resize((size[1], size[0]), PIL.Image.Resampling.LANCZOS)
        return np.clip(np.asarray(lanczos, np.float32), 0.0, 1.0)
    # 7 ms for 3000 x 2500 against Pillow's 27 with the same kernel: Pillow copies a float picture.
    picture_4d = torch.from_numpy(pixels)[None, None]  # (H, W) -> (1, 1, H, W)
    resized = interpolate(picture_4d, size, mode=interpolation, antialias=True)
    # Bicubic and Lanczos kernels overshoot at edges.
    result: NDArray[np.float32] = resized[0, 0].clamp(0.0, 1.0).numpy()
    return result


def _resize_eight_bit(
    pixels: NDArray[np.float32], size: tuple[int, int], interpolation: Interpolation
) -> NDArray[np.float32]:
    """The same on 256 levels, for the networks that were trained so and for no other.

    A half is rounded to the even level. PyTorch's kernel for bytes, which torchvision's and so the
    official processors' resizing is, has weights of 16 bits: it isn't the rounded float result.
    """
    levels = np.rint(pixels * np.float32(255.0)).astype(np.uint8)
    if levels.shape != size:
        levels = _resize_bytes(levels, size, interpolation)
    result: NDArray[np.float32] = levels.astype(np.float32) / np.float32(255.0)
    return result


def _resize_bytes(
    levels: NDArray[np.uint8], size: tuple[int, int], interpolation: Interpolation
) -> NDArray[np.uint8]:
    if interpolation == "lanczos":
        picture = PIL.Image.fromarray(levels)
        lanczos = picture.resize((size[1], size[0]), PIL.Image.Resampling.LANCZOS)
        return np.asarray(lanczos)
    picture_4d = torch.from_numpy(levels)[None, None]  # (H, W) -> (1, 1, H, W)
    resized: NDArray[np.uint8] = interpolate(picture_4d, size, mode=interpolation, antialias=True)[
        0, 0
    ].numpy()
    return resized


def _centred(pixels: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """Cut from the centre what is too large, and set what is too small into black."""
    for axis, wanted in enumerate(size):
        excess = pixels.shape[axis] - wanted
        if excess > 0:
            start = excess // 2
            pixels = pixels.take(range(start, start + wanted), axis=axis)
        elif excess < 0:
            border = [(0, 0), (0, 0)]
            border[axis] = (-excess // 2, -excess - -excess // 2)
            pixels = np.pad(pixels, border)
    return pixels


def _spacing_after(image: Image, size: tuple[int, int]) -> tuple[float, ...] | None:
    if image.spacing_mm is None:
        return None
    before = zip(image.spacing_mm, image.pixels.shape, size, strict=True)
    return tuple(spacing * old / new for spacing, old, new in before)
