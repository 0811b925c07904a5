"""What a model eats and what it must answer: the two records where data and models meet."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

ZONES = ("right_sup", "left_sup", "right_mid", "left_mid", "right_inf", "left_inf")
"""Six lung zones by the *patient's* side, in the labels table's order."""

MIRRORED_ZONE_INDEX = (1, 0, 3, 2, 5, 4)
"""`targets[..., MIRRORED_ZONE_INDEX]` are the targets of the horizontally flipped image."""

NUM_GRADES = 4
MAX_GRADE = NUM_GRADES - 1

_SIDES = re.compile(r"(?<![a-z])(left|right)(?![a-z])")

NOT_READ = -1.0
"""Stands in each zone of an image that a second reader hasn't read."""

Fit = Literal["stretch", "letterbox", "crop"]
Interpolation = Literal["bilinear", "bicubic", "lanczos"]
VoiRule = Literal["window", "ignore"]
ZoneHead = Literal["ordinal", "softmax"]
Pooling = Literal["auto", "cls", "mean"]
MapRange = Literal["magnitude", "signed"]
Task = Literal["csi", "multiclass", "multilabel", "regression", "change", "reconstruction"]


@dataclass(frozen=True, kw_only=True)
class InputSpec:
    """The picture that a network was made for.

    Attributes:
        size: (H, W) in pixels, or (D, H, W) in voxels.
        channels: Channels that the first layer takes; a grey picture is repeated into them.
        mean: Per channel, subtracted from a picture in [0, 1].
        std: Per channel, divides after the mean.
        interpolation: Resampling kernel, always with antialiasing.
        fit: How another aspect ratio is met: `stretch` to the size, `letterbox` (whole picture,
            black border) or `crop` (shortest edge to the size, then the centre).
        percentiles: Low and high percentile of the valid pixels that become 0 and 1; (0, 100) is
            the full range. Linear, so bit depth and polarity can't change a score.
        voi: `window` applies the DICOM VOI LUT or the first window, `ignore` doesn't.
        is_eight_bit: True = the picture is rounded to 256 levels before and after resizing, as the
            official processors of networks trained on 8-bit pictures do; False = no rounding.
        processor: The official processor's own file as JSON text: transformers' class of that name
            resizes and crops in place of `size`, `fit`, `interpolation` and `is_eight_bit`, which
            say the same. A bundle carries it, so no score is made with another preprocessing.
            None = this program resizes.
        value_range: Values that become 0 and 1 whatever a picture holds, in place of `percentiles`,
            `voi` and `hu_range`: those of the 8-bit pictures of a published set. None = not fixed.
        hu_range: Of a CT volume: lowest and highest Hounsfield unit, which become 0 and 1, in place
            of `percentiles` and `voi`. None = a picture, or a volume of other units.
        spacing_mm: Of a volume: distance of its voxels along D, H and W, to which it is resampled
            before it is cropped or padded to `size`. None = the whole volume is resized to `size`.
    """

    size: tuple[int, ...]
    channels: int = 3
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    interpolation: Interpolation = "bilinear"
    fit: Fit = "stretch"
    percentiles: tuple[float, float] = (0.5, 99.5)
    voi: VoiRule = "window"
    is_eight_bit: bool = False
    processor: str | None = None
    value_range: tuple[float, float] | None = None
    hu_range: tuple[float, float] | None = None
    spacing_mm: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        if len(self.mean) != self.channels or len(self.std) != self.channels:
            raise ValueError(
                f"mean has {len(self.mean)} and std {len(self.std)} values: "
                f"expected {self.channels}, one a channel"
            )

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "InputSpec":
        """The inverse of `to_dict`; lists become tuples again, absent fields their defaults."""
        arguments: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in values.items()
        }
        return cls(**arguments)


@dataclass(frozen=True, kw_only=True)
class TargetSpec:
    """What a model must answer.

    Attributes:
        task: The kind of answer; `csi` is six zones graded 0-3 or ungradable.
        names: One per answer, in the order of the target vector; of `multiclass` one per class.
        num_classes: Grades of one answer (ungradable not counted); of `multiclass` all classes.
    """

    task: Task = "csi"
    names: tuple[str, ...] = ZONES
    num_classes: int = NUM_GRADES

    @property
    def num_targets(self) -> int:
        """Numbers in one image's target vector: of `multiclass` the class's index alone."""
        return 1 if self.task == "multiclass" else len(self.names)

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "TargetSpec":
        """The inverse of `to_dict`; lists become tuples again."""
        arguments: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in values.items()
        }
        return cls(**arguments)


def names_have_sides(names: Sequence[str]) -> bool:
    """Whether a label or class says left or right, so that a mirrored image has another answer."""
    return any(_SIDES.search(name.lower()) for name in names)


FITS: tuple[Fit, ...] = get_args(Fit)
INTERPOLATIONS: tuple[Interpolation, ...] = get_args(Interpolation)
VOI_RULES: tuple[VoiRule, ...] = get_args(VoiRule)
