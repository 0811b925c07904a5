"""A network's own published image processor, run by transformers on the values in the spec."""

import json
from functools import cache
from typing import Any

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from csi_predictor.data.image import Image
from csi_predictor.errors import ConfigError, ImageError
from csi_predictor.specs import InputSpec

_CLASS_KEY = "image_processor_type"
_CLASS_NAME = "BitImageProcessor"
_BACKEND = "torchvision"


def run_official_processor(image: Image, spec: InputSpec) -> NDArray[np.float32]:
    """The picture as the official processor resizes and crops it: (H, W) float32 in [0, 1].

    The processor takes 8 bits, so the picture is rounded to 256 levels, a half to the even one.
    Its normalisation is left out: `to_tensor` subtracts the same mean and divides by the same
    deviation. Unlike `fit`, it knows no millimetres: pixels count as squares.

    Args:
        image: In [0, 1].
        spec: Its `processor` is used, and its `size` is what must come out.

    Raises:
        ImageError: MULTI_FRAME for a volume where a picture is expected.
        ConfigError: As `check_official_processor`.
    """
    if image.pixels.ndim != 2:
        raise ImageError(
            image.facts.path,
            "MULTI_FRAME",
            f"{image.pixels.ndim}-D pixels for the official processor: expected one picture",
        )
    levels = np.rint(image.pixels * np.float32(255.0)).astype(np.uint8)
    pixel_values = _process(levels, spec)
    # A grey picture becomes three equal channels: one of them says all.
    pixels: NDArray[np.float32] = pixel_values[0, 0]
    return pixels


def check_official_processor(spec: InputSpec) -> None:
    """Build the official processor and run it once, so that no image meets its refusal.

    Args:
        spec: Without `processor` there is nothing to check.

    Raises:
        ConfigError: The installed transformers has no such processor, changes one of its values,
            refuses a picture, or gives one of another size than the spec's.
    """
    if spec.processor is not None:
        _process(np.zeros((spec.size[0] + 1, spec.size[1]), np.uint8), spec)


def _process(levels: NDArray[np.uint8], spec: InputSpec) -> NDArray[np.float32]:
    """(H, W) bytes -> (1, 3, H, W) in [0, 1]."""
    processor = _build_processor(spec.processor or "")
    # A picture, not an array, whose channels transformers would have to guess from its shape.
    picture = PIL.Image.fromarray(levels)
    try:
        processed = processor(picture, do_normalize=False, return_tensors="np")
        pixel_values = np.asarray(processed["pixel_values"], np.float32)
    except Exception as error:  # transformers raises many types; its text may quote the pixels
        raise ConfigError(
            f"{_where()} refused a picture of {levels.shape[0]} x {levels.shape[1]} "
            f"({type(error).__name__}): {_advice()}"
        ) from error
    if pixel_values.shape != (1, 3, *spec.size):
        raise ConfigError(
            f"{_where()} gave {pixel_values.shape[1:]}: expected {(3, *spec.size)}: {_advice()}"
        )
    return pixel_values


@cache
def _build_processor(text: str) -> Any:
    """The processor of a file's text: what transformers' `AutoImageProcessor` would give."""
    values = json.loads(text)
    name = values.pop(_CLASS_KEY)
    if name != _CLASS_NAME:
        raise ConfigError(
            f"[MODEL] USE_OFFICIAL_PROCESSOR: {_CLASS_KEY} = {name}: expected {_CLASS_NAME}"
        )
    try:
        # Here, for the import takes seconds that other networks needn't wait.
        from transformers import BitImageProcessor

        processor = BitImageProcessor.from_dict(values)
        taken, backend = json.loads(processor.to_json_string()), processor.backend
    except Exception as error:  # of whatever type another version of transformers raises
        raise ConfigError(
            f"{_where()} can't be built ({type(error).__name__}: {error}): {_advice()}"
        ) from error
    changed = [
        f"{key} = {taken.get(key)} (expected {value})"
        for key, value in values.items()
        if taken.get(key) != value
    ]
    if backend != _BACKEND:  # Pillow's levels differ by one from torchvision's
        changed.append(f"backend = {backend} (expected {_BACKEND})")
    if changed:
        raise ConfigError(f"{_where()} changes {'; '.join(changed)}: {_advice()}")
    return processor


def _where() -> str:
    from transformers import __version__

    return f"[MODEL] USE_OFFICIAL_PROCESSOR = true: {_CLASS_NAME} of transformers {__version__}"


def _advice() -> str:
    return "install the version of constraints.txt, or set USE_OFFICIAL_PROCESSOR = false"
