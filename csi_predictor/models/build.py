"""From the config, from keywords or from a bundle's facts to a whole network."""

from pathlib import Path
from typing import Any

from torch import nn

from csi_predictor.architectures import Architecture
from csi_predictor.config.schema import Config
from csi_predictor.errors import ConfigError
from csi_predictor.models.assemble import CsiModel
from csi_predictor.models.heads.linear import linear_head
from csi_predictor.models.heads.masking import ZoneMasking
from csi_predictor.models.heads.pooling import GlobalPooling, ZonePooling
from csi_predictor.models.heads.zones import ZoneClassifier
from csi_predictor.models.input_spec import adapt_input_spec, published_input_spec
from csi_predictor.models.model_spec import ModelSpec
from csi_predictor.models.registry import build_encoder, resolve_architecture
from csi_predictor.models.weights import find_pretrained, load_encoder_weights
from csi_predictor.specs import InputSpec, TargetSpec

MODELS_CACHE = Path("models_cache")


def build_model(config: Config) -> CsiModel:
    """The network that an INI describes, with its pretrained weights if it asks for them.

    Random weights come from torch's global generator; the caller seeds it.

    Raises:
        ConfigError: The architecture is unknown or can't do what is asked.
        WeightsError: The weights are missing, damaged or of another network.
    """
    section = config.model
    architecture = resolve_architecture(section.model_arch, section.variant)
    model = build_model_from_spec(_read_spec(config, architecture))
    if section.weights is not None:
        load_encoder_weights(model.backbone, section.weights)
    elif section.pretrained:
        runtime = config.runtime
        _load_pretrained(model, architecture, runtime.models_cache, offline=runtime.offline)
    if section.gradient_checkpointing:
        model.set_gradient_checkpointing(True)
    return model


def create_model(
    name: str,
    variant: str = "",
    *,
    num_classes: int | None = None,
    pretrained: bool = False,
    weights: Path | None = None,
    models_cache: Path = MODELS_CACHE,
    offline: bool = False,
    image_size: int | None = None,
    in_channels: int | None = None,
    **spec: Any,
) -> CsiModel:
    """The same without an INI: `create_model("efficientnet", "b3", num_classes=14)`.

    Args:
        name: A name of the registry, a family, or `timm/<name>`.
        variant: Completes a family's name.
        num_classes: Logits of a linear head; None = the six-zone head.
        pretrained: True = published weights from `models_cache`, or downloaded into it.
        weights: A local weights file for the encoder instead.
        models_cache: Folder of published weights.
        offline: True = never ask the network.
        image_size: Edge of the square picture, pixels; None = the architecture's own.
        in_channels: 1 or 3; None = the architecture's own.
        **spec: Further fields of `ModelSpec`: `dropout_rate`, `drop_path_rate`, `head`,
            `zone_focus`, `feature_levels`, ...

    Raises:
        ConfigError: The architecture is unknown or can't do what is asked.
        WeightsError: The weights are missing, damaged or of another network.
    """
    architecture = resolve_architecture(name, variant)
    published = published_input_spec(architecture)
    input_spec = adapt_input_spec(published, image_size=image_size, in_channels=in_channels)
    if num_classes is not None:
        names = tuple(f"class_{index}" for index in range(num_classes))
        targets = TargetSpec(task="labels", names=names, num_classes=2)
        spec = {"target_spec": targets, "head": "linear", "zone_focus": "none", **spec}
    model = build_model_from_spec(
        ModelSpec(architecture=architecture.name, input_spec=input_spec, **spec)
    )
    if weights is not None:
        load_encoder_weights(model.backbone, weights)
    elif pretrained:
        _load_pretrained(model, architecture, models_cache, offline=offline)
    return model


def build_model_from_spec(spec: ModelSpec) -> CsiModel:
    """The network of a spec with random weights; never reads or fetches a weights file.

    Evaluation and scoring build with this and load the bundle's own weights over it.

    Raises:
        ConfigError: The architecture is unknown or can't do what is asked.
    """
    encoder = build_encoder(
        resolve_architecture(spec.architecture),
        input_spec=spec.input_spec,
        drop_path_rate=spec.drop_path_rate,
        feature_levels=spec.feature_levels,
    )
    pools_zones = spec.zone_focus == "pooling" and spec.head != "linear"
    return CsiModel(
        encoder,
        pooling=ZonePooling(global_context=spec.global_context) if pools_zones else GlobalPooling(),
        classifier=_build_classifier(spec, encoder.feature_dim),
        masking=_build_masking(spec),
        spec=spec,
    )


def build_model_spec(config: Config) -> ModelSpec:
    """The network that an INI describes, without weights.

    Raises:
        ConfigError: The architecture is unknown.
    """
    section = config.model
    return _read_spec(config, resolve_architecture(section.model_arch, section.variant))


def _build_classifier(spec: ModelSpec, feature_dim: int) -> nn.Module:
    if spec.head == "linear":
        num_outputs = len(spec.target_spec.names)
        return linear_head(feature_dim, num_outputs=num_outputs, dropout_rate=spec.dropout_rate)
    has_context = spec.zone_focus == "pooling" and spec.global_context
    return ZoneClassifier(
        feature_dim * 2 if has_context else feature_dim,
        kind=spec.head,
        dropout_rate=spec.dropout_rate,
        learn_thresholds=spec.thresholds == "learned",
        share_zones=spec.zone_focus != "none",
        num_zones=len(spec.target_spec.names),
    )


def _build_masking(spec: ModelSpec) -> ZoneMasking | None:
    if spec.zone_focus != "masking":
        return None
    if spec.head == "linear":
        raise ConfigError("[MODEL] ZONE_FOCUS = masking: a linear head has no zones: expected none")
    return ZoneMasking(
        spec.input_spec, strategy=spec.masking_strategy, strength=spec.attention_strength
    )


def _read_spec(config: Config, architecture: Architecture) -> ModelSpec:
    section = config.model
    return ModelSpec(
        architecture=architecture.name,
        input_spec=_read_input_spec(config, architecture),
        head=section.head,
        thresholds=section.thresholds,
        zone_focus=section.zone_focus,
        masking_strategy=section.masking_strategy,
        attention_strength=section.attention_strength,
        feature_levels=section.feature_levels,
        global_context=section.global_context,
        dropout_rate=section.dropout_rate,
        drop_path_rate=section.drop_path_rate,
    )


def _read_input_spec(config: Config, architecture: Architecture) -> InputSpec:
    model, data = config.model, config.data
    return adapt_input_spec(
        published_input_spec(architecture),
        image_size=None if model.image_size == "auto" else model.image_size,
        in_channels=None if model.in_channels == "auto" else model.in_channels,
        normalization=data.normalization_strategy,
        custom_mean=data.custom_mean,
        custom_std=data.custom_std,
        fit=None if data.fit == "auto" else data.fit,
        voi=data.voi,
        percentiles=(data.low_percentile, data.high_percentile),
    )


def _load_pretrained(
    model: CsiModel, architecture: Architecture, models_cache: Path, *, offline: bool
) -> None:
    path = find_pretrained(architecture, models_cache=models_cache, offline=offline)
    load_encoder_weights(model.backbone, path)
