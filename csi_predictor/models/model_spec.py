"""All that is needed to build a network again: what a bundle saves beside the weights."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

from csi_predictor.errors import ConfigError
from csi_predictor.specs import InputSpec, MapRange, Pooling, TargetSpec, Task

Head = Literal["ordinal", "softmax", "linear", "map", "projection"]
ZoneFocus = Literal["none", "pooling", "masking"]
Thresholds = Literal["learned", "even"]
MaskingStrategy = Literal["attention", "zero"]
Stem = Literal["published", "small"]

HEAD_OF_TASK: dict[Task, Head] = {
    "csi": "ordinal",
    "multiclass": "linear",
    "multilabel": "linear",
    "regression": "linear",
    "change": "map",
    "reconstruction": "map",
}
"""What HEAD = auto means for each TASK, unless the row has a head of its own."""


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """A network without its weights.

    Attributes:
        architecture: A whole name of the registry: `resnet50`, `timm/convnext_tiny`.
        input_spec: The picture that it takes, final.
        target_spec: What it answers.
        head: `ordinal` or `softmax` for zones; `linear` gives one logit for each target name, `map`
            one map for each, `projection` a unit vector of as many numbers.
        thresholds: Of an ordinal head: learned, or even, all grades alike at score 0.
        zone_focus: How a zone sees its own part of the picture; `none` for a linear head.
        masking_strategy: Of `zone_focus` masking.
        attention_strength: s of masking strategy attention: zone * s + (1 - zone) * (1 - s).
        feature_levels: How many maps the head reads: 1 = the encoder's last; n = it and the n - 1
            resolutions before it.
        global_context: True adds the whole picture's features to each pooled zone's.
        head_hidden: Width of a linear head's hidden layer; 0 = none.
        dropout_rate: Before the head's projection.
        drop_path_rate: Stochastic depth of the encoder.
        pooling: How the whole picture becomes one vector; see `EncoderOptions`.
        patch_size: Of a transformer; None = its own.
        stem: Of a resnet: as published, or 3x3 without reduction for pictures of 28 pixels.
        map_range: Of a longitudinal network's map: `magnitude` = 0 to 1, `signed` = -1 to 1 with +
            for what appeared and - for what resolved.
    """

    architecture: str
    input_spec: InputSpec
    target_spec: TargetSpec = field(default_factory=TargetSpec)
    head: Head = "ordinal"
    thresholds: Thresholds = "learned"
    zone_focus: ZoneFocus = "pooling"
    masking_strategy: MaskingStrategy = "attention"
    attention_strength: float = 0.7
    feature_levels: int = 1
    global_context: bool = False
    head_hidden: int = 0
    dropout_rate: float = 0.2
    drop_path_rate: float = 0.0
    pooling: Pooling = "auto"
    patch_size: tuple[int, ...] | None = None
    stem: Stem = "published"
    map_range: MapRange = "magnitude"

    def __post_init__(self) -> None:
        for name, choice in _CHOICES.items():
            value = getattr(self, name)
            if value not in get_args(choice):
                raise ConfigError(
                    f"[MODEL] {name.upper()} = {value}: expected one of "
                    f"{', '.join(get_args(choice))}"
                )
        if self.feature_levels < 1:
            raise ConfigError(
                f"[MODEL] FEATURE_LEVELS = {self.feature_levels}: expected at least 1"
            )

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "ModelSpec":
        """The inverse of `to_dict`, also after a trip through JSON."""
        arguments = dict(values)
        arguments["input_spec"] = InputSpec.from_dict(arguments["input_spec"])
        arguments["target_spec"] = TargetSpec.from_dict(arguments["target_spec"])
        if arguments.get("patch_size") is not None:
            arguments["patch_size"] = tuple(arguments["patch_size"])
        return cls(**arguments)


_CHOICES: dict[str, Any] = {
    "head": Head,
    "thresholds": Thresholds,
    "zone_focus": ZoneFocus,
    "masking_strategy": MaskingStrategy,
    "pooling": Pooling,
    "stem": Stem,
    "map_range": MapRange,
}
