"""Rows of the registry to longitudinal networks."""

from csi_predictor.architectures import Architecture
from csi_predictor.errors import ConfigError
from csi_predictor.models.encoder import EncoderOptions, refuse_token_options
from csi_predictor.models.longitudinal.change import LongitudinalMIMModel, LongitudinalMIMModelBig
from csi_predictor.models.longitudinal.classification import ClassificationModel
from csi_predictor.models.longitudinal.contrastive import ContrastiveEncoder
from csi_predictor.models.longitudinal.discriminator import Discriminator
from csi_predictor.models.longitudinal.reconstruction import MaskedReconstructionModel
from csi_predictor.models.longitudinal.transformer_branch import Size
from csi_predictor.models.model_spec import Head, ModelSpec

_MAP_TASKS = ("change", "reconstruction")


def build_longitudinal_mim_big(
    architecture: Architecture, spec: ModelSpec
) -> LongitudinalMIMModelBig:
    """The recommended network of a spec.

    Raises:
        ConfigError: The spec asks for what the network can't do.
    """
    _check(architecture, spec)
    return LongitudinalMIMModelBig(
        spec.input_spec.channels,
        img_size=_size(spec),
        output=spec.map_range,
        dropout_rate=spec.dropout_rate,
        drop_path_rate=spec.drop_path_rate,
        spec=spec,
    )


def build_longitudinal_mim(architecture: Architecture, spec: ModelSpec) -> LongitudinalMIMModel:
    """The smaller network of a spec.

    Raises:
        ConfigError: The spec asks for what the network can't do.
    """
    _check(architecture, spec)
    return LongitudinalMIMModel(
        spec.input_spec.channels,
        img_size=_size(spec),
        output=spec.map_range,
        dropout_rate=spec.dropout_rate,
        drop_path_rate=spec.drop_path_rate,
        spec=spec,
    )


def build_masked_reconstruction(
    architecture: Architecture, spec: ModelSpec
) -> MaskedReconstructionModel:
    """The pre-training network of a spec.

    Raises:
        ConfigError: The spec asks for what the network can't do.
    """
    _check(architecture, spec)
    return MaskedReconstructionModel(
        spec.input_spec.channels,
        img_size=_size(spec),
        output=spec.map_range,
        dropout_rate=spec.dropout_rate,
        drop_path_rate=spec.drop_path_rate,
        spec=spec,
    )


def build_longitudinal_classification(
    architecture: Architecture, spec: ModelSpec
) -> ClassificationModel:
    """The classifier of a spec's labels.

    Raises:
        ConfigError: The spec asks for what the network can't do.
    """
    _check(architecture, spec, heads=("linear",))
    return ClassificationModel(
        spec.input_spec.channels,
        len(spec.target_spec.names),
        img_size=_size(spec),
        dropout_rate=spec.dropout_rate,
        drop_path_rate=spec.drop_path_rate,
        spec=spec,
    )


def build_contrastive_encoder(architecture: Architecture, spec: ModelSpec) -> ContrastiveEncoder:
    """The contrastive pre-training network of a spec.

    Raises:
        ConfigError: The spec asks for what the network can't do.
    """
    _check(architecture, spec, heads=("map", "projection"))  # auto is the task's: map
    return ContrastiveEncoder(
        spec.input_spec.channels,
        img_size=_size(spec),
        dropout_rate=spec.dropout_rate,
        drop_path_rate=spec.drop_path_rate,
        spec=spec,
    )


def build_patchgan_discriminator(architecture: Architecture, spec: ModelSpec) -> Discriminator:
    """The discriminator of a spec.

    Raises:
        ConfigError: The spec asks for what the network can't do.
    """
    _check(architecture, spec)
    if spec.drop_path_rate:
        raise ConfigError(
            f"[MODEL] DROP_PATH_RATE = {spec.drop_path_rate:g}: {architecture.name} has no "
            "residual paths to drop: expected 0"
        )
    return Discriminator(
        spec.input_spec.channels, img_size=_size(spec), dropout_rate=spec.dropout_rate, spec=spec
    )


def _check(
    architecture: Architecture, spec: ModelSpec, *, heads: tuple[Head, ...] = ("map",)
) -> None:
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
    if spec.head not in heads or spec.head_hidden:
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
