"""[MODEL]: keys, types, limits, defaults and meanings."""

from typing import Annotated

from pydantic import Field

from csi_predictor.config import choices
from csi_predictor.config.fields import Edges, OptionalPath, Section, Word, key
from csi_predictor.specs import MapRange, Pooling, ZoneHead


class ModelSection(Section):
    """The network."""

    model_arch: str = key(
        "custom1", "a name of `--mode models`, timm/<name>, or a family + VARIANT"
    )
    variant: str = key("", "completes a family's name: efficientnet + b3; empty = none")
    pretrained: bool = key(
        False, "true = published weights, from MODELS_CACHE or (OFFLINE = false) downloaded into it"
    )
    weights: OptionalPath = key(
        None, "a local .safetensors (or weights-only .pt/.pth) file for the encoder; empty = none"
    )
    use_official_processor: bool = key(
        False, "true = the network's own published image processor (raddino), from its own file"
    )
    image_size: Annotated[choices.Auto | Annotated[int, Field(ge=16, le=4096)], Word] = key(
        "auto", "edge of the square input, pixels; auto = the architecture's own"
    )
    in_channels: Annotated[choices.Auto | Annotated[int, Field(ge=1, le=3)], Word] = key(
        "auto", "1 or 3; a pretrained 3-channel first layer becomes 1 by summing; auto = its own"
    )
    patch_size: Edges = key(
        (),
        "of a vision transformer, pixels or voxels: one number, or one an axis; empty = its own",
    )
    stem: Annotated[choices.Stem, Word] = key(
        "auto",
        "first layers of a resnet: small = 3x3 without reduction, for pictures of 28 pixels; auto "
        "= small below 64 pixels without pretrained weights, else as published",
    )
    pooling: Annotated[Pooling, Word] = key(
        "auto",
        "of the whole picture, where the head sees it (not ZONE_FOCUS = pooling): mean, cls (a "
        "transformer's class token); auto = the network's own",
    )
    feature_levels: int = key(
        1,
        "resolutions of the encoder that the head sees: 1 = the last map, 2 = also the one before",
        ge=1,
        le=4,
    )
    global_context: bool = key(
        False, "of ZONE_FOCUS = pooling: true adds the whole picture's features to each zone's"
    )
    dropout_rate: float = key(0.2, "dropout before the head", ge=0, lt=1)
    drop_path_rate: float = key(0.0, "stochastic depth of the encoder, where it has it", ge=0, lt=1)
    gradient_checkpointing: bool = key(False, "true = recompute activations: slower, less memory")
    head: Annotated[choices.Head, Word] = key(
        "auto",
        "of TASK = csi: ordinal (cumulative link) or softmax, both say ungradable; of other tasks: "
        "linear, map, projection; auto = ordinal, linear or map",
    )
    head_hidden: Annotated[choices.Auto | Annotated[int, Field(ge=0)], Word] = key(
        "auto", "width of a linear head's hidden layer; 0 = none; auto = as published"
    )
    thresholds: Annotated[choices.Thresholds, Word] = key(
        "learned",
        "of HEAD = ordinal: learned = better calibrated; even = fixed, for a few hundred images",
    )
    zone_focus: Annotated[choices.ZoneFocus, Word] = key(
        "pooling",
        "none = one pooled vector; pooling = each zone pools its own part of the feature map; "
        "masking = one pass a zone over the masked image (six times slower)",
    )
    masking_strategy: Annotated[choices.Masking, Word] = key(
        "attention", "of ZONE_FOCUS = masking: zero outside the zone, or dim it"
    )
    attention_strength: float = key(
        0.7, "of MASKING_STRATEGY = attention: zone*s + (1-zone)*(1-s)", ge=0.5, le=1
    )
    change_output: Annotated[MapRange, Word] = key(
        "magnitude",
        "of networks of change: magnitude (0 to 1), or signed (-1 to 1: + appeared, - resolved)",
    )

    @property
    def zone_head(self) -> ZoneHead:
        """HEAD of six zones, with auto decided."""
        return "softmax" if self.head == "softmax" else "ordinal"
