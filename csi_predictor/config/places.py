"""What every rule about several keys needs."""

from collections.abc import Callable

from csi_predictor.architectures import Architecture, find_architecture
from csi_predictor.config.schema import Config

Place = Callable[[str, str], str]
"""(SECTION, KEY) -> where it was set and to what, for a message."""


def find_row(config: Config) -> Architecture | None:
    """The registry's row of MODEL_ARCH; None where it is unknown, which has a rule of its own."""
    try:
        return find_architecture(config.model.model_arch, config.model.variant)
    except KeyError:
        return None
