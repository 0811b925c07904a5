"""From the config to a whole network: the one file of this room that opens the config."""

from pathlib import Path

from csi_predictor.architectures import Architecture
from csi_predictor.config.schema import Config
from csi_predictor.models.create import (
    as_patch,
    build_model_from_spec,
    choose_targets,
    default_head,
)
from csi_predictor.models.input_spec import adapt_input_spec, published_input_spec
from csi_predictor.models.model_spec import ModelSpec
from csi_predictor.models.raddino_processor import PROCESSOR_FILE, official_input_spec
from csi_predictor.models.registry import resolve_architecture
from csi_predictor.models.staged import StagedModel
from csi_predictor.models.weights import find_pretrained, load_published_weights
from csi_predictor.specs import InputSpec


def build_model(config: Config) -> StagedModel:
    """The network that an INI describes, with its pretrained weights if it asks for them.

    Random weights come from torch's global generator; the caller seeds it.

    Raises:
        ConfigError: The architecture is unknown or can't do what is asked.
        WeightsError: The weights are missing, damaged or of another network.
    """
    architecture = resolve_architecture(config.model.model_arch, config.model.variant)
    model = build_model_from_spec(_read_spec(config, architecture))
    path = _find_weights(config, architecture)
    if path is not None:
        load_published_weights(model, architecture, path)
    if config.model.gradient_checkpointing:
        model.set_gradient_checkpointing(True)
    return model


def build_model_spec(config: Config) -> ModelSpec:
    """The network that an INI describes, without weights.

    Raises:
        ConfigError: The architecture is unknown.
    """
    section = config.model
    return _read_spec(config, resolve_architecture(section.model_arch, section.variant))


def _find_weights(config: Config, architecture: Architecture) -> Path | None:
    if config.model.weights is not None:
        return config.model.weights
    if not config.model.pretrained:
        return None
    runtime = config.runtime
    return find_pretrained(architecture, models_cache=runtime.models_cache, offline=runtime.offline)


def _read_spec(config: Config, architecture: Architecture) -> ModelSpec:
    section = config.model
    targets = choose_targets(architecture, task=config.data.task, labels=config.data.labels)
    wanted = None if section.head == "auto" else section.head
    head = default_head(architecture, targets.task, wanted)
    if section.head_hidden != "auto":
        head["head_hidden"] = section.head_hidden
    return ModelSpec(
        architecture=architecture.name,
        input_spec=_read_input_spec(config, architecture),
        target_spec=targets,
        **{"zone_focus": section.zone_focus, **head},
        thresholds=section.thresholds,
        masking_strategy=section.masking_strategy,
        attention_strength=section.attention_strength,
        feature_levels=section.feature_levels,
        global_context=section.global_context,
        dropout_rate=section.dropout_rate,
        drop_path_rate=section.drop_path_rate,
        pooling=section.pooling,
        map_range=section.change_output,
        patch_size=as_patch(section.patch_size or None, architecture),
    )


def _read_input_spec(config: Config, architecture: Architecture) -> InputSpec:
    model, data = config.model, config.data
    image_size = None if model.image_size == "auto" else model.image_size
    return adapt_input_spec(
        _find_published_input(config, architecture),
        image_size=data.volume_shape or None if architecture.dimensions == 3 else image_size,
        in_channels=None if model.in_channels == "auto" else model.in_channels,
        normalization=data.normalization_strategy,
        custom_mean=data.custom_mean,
        custom_std=data.custom_std,
        fit=None if data.fit == "auto" else data.fit,
        voi=data.voi,
        low_percentile=None if data.low_percentile == "auto" else data.low_percentile,
        high_percentile=None if data.high_percentile == "auto" else data.high_percentile,
    )


def _find_published_input(config: Config, architecture: Architecture) -> InputSpec:
    if config.model.use_official_processor:
        runtime = config.runtime
        if not runtime.offline and architecture.weights is not None:
            find_pretrained(
                architecture, models_cache=runtime.models_cache, offline=False, name=PROCESSOR_FILE
            )
        return official_input_spec(architecture, runtime.models_cache)
    return published_input_spec(architecture)
