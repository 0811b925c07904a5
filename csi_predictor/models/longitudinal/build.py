"""Rows of the registry to longitudinal networks."""

from collections.abc import Callable
from typing import Any

from csi_predictor.architectures import Architecture
from csi_predictor.errors import ConfigError
from csi_predictor.models.encoder import EncoderOptions, refuse_token_options
from csi_predictor.models.longitudinal.change import LongitudinalMIMModel, LongitudinalMIMModelBig
from csi_predictor.models.longitudinal.classification import ClassificationModel
from csi_predictor.models.longitudinal.contrastive import ContrastiveEncoder
from csi_predictor.models.longitudinal.discriminator import Discriminator
from csi_predictor.models.longitudinal.reconstruction import MaskedReconstructionModel
from csi_predictor.models.longitudinal.transformer_branch import Size
from csi_predictor.models.model_spec import HEAD_OF_TASK, ModelSpec
from csi_predictor.models.staged import StagedModel

_MAP_TASKS = ("change", "reconstruction")
_MAP_NETWORKS: dict[str, Callable[..., StagedModel]] = {
    "longitudinal_mim_big": LongitudinalMIMModelBig,
    "longitudinal_mim": LongitudinalMIMModel,
    "masked_reconstruction": MaskedReconstructionModel,
}


def build_longitudinal(architecture: Architecture, spec: ModelSpec) -> StagedModel:
    """The network of a row, as a spec asks for it.

    Raises:
        ConfigError: The spec asks for what the network can't do.
    """
    _check(architecture, spec)
    name, channels = architecture.name, spec.input_spec.channels
    common: dict[str, Any] = {
        "img_size": _size(spec),
        "dropout_rate": spec.dropout_rate,
        "spec": spec,
    }
    if name == "patchgan_discriminator":
        if spec.drop_path_rate:
            raise ConfigError(
                f"[MODEL] DROP_PATH_RATE = {spec.drop_path_rate:g}: {name} has no residual paths "
                "to drop: expected 0"
            )
        return Discriminator(channels, **common)
    common["drop_path_rate"] = spec.drop_path_rate
    if name == "longitudinal_classification":
        return ClassificationModel(channels, len(spec.target_spec.names), **common)
    if name == "contrastive_encoder":
        return ContrastiveEncoder(channels, **common)
    return _MAP_NETWORKS[name](channels, output=spec.map_range, **common)


def _check(architecture: Architecture, spec: ModelSpec) -> None:
    refuse_token_options(
        architecture,
        EncoderOptions(
            input_spec=spec.input_spec, pooling=spec.pooling, patch_size=spec.patch_size
        ),
    )
    task, names = spec.target_spec.task, spec.target_spec.names
    if task not in architecture.tasks:
        raise ConfigError(
            f"[DATA] TASK = {task}: {architecture.name} can't answer it: expected "
            f"{' or '.join(architecture.tasks)}"
        )
    if task in _MAP_TASKS and len(names) != 1:
        raise ConfigError(
            f"[DATA] LABELS has {len(names)} names: {architecture.name} gives one map: "
            "expected none or one"
        )
    if spec.head != (architecture.head or HEAD_OF_TASK[task]) or spec.head_hidden:
        raise ConfigError(
            f"[MODEL] HEAD = {spec.head}, HEAD_HIDDEN = {spec.head_hidden}: {architecture.name} "
            "brings its own head: expected auto for both"
        )
    if spec.feature_levels != 1:
        raise ConfigError(
            f"[MODEL] FEATURE_LEVELS = {spec.feature_levels}: {architecture.name} chooses its own "
            "maps: expected 1"
        )


def _size(spec: ModelSpec) -> Size:
    height, width = spec.input_spec.size
    return height, width
