"""From a name to a network: imports the builder that a registry row names."""

from collections.abc import Callable
from importlib import import_module
from typing import Any, cast

from csi_predictor.architectures import Architecture, find_architecture
from csi_predictor.errors import ConfigError
from csi_predictor.models.encoder import Encoder, EncoderOptions


def resolve_architecture(name: str, variant: str = "") -> Architecture:
    """The registry's row of a name.

    Raises:
        ConfigError: No such row; the message lists the nearest name and all others.
    """
    try:
        return find_architecture(name, variant)
    except KeyError as error:
        raise ConfigError(f"[MODEL] MODEL_ARCH = {error.args[0]}") from error


def build_encoder(architecture: Architecture, options: EncoderOptions) -> Encoder:
    """The encoder of a row, with random weights.

    Raises:
        ConfigError: The network can't do what is asked.
    """
    return cast(Encoder, import_builder(architecture)(architecture, options))


def import_builder(architecture: Architecture) -> Callable[..., Any]:
    """The function that a row names."""
    module_name, _, function_name = architecture.builder.partition(":")
    return cast(Callable[..., Any], getattr(import_module(module_name), function_name))
