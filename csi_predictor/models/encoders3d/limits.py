"""What a network of volumes can be asked for; anything else is refused before it is built."""

from csi_predictor.architectures import Architecture
from csi_predictor.errors import ConfigError
from csi_predictor.models.encoder import EncoderOptions


def check_levels(architecture: Architecture, options: EncoderOptions, num_resolutions: int) -> None:
    """Refuse more maps than the network has resolutions.

    Raises:
        ConfigError: FEATURE_LEVELS is too large.
    """
    if options.feature_levels > num_resolutions:
        has = f"{num_resolutions} resolutions" if num_resolutions > 1 else "one resolution"
        expected = f"1 to {num_resolutions}" if num_resolutions > 1 else "1"
        raise ConfigError(
            f"[MODEL] FEATURE_LEVELS = {options.feature_levels}: {architecture.name} has {has}: "
            f"expected {expected}"
        )


def check_edges(architecture: Architecture, options: EncoderOptions, smallest: int) -> None:
    """Refuse a volume that the halvings would use up.

    Raises:
        ConfigError: An edge of VOLUME_SHAPE is too short.
    """
    size = options.input_spec.size
    if min(size) < smallest:
        raise ConfigError(
            f"[DATA] VOLUME_SHAPE = {as_edges(size)}: {architecture.name} halves the volume five "
            f"times: expected edges of at least {smallest} voxels"
        )


def as_edges(size: tuple[int, ...]) -> str:
    """(128, 256, 256) -> `128x256x256`."""
    return "x".join(map(str, size))
