"""From the config to a whole network: the one file of this room that opens the config."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from csi_predictor.architectures import Architecture
from csi_predictor.config.schema import Config
from csi_predictor.medmnist_sets import find_medmnist_set
from csi_predictor.models.create import (
    as_patch,
    build_model_from_spec,
    choose_targets,
    default_head,
    has_small_stem,
)
from csi_predictor.models.input_spec import adapt_input_spec, published_input_spec
from csi_predictor.models.model_spec import ModelSpec, Stem
from csi_predictor.models.raddino_processor import PROCESSOR_FILE, official_input_spec
from csi_predictor.models.registry import resolve_architecture
from csi_predictor.models.staged import StagedModel
from csi_predictor.models.weights import find_pretrained, load_published_weights
from csi_predictor.specs import InputSpec, TargetSpec

EIGHT_BIT = (0.0, 255.0)
"""Values of the published MedMNIST pictures, masks and volumes."""

SMALLEST_PUBLISHED_STEM = 64
"""Pixels; below it STEM = auto is small."""


def build_model(config: Config, targets: TargetSpec | None = None) -> StagedModel:
    """The network that an INI describes, with its pretrained weights if it asks for them.

    Random weights come from torch's global generator; the caller seeds it.

    Args:
        config: The whole configuration.
        targets: What it answers, as found in a labels table; None = what [DATA] says.

    Raises:
        ConfigError: The architecture is unknown or can't do what is asked.
        WeightsError: The weights are missing, damaged or of another network.
    """
    architecture = resolve_architecture(config.model.model_arch, config.model.variant)
    model = build_model_from_spec(_read_spec(config, architecture, targets))
    path = _find_weights(config, architecture)
    if path is not None:
        load_published_weights(model, architecture, path)
    if config.model.gradient_checkpointing:
        model.set_gradient_checkpointing(True)
    return model


def build_model_spec(config: Config, targets: TargetSpec | None = None) -> ModelSpec:
    """The network that an INI describes, without weights; arguments as of `build_model`.

    Raises:
        ConfigError: The architecture is unknown.
    """
    section = config.model
    architecture = resolve_architecture(section.model_arch, section.variant)
    return _read_spec(config, architecture, targets)


def build_input_spec(config: Config) -> InputSpec:
    """The picture that the network of an INI takes, whatever it answers.

    Raises:
        ConfigError: The architecture is unknown.
    """
    section = config.model
    return _read_input_spec(config, resolve_architecture(section.model_arch, section.variant))


def _find_weights(config: Config, architecture: Architecture) -> Path | None:
    if config.model.weights is not None:
        return config.model.weights
    if not config.model.pretrained:
        return None
    runtime = config.runtime
    return find_pretrained(architecture, models_cache=runtime.models_cache, offline=runtime.offline)


def _read_spec(config: Config, architecture: Architecture, targets: TargetSpec | None) -> ModelSpec:
    section = config.model
    if targets is None:
        targets = _read_targets(config, architecture)
    wanted = None if section.head == "auto" else section.head
    head = default_head(architecture, targets.task, wanted)
    input_spec = _read_input_spec(config, architecture)
    if section.head_hidden != "auto":
        head["head_hidden"] = section.head_hidden
    return ModelSpec(
        architecture=architecture.name,
        input_spec=input_spec,
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
        stem=_choose_stem(config, architecture, input_spec),
        map_range=section.change_output,
        patch_size=as_patch(section.patch_size or None, architecture),
    )


def _read_targets(config: Config, architecture: Architecture) -> TargetSpec:
    data = config.data
    labels: Sequence[str] = data.labels
    if data.source == "medmnist" and not labels:
        labels = find_medmnist_set(data.medmnist_flag).labels
    return choose_targets(architecture, task=data.task, labels=labels)


def _choose_stem(config: Config, architecture: Architecture, input_spec: InputSpec) -> Stem:
    """STEM, with auto decided: published weights fit only the published stem."""
    section = config.model
    if section.stem != "auto":
        return section.stem
    has_weights = section.pretrained or section.weights is not None
    is_tiny = min(input_spec.size) < SMALLEST_PUBLISHED_STEM
    return "small" if is_tiny and not has_weights and has_small_stem(architecture) else "published"


def _read_input_spec(config: Config, architecture: Architecture) -> InputSpec:
    model, data = config.model, config.data
    is_volume = architecture.dimensions == 3
    image_size = None if model.image_size == "auto" else model.image_size
    if data.source == "medmnist" and image_size is None:
        image_size = data.medmnist_size
    spec = adapt_input_spec(
        _find_published_input(config, architecture),
        image_size=data.volume_shape or _cube(config) if is_volume else image_size,
        in_channels=None if model.in_channels == "auto" else model.in_channels,
        normalization=data.normalization_strategy,
        custom_mean=data.custom_mean,
        custom_std=data.custom_std,
        fit=None if data.fit == "auto" else data.fit,
        voi=data.voi,
        low_percentile=None if data.low_percentile == "auto" else data.low_percentile,
        high_percentile=None if data.high_percentile == "auto" else data.high_percentile,
    )
    if data.source == "medmnist":
        return replace(spec, value_range=EIGHT_BIT)
    if not is_volume:
        return spec
    hu_range = None
    if data.hu_min != "auto" and data.hu_max != "auto":
        hu_range = (data.hu_min, data.hu_max)
    return replace(spec, hu_range=hu_range, spacing_mm=data.spacing_mm or None)


def _cube(config: Config) -> tuple[int, ...] | None:
    """The published cube of a MedMNIST set; None = the network's own volume."""
    return (config.data.medmnist_size,) * 3 if config.data.source == "medmnist" else None


def _find_published_input(config: Config, architecture: Architecture) -> InputSpec:
    if config.model.use_official_processor:
        runtime = config.runtime
        if not runtime.offline and architecture.weights is not None:
            find_pretrained(
                architecture, models_cache=runtime.models_cache, offline=False, name=PROCESSOR_FILE
            )
        return official_input_spec(architecture, runtime.models_cache)
    return published_input_spec(architecture)
