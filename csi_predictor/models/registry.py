"""From a name to an encoder: imports the builder that a registry row names."""

from collections.abc import Callable
from importlib import import_module
from typing import cast

from csi_predictor.architectures import Architecture, find_architecture
from csi_predictor.errors import ConfigError
from csi_predictor.models.encoder import Encoder
from csi_predictor.specs import InputSpec


def resolve_architecture(name: str, variant: str = "") -> Architecture:
    """The registry's row of a name.

    Raises:
        ConfigError: No such row; the message lists the nearest name and all others.
    """
    try:
        return find_architecture(name, variant)
    except KeyError as error:
        raise ConfigError(f"[MODEL] MODEL_ARCH = {error.args[0]}") from error


def build_encoder(
    architecture: Architecture,
    *,
    input_spec: InputSpec,
    drop_path_rate: float = 0.0,
    feature_levels: int = 1,
) -> Encoder:
    """The encoder of a row, with random weights.

    Args:
        architecture: The row.
        input_spec: The picture that it will take.
        drop_path_rate: Stochastic depth.
        feature_levels: 1 = the last map; n = it and the n - 1 resolutions before it.

    Raises:
        ConfigError: The network can't do what is asked.
    """
    module_name, _, function_name = architecture.builder.partition(":")
    builder = cast(Callable[..., Encoder], getattr(import_module(module_name), function_name))
    return builder(
        architecture,
        input_spec=input_spec,
        drop_path_rate=drop_path_rate,
        feature_levels=feature_levels,
    )
