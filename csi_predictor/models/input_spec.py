"""The picture that a network takes: the published one, changed by the INI."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from csi_predictor.architectures import Architecture
from csi_predictor.errors import ConfigError
from csi_predictor.specs import Fit, InputSpec, VoiRule

Normalization = Literal["auto", "medical", "imagenet", "simple", "custom"]

_NORMALIZATIONS: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "medical": ((0.5,), (0.5,)),
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "simple": ((0.0,), (1.0,)),
}


def published_input_spec(architecture: Architecture) -> InputSpec:
    """The picture that a row's network was made for; of `timm/<name>`, timm is asked.

    Raises:
        ConfigError: timm has no such network.
    """
    if architecture.input_spec is not None:
        return architecture.input_spec
    from csi_predictor.models.encoders2d.timm_encoder import read_published_input

    return read_published_input(architecture)


def adapt_input_spec(
    published: InputSpec,
    *,
    image_size: int | Sequence[int] | None = None,
    in_channels: int | None = None,
    normalization: Normalization = "auto",
    custom_mean: Sequence[float] = (),
    custom_std: Sequence[float] = (),
    fit: Fit | None = None,
    voi: VoiRule = "window",
    low_percentile: float | None = None,
    high_percentile: float | None = None,
) -> InputSpec:
    """The published picture with the user's changes; None and `auto` keep what is published.

    Args:
        published: The starting point.
        image_size: Edge of the square picture, pixels; or (H, W), or (D, H, W) in voxels.
        in_channels: 1 or 3.
        normalization: Which mean and standard deviation.
        custom_mean: Of `custom`, one number or one a channel.
        custom_std: Of `custom`, one number or one a channel.
        fit: How another aspect ratio is met.
        voi: The DICOM window rule.
        low_percentile: Of the pixels, that becomes 0.
        high_percentile: Of the pixels, that becomes 1.

    Raises:
        ConfigError: `custom` has another number of values than channels, the size another number
            of edges than the network's input, or the picture is made by an official processor,
            which sets size, fit and normalisation itself.
    """
    if published.processor is not None:
        _check_left_to_processor(image_size, fit, normalization)
    low, high = published.percentiles
    channels = published.channels if in_channels is None else in_channels
    if normalization == "auto":
        mean, std = published.mean, published.std
    elif normalization == "custom":
        mean, std = tuple(custom_mean), tuple(custom_std)
        _check_custom(mean, std, channels)
    else:
        mean, std = _NORMALIZATIONS[normalization]
    return replace(
        published,
        size=_size(published.size, image_size),
        channels=channels,
        mean=_per_channel(mean, channels),
        std=_per_channel(std, channels),
        fit=published.fit if fit is None else fit,
        voi=voi,
        percentiles=(
            low if low_percentile is None else low_percentile,
            high if high_percentile is None else high_percentile,
        ),
    )


def _check_left_to_processor(
    image_size: int | Sequence[int] | None, fit: Fit | None, normalization: Normalization
) -> None:
    changed = [
        key
        for key, is_changed in (
            ("[MODEL] IMAGE_SIZE", image_size is not None),
            ("[DATA] FIT", fit is not None),
            ("[DATA] NORMALIZATION_STRATEGY", normalization != "auto"),
        )
        if is_changed
    ]
    if changed:
        raise ConfigError(
            f"{', '.join(changed)}: the official processor sets it: expected auto, or [MODEL] "
            "USE_OFFICIAL_PROCESSOR = false"
        )


def _size(published: tuple[int, ...], wanted: int | Sequence[int] | None) -> tuple[int, ...]:
    if wanted is None:
        return published
    edges = (wanted,) * len(published) if isinstance(wanted, int) else tuple(wanted)
    key = "[DATA] VOLUME_SHAPE" if len(published) == 3 else "[MODEL] IMAGE_SIZE"
    if len(edges) != len(published):
        raise ConfigError(f"{key} has {len(edges)} edges: expected {len(published)}")
    if min(edges) < 1:
        raise ConfigError(f"{key} = {edges}: expected edges of at least 1")
    return edges


def _per_channel(values: tuple[float, ...], channels: int) -> tuple[float, ...]:
    """One value a channel: repeated, or for a grey picture the colours' mean."""
    if len(values) == channels:
        return values
    return (sum(values) / len(values),) * channels


def _check_custom(mean: tuple[float, ...], std: tuple[float, ...], channels: int) -> None:
    for key, values in (("CUSTOM_MEAN", mean), ("CUSTOM_STD", std)):
        if len(values) not in (1, channels):
            raise ConfigError(
                f"[DATA] {key} has {len(values)} numbers: expected 1, or {channels}, one a channel"
            )
