"""From a spec or from keywords to a whole network."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from csi_predictor.architectures import Architecture
from csi_predictor.errors import ConfigError
from csi_predictor.models.assemble import CsiModel, HeadInput
from csi_predictor.models.encoder import Encoder, EncoderOptions
from csi_predictor.models.heads.dense_map import DenseMapHead
from csi_predictor.models.heads.linear import linear_head
from csi_predictor.models.heads.masking import ZoneMasking
from csi_predictor.models.heads.pooling import ZonePooling
from csi_predictor.models.heads.projection import ProjectionHead
from csi_predictor.models.heads.zones import ZoneClassifier
from csi_predictor.models.input_spec import adapt_input_spec, published_input_spec
from csi_predictor.models.model_spec import HEAD_OF_TASK, Head, ModelSpec
from csi_predictor.models.registry import build_encoder, import_builder, resolve_architecture
from csi_predictor.models.staged import StagedModel
from csi_predictor.models.weights import find_pretrained, load_published_weights
from csi_predictor.specs import TargetSpec, Task

MODELS_CACHE = Path("models_cache")


def create_model(
    name: str,
    variant: str = "",
    *,
    num_classes: int | None = None,
    labels: Sequence[str] = (),
    task: Task | Literal["auto"] = "auto",
    pretrained: bool = False,
    weights: Path | None = None,
    models_cache: Path = MODELS_CACHE,
    offline: bool = False,
    image_size: int | Sequence[int] | None = None,
    in_channels: int | None = None,
    gradient_checkpointing: bool = False,
    **spec: Any,
) -> StagedModel:
    """A network without an INI: `create_model("efficientnet", "b3", num_classes=14)`.

    Args:
        name: A name of the registry, a family, or `timm/<name>`.
        variant: Completes a family's name.
        num_classes: Logits of a linear head; None = as many as `labels`, or the six-zone head.
        labels: Names of the answers; a published head is kept where they equal its own.
        task: What is answered; `auto` = `csi` where neither labels nor num_classes is given,
            else `multilabel`.
        pretrained: True = published weights from `models_cache`, or downloaded into it.
        weights: A local weights file for the encoder instead.
        models_cache: Folder of published weights.
        offline: True = never ask the network.
        image_size: Edge of a square picture, or (H, W), or (D, H, W); None = the row's own.
        in_channels: 1 or 3; None = the row's own.
        gradient_checkpointing: True = recompute activations in the backward pass.
        **spec: Further fields of `ModelSpec`: `dropout_rate`, `drop_path_rate`, `head`,
            `zone_focus`, `feature_levels`, `patch_size`, `pooling`, ...

    Raises:
        ConfigError: The architecture is unknown or can't do what is asked.
        WeightsError: The weights are missing, damaged or of another network.
    """
    architecture = resolve_architecture(name, variant)
    if pretrained and weights is not None:
        raise ConfigError("pretrained = True contradicts weights: keep one of the two")
    if in_channels not in (None, 1, 3):
        raise ConfigError(f"[MODEL] IN_CHANNELS = {in_channels}: expected auto, 1 or 3")
    published = published_input_spec(architecture)
    input_spec = adapt_input_spec(published, image_size=image_size, in_channels=in_channels)
    targets = choose_targets(architecture, task=task, labels=labels, num_classes=num_classes)
    defaults: dict[str, Any] = default_head(architecture, targets.task, spec.get("head"))
    patch_size = spec.pop("patch_size", None)
    model = build_model_from_spec(
        ModelSpec(
            architecture=architecture.name,
            input_spec=input_spec,
            target_spec=targets,
            patch_size=as_patch(patch_size, architecture),
            **{**defaults, **spec},
        )
    )
    if weights is not None:
        load_published_weights(model, architecture, weights)
    elif pretrained:
        path = find_pretrained(architecture, models_cache=models_cache, offline=offline)
        load_published_weights(model, architecture, path)
    if gradient_checkpointing:
        model.set_gradient_checkpointing(True)
    return model


def build_model_from_spec(spec: ModelSpec) -> StagedModel:
    """The network of a spec with random weights; never reads or fetches a weights file.

    Evaluation and scoring build with this and load the bundle's own weights over it.

    Raises:
        ConfigError: The architecture is unknown or can't do what is asked.
    """
    architecture = resolve_architecture(spec.architecture)
    if architecture.is_complete:
        model: StagedModel = import_builder(architecture)(architecture, spec)
        return model
    options = EncoderOptions(
        input_spec=spec.input_spec,
        drop_path_rate=spec.drop_path_rate,
        feature_levels=spec.feature_levels,
        pooling=spec.pooling,
        patch_size=spec.patch_size,
        has_small_stem=spec.stem == "small",
    )
    _check_stem(spec, architecture)
    _check_zones(spec, architecture)
    encoder = build_encoder(architecture, options)
    return CsiModel(
        encoder,
        pooling=_choose_pooling(spec),
        classifier=_build_classifier(spec, encoder),
        masking=_build_masking(spec),
        spec=spec,
    )


def check_input_size(spec: ModelSpec) -> None:
    """Try the size of the input on the meta device, where nothing is computed.

    Raises:
        ConfigError: The network can't take it.
    """
    images = resolve_architecture(spec.architecture).num_images
    with torch.device("meta"):
        pixels = torch.zeros(1, spec.input_spec.channels, *spec.input_spec.size)
    try:
        model = build_model_from_spec(spec).to("meta").eval()
        model(*[pixels] * images)
    except (RuntimeError, ValueError) as error:
        size = "x".join(map(str, (spec.input_spec.channels, *spec.input_spec.size)))
        reason = str(error).partition("\n")[0]
        raise ConfigError(
            f"[MODEL] MODEL_ARCH = {spec.architecture} can't take {size}: {reason}: change "
            "IMAGE_SIZE, or [DATA] VOLUME_SHAPE"
        ) from error


def choose_targets(
    architecture: Architecture,
    *,
    task: Task | Literal["auto"] = "auto",
    labels: Sequence[str] = (),
    num_classes: int | None = None,
) -> TargetSpec:
    """What a network answers, from what the user says of it.

    Raises:
        ConfigError: The number of labels and of classes differ, nothing names the answers, or the
            six zones are given other names.
    """
    names = tuple(labels)
    if num_classes is not None and num_classes < 1:
        raise ConfigError(f"num_classes = {num_classes}: expected at least 1")
    if num_classes is not None and names and len(names) != num_classes:
        raise ConfigError(f"num_classes = {num_classes}, but {len(names)} labels: keep one of them")
    if task == "auto":
        task = _likely_task(architecture, has_answers=bool(names) or num_classes is not None)
    if task == "csi":
        if names or num_classes is not None:
            raise ConfigError("task = csi answers six zones: expected no labels and no num_classes")
        return TargetSpec()
    if not names and num_classes is not None:
        is_own = num_classes == len(architecture.labels)
        numbered = tuple(f"class_{index}" for index in range(num_classes))
        names = architecture.labels if is_own else numbered
    if task in ("change", "reconstruction"):
        names = names or (task,)
    names = names or architecture.labels
    if not names:
        raise ConfigError(f"[DATA] LABELS is empty: TASK = {task} needs the answers' names")
    num_answers = len(names) if task == "multiclass" else 2
    return TargetSpec(task=task, names=names, num_classes=num_answers)


def default_head(architecture: Architecture, task: Task, head: Head | None) -> dict[str, Any]:
    """The fields of a `ModelSpec` that follow from the task where the user doesn't set them."""
    head = head or architecture.head or HEAD_OF_TASK[task]
    if head in ("ordinal", "softmax"):
        return {"head": head}
    hidden = architecture.head_hidden if head == "linear" else 0
    return {"head": head, "zone_focus": "none", "head_hidden": hidden}


def as_patch(
    patch_size: int | Sequence[int] | None, architecture: Architecture
) -> tuple[int, ...] | None:
    """One number as a patch of as many edges as the network's input has.

    Raises:
        ConfigError: It has another number of edges.
    """
    if patch_size is None:
        return None
    edges = (patch_size,) if isinstance(patch_size, int) else tuple(patch_size)
    if len(edges) not in (1, architecture.dimensions):
        raise ConfigError(
            f"[MODEL] PATCH_SIZE has {len(edges)} numbers: {architecture.name} expects 1 or "
            f"{architecture.dimensions}"
        )
    return edges * architecture.dimensions if len(edges) == 1 else edges


def _likely_task(architecture: Architecture, *, has_answers: bool) -> Task:
    if architecture.tasks:
        return architecture.tasks[0]
    return "csi" if architecture.dimensions == 2 and not has_answers else "multilabel"


def _check_stem(spec: ModelSpec, architecture: Architecture) -> None:
    if spec.stem == "small" and not has_small_stem(architecture):
        raise ConfigError(
            f"[MODEL] STEM = small: {architecture.name} has none: expected auto or published, or a "
            "2D resnet"
        )


def has_small_stem(architecture: Architecture) -> bool:
    """Whether the network's first layers can be made for pictures of 28 pixels."""
    return architecture.family == "resnet" and architecture.dimensions == 2


def _check_zones(spec: ModelSpec, architecture: Architecture) -> None:
    has_zones = spec.head in ("ordinal", "softmax")
    if architecture.dimensions == 3 and has_zones:
        raise ConfigError(
            f"[MODEL] HEAD = {spec.head}: six zones are of radiographs, and {architecture.name} "
            "takes volumes: expected linear, map or projection"
        )
    task = spec.target_spec.task
    if has_zones != (task == "csi"):
        expected = "linear, map or projection" if has_zones else "ordinal or softmax"
        raise ConfigError(f"[MODEL] HEAD = {spec.head}: of TASK = {task}: expected {expected}")
    if spec.zone_focus == "masking" and not has_zones:
        raise ConfigError(
            f"[MODEL] ZONE_FOCUS = masking: a {spec.head} head has no zones: expected none"
        )


def _choose_pooling(spec: ModelSpec) -> HeadInput | None:
    """What stands between the encoder and the head; None = the encoder's pooled vector."""
    if spec.head == "map":
        return nn.Identity()
    if spec.zone_focus == "pooling" and spec.head in ("ordinal", "softmax"):
        return ZonePooling(global_context=spec.global_context)
    return None


def _build_classifier(spec: ModelSpec, encoder: Encoder) -> nn.Module:
    num_outputs = len(spec.target_spec.names)
    if spec.head == "map":
        return DenseMapHead(
            encoder.feature_dims,
            size=spec.input_spec.size,
            num_outputs=num_outputs,
            dropout_rate=spec.dropout_rate,
        )
    if spec.head == "projection":
        return ProjectionHead(encoder.feature_dim, dropout_rate=spec.dropout_rate)
    if spec.head == "linear":
        return linear_head(
            encoder.feature_dim,
            num_outputs=num_outputs,
            dropout_rate=spec.dropout_rate,
            hidden=spec.head_hidden,
        )
    return _build_zone_classifier(spec, encoder)


def _build_zone_classifier(spec: ModelSpec, encoder: Encoder) -> nn.Module:
    pools_zones = spec.zone_focus == "pooling"
    width = sum(encoder.feature_dims) if pools_zones else encoder.feature_dim
    return ZoneClassifier(
        width * 2 if pools_zones and spec.global_context else width,
        kind="softmax" if spec.head == "softmax" else "ordinal",
        dropout_rate=spec.dropout_rate,
        learn_thresholds=spec.thresholds == "learned",
        share_zones=spec.zone_focus != "none",
        num_zones=len(spec.target_spec.names),
    )


def _build_masking(spec: ModelSpec) -> ZoneMasking | None:
    if spec.zone_focus != "masking":
        return None
    return ZoneMasking(
        spec.input_spec, strategy=spec.masking_strategy, strength=spec.attention_strength
    )
