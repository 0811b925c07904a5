"""Every network of timm as an encoder: most rows of the registry, and any `timm/<name>`."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any, cast

import timm
import torch
from timm.layers.patch_embed import resample_patch_embed
from timm.layers.pos_embed import resample_abs_pos_embed
from timm.models import DenseNet, PretrainedCfg
from torch import Tensor, nn

from csi_predictor.architectures import Architecture
from csi_predictor.errors import ConfigError, WeightsError
from csi_predictor.models.batch_norm import update_statistics_once
from csi_predictor.models.encoder import (
    Encoded,
    Encoder,
    EncoderOptions,
    Stages,
    WeightsLayout,
    pool_means,
    refuse_token_options,
)
from csi_predictor.models.encoders2d.small_stem import make_stem_small
from csi_predictor.models.encoders2d.timm_stages import find_stages
from csi_predictor.specs import INTERPOLATIONS, InputSpec, Interpolation, Pooling

_PATCHES = "patch_embed.proj.weight"
_POSITIONS = "pos_embed"
SMALLEST_DENSENET_EDGE = 29
"""The stem rounds up (29 -> 15 -> 8) and the three transitions down (8 -> 4 -> 2 -> 1)."""

_INTERPOLATIONS: dict[str, Interpolation] = {name: name for name in INTERPOLATIONS}


@dataclass(frozen=True)
class PretrainedSource:
    """Where a network's published weights come from.

    Attributes:
        name: timm's full name, `<network>.<tag>`.
        repo_id: Of the Hugging Face hub.
        size_mib: Of the file, computed from the parameters (float32).
    """

    name: str
    repo_id: str
    size_mib: float


def build_timm_encoder(architecture: Architecture, options: EncoderOptions) -> "TimmEncoder":
    """The encoder of a row, with random weights; the row's `timm_name` is built.

    Raises:
        ConfigError: timm has no such network, or the network can't do what is asked.
    """
    return TimmEncoder(build_network(architecture, options), architecture, options)


def build_network(
    architecture: Architecture, options: EncoderOptions, **arguments: Any
) -> nn.Module:
    """The network of timm itself of a row, without its classifier, with random weights.

    Args:
        architecture: Its `timm_name` is built.
        options: What the network is asked for.
        **arguments: Further ones of timm's constructor.

    Raises:
        ConfigError: timm has no such network, or the network can't do what is asked.
    """
    name, published = _look_up(architecture)
    arguments["in_chans"] = options.input_spec.channels
    if published.fixed_input_size:
        arguments["img_size"] = tuple(options.input_spec.size)
    if options.drop_path_rate:
        arguments["drop_path_rate"] = options.drop_path_rate
    if options.patch_size is not None:
        edges = options.patch_size
        arguments["patch_size"] = edges[0] if len(set(edges)) == 1 else edges
    try:
        net: nn.Module = timm.create_model(name, num_classes=0, **arguments)
    except TypeError as error:
        if "patch_size" in str(error):
            refuse_token_options(architecture, options)
        raise ConfigError(_unsupported(architecture, error)) from error
    except (AssertionError, ValueError) as error:
        raise ConfigError(f"[MODEL] MODEL_ARCH = {architecture.name}: {error}") from error
    if options.has_small_stem:
        make_stem_small(net)
    _check_tokens(net, architecture, options)
    smallest = min(options.input_spec.size)
    if isinstance(net, DenseNet) and smallest < SMALLEST_DENSENET_EDGE:
        raise ConfigError(
            f"[MODEL] IMAGE_SIZE = {smallest}: {architecture.name} halves the picture five times: "
            f"expected at least {SMALLEST_DENSENET_EDGE}"
        )
    return net


def read_published_input(architecture: Architecture) -> InputSpec:
    """The picture that timm says a network's published weights were trained on.

    Raises:
        ConfigError: timm has no such network.
    """
    _, published = _look_up(architecture)
    channels, *size = published.input_size
    return InputSpec(
        size=tuple(size),
        channels=channels,
        mean=tuple(published.mean),
        std=tuple(published.std),
        interpolation=_INTERPOLATIONS.get(published.interpolation, "bilinear"),
    )


def read_pretrained_source(architecture: Architecture) -> PretrainedSource:
    """Where timm's weights of a row are published.

    Raises:
        WeightsError: timm publishes none.
        ConfigError: timm has no such network.
    """
    name, published = _look_up(architecture)
    if not published.hf_hub_id:
        raise WeightsError(
            f"{architecture.name}: timm publishes no weights of {name}: set [MODEL] PRETRAINED = "
            "false, or choose a network of timm.list_pretrained()"
        )
    with torch.device("meta"):
        net = timm.create_model(name)
    size = sum(tensor.numel() * tensor.element_size() for tensor in net.state_dict().values())
    full_name = f"{published.architecture}.{published.tag}"
    return PretrainedSource(full_name, published.hf_hub_id, size / 2**20)


class TimmEncoder(Encoder):
    """A network of timm without its classifier.

    The pooled vector is what timm's own classifier would take, a pooling, norm or convolution of
    its head included; with several maps it is the maps' means.

    Args:
        net: As `build_network` gives it.
        architecture: The row; messages call the network by its name.
        options: `feature_levels` 1 = timm's own last map (for EfficientNet, after the 1x1 head
            convolution); n = it and the n - 1 resolutions before it.

    Raises:
        ConfigError: The network can't give that many maps, or has no class token.
    """

    def __init__(self, net: nn.Module, architecture: Architecture, options: EncoderOptions) -> None:
        super().__init__()
        self.net = net
        self.architecture = architecture
        self.pooling: Pooling = options.pooling
        self.finer_indices, finer_dims = self._find_finer_maps(options.feature_levels - 1)
        self.feature_dims = (*finer_dims, int(self._net.num_features))

    def forward(self, images: Tensor) -> Encoded:
        """Images (B, C, H, W) -> maps (B, F_i, h_i, w_i), finest first, and the pooled (B, P)."""
        last, finer = self._run(images)
        maps = (*finer, self._to_map(last, images.shape[2:]))
        return Encoded(maps, self._pool(last, maps))

    def forward_maps(self, images: Tensor) -> tuple[Tensor, ...]:
        """Images (B, C, H, W) -> maps (B, F_i, h_i, w_i), finest first."""
        last, finer = self._run(images)
        return (*finer, self._to_map(last, images.shape[2:]))

    @property
    def feature_dim(self) -> int:
        """P: the width that timm's classifier would take, or of the maps together."""
        if self._pools_as_published:
            return int(self._net.head_hidden_size)
        return super().feature_dim

    def stages(self) -> Stages:
        """The coarse groups of layers of timm."""
        return find_stages(self.net)

    def weights_layout(self) -> WeightsLayout:
        """The file of timm's own network."""
        published = self._net.pretrained_cfg
        stem = published["first_conv"]
        return WeightsLayout(
            module=self.net,
            stem=f"{stem if isinstance(stem, str) else stem[0]}.weight",
            classifier=_names(published["classifier"]),
        )

    def set_gradient_checkpointing(self, enabled: bool) -> None:
        """Let timm do it, block by block.

        Raises:
            ConfigError: The network has none.
        """
        try:
            self._net.set_grad_checkpointing(enabled)
        except (AssertionError, AttributeError) as error:
            raise ConfigError(
                f"[MODEL] GRADIENT_CHECKPOINTING = true: {self.architecture.name} can't do it: "
                "expected false"
            ) from error
        update_statistics_once(self.net)

    def no_weight_decay(self) -> frozenset[str]:
        """What timm lists: position embeddings and class tokens."""
        listed = self._net.no_weight_decay() if hasattr(self.net, "no_weight_decay") else ()
        return frozenset(f"net.{name}" for name in listed)

    def fit_weights(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Resample a vision transformer's patches and position embeddings to this input's.

        Published position embeddings lie on a square grid.
        """
        fitted = dict(state)
        patches, wanted_patches = fitted.get(_PATCHES), self.net.state_dict().get(_PATCHES)
        if patches is not None and wanted_patches is not None and patches.ndim == 4:
            fitted[_PATCHES] = resample_patch_embed(patches, list(wanted_patches.shape[2:]))
        embedding, wanted = fitted.get(_POSITIONS), getattr(self.net, _POSITIONS, None)
        grid = getattr(getattr(self.net, "patch_embed", None), "grid_size", None)
        if embedding is not None and wanted is not None and grid is not None:
            num_prefix = wanted.shape[1] - grid[0] * grid[1]
            fitted[_POSITIONS] = resample_abs_pos_embed(
                embedding, new_size=list(grid), num_prefix_tokens=num_prefix
            )
        return fitted

    def published_head(self, state: Mapping[str, Tensor]) -> tuple[Tensor, Tensor] | None:
        """The classifier of timm; None where the pooled vector isn't the one that it takes."""
        names = self.weights_layout().classifier
        if len(names) != 1 or not self._pools_as_published:
            return None
        weight, bias = state.get(f"{names[0]}.weight"), state.get(f"{names[0]}.bias")
        if weight is None or bias is None or weight.ndim != 2:
            return None
        return (weight, bias) if weight.shape[1] == self.feature_dim else None

    @property
    def _net(self) -> Any:
        """The same network for calls that `nn.Module` doesn't declare."""
        return cast(Any, self.net)

    @property
    def _pools_as_published(self) -> bool:
        return self.pooling == "auto" and not self.finer_indices

    def _run(self, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The last features in timm's own layout, and the finer maps."""
        if not self.finer_indices:
            return self._net.forward_features(images), []
        last, finer = self._net.forward_intermediates(images, indices=self.finer_indices)
        return last, finer

    def _pool(self, last: Tensor, maps: tuple[Tensor, ...]) -> Tensor:
        if self._pools_as_published:
            pooled: Tensor = self._net.forward_head(last, pre_logits=True)
            return pooled
        if len(maps) > 1:
            return pool_means(maps)
        pooled = last[:, 0] if self.pooling == "cls" else pool_means(maps)
        # Some transformers have their last norm behind the pooling instead of before it.
        norm = getattr(self.net, "fc_norm", None)
        return pooled if norm is None else norm(pooled)

    def _find_finer_maps(self, count: int) -> tuple[list[int], tuple[int, ...]]:
        """The indices in timm and the channels of the resolutions before the last."""
        if not count:
            return [], ()
        if not hasattr(self.net, "forward_intermediates"):
            raise ConfigError(
                f"[MODEL] FEATURE_LEVELS = {count + 1}: {self.architecture.name} gives only its "
                "last map: expected 1"
            )
        channels = tuple(level["num_chs"] for level in self._net.feature_info)
        num_levels = len(channels)
        if count >= num_levels:
            raise ConfigError(
                f"[MODEL] FEATURE_LEVELS = {count + 1}: {self.architecture.name} has {num_levels} "
                f"resolutions: expected 1 to {num_levels}"
            )
        indices = list(range(num_levels - 1 - count, num_levels - 1))
        return indices, tuple(channels[index] for index in indices)

    def _to_map(self, features: Tensor, image_size: torch.Size) -> Tensor:
        """The network's last features as (B, F, h, w), whatever their layout."""
        if not isinstance(features, Tensor):  # several scales at once, as CoaT and CrossViT
            raise ConfigError(
                f"[MODEL] MODEL_ARCH = {self.architecture.name}: it ends in {len(features)} "
                "feature maps: expected a network of timm that ends in one"
            )
        num_channels = self.feature_dims[-1]
        if features.ndim == 3:
            tokens = features[:, getattr(self.net, "num_prefix_tokens", 0) :]
            height, width = self._find_grid(tokens.shape[1], image_size)
            # (B, h * w, F) -> (B, F, h, w)
            return tokens.transpose(1, 2).reshape(len(tokens), num_channels, height, width)
        if features.shape[1] != num_channels and features.shape[-1] == num_channels:
            return features.permute(0, 3, 1, 2)  # (B, h, w, F) -> (B, F, h, w)
        return features

    def _find_grid(self, num_tokens: int, image_size: torch.Size) -> tuple[int, int]:
        """Rows and columns of the tokens: timm's own, or by the picture's aspect ratio."""
        patches = getattr(self.net, "patch_embed", None)
        height, width = getattr(patches, "grid_size", None) or (0, 0)
        if height * width != num_tokens:
            height = round((num_tokens * image_size[0] / image_size[1]) ** 0.5)
            width = num_tokens // height
        if height * width != num_tokens:
            raise ConfigError(
                f"[MODEL] MODEL_ARCH = {self.architecture.name}: its {num_tokens} tokens aren't a "
                "grid: expected a network of timm that gives a feature map"
            )
        return height, width


def _check_tokens(net: nn.Module, architecture: Architecture, options: EncoderOptions) -> None:
    """Refuse patches and class tokens that a network doesn't have, and halved patches."""
    prefix = getattr(net, "num_prefix_tokens", None)
    patches = getattr(net, "patch_embed", None)
    if options.patch_size is not None and (prefix is None or patches is None):
        refuse_token_options(architecture, options)
    if options.pooling == "cls":
        if getattr(net, "cls_token", None) is None:
            refuse_token_options(architecture, replace(options, patch_size=None))
        if options.feature_levels > 1:
            raise ConfigError(
                f"[MODEL] POOLING = cls: FEATURE_LEVELS = {options.feature_levels} sets the means "
                "of several maps side by side: expected auto or mean, or FEATURE_LEVELS = 1"
            )
    sides = getattr(patches, "patch_size", None)
    if not isinstance(sides, tuple) or getattr(patches, "dynamic_img_pad", False):
        return
    if getattr(getattr(patches, "proj", None), "stride", sides) != sides:
        return  # kernels that overlap, as of PVT, need no multiple
    for edge, side in zip(options.input_spec.size, sides, strict=True):
        if edge % side:
            raise ConfigError(
                f"[MODEL] IMAGE_SIZE = {edge}: {architecture.name} cuts the picture into patches "
                f"of {side} pixels: expected a multiple, such as {max(edge // side, 1) * side}"
            )


def _names(value: str | tuple[str, ...] | None) -> tuple[str, ...]:
    if value is None:
        return ()
    return (value,) if isinstance(value, str) else tuple(value)


def _look_up(architecture: Architecture) -> tuple[str, PretrainedCfg]:
    """A row's name in timm and what timm says of it."""
    name = architecture.timm_name or ""
    network, _, tag = name.partition(".")
    if not timm.is_model(network):
        near = get_close_matches(network, timm.list_models(), n=1)
        hint = f"; did you mean timm/{near[0]}?" if near else ""
        raise ConfigError(
            f"[MODEL] MODEL_ARCH = {architecture.name}: timm {timm.__version__} has no network "
            f"{network}: expected a name of timm.list_models(){hint}"
        )
    tags = [known.partition(".")[2] for known in timm.list_pretrained(f"{network}.*")]
    if tag and tag not in tags:
        raise ConfigError(
            f"[MODEL] MODEL_ARCH = {architecture.name}: timm {timm.__version__} has no weights "
            f"{tag} of {network}: expected one of {', '.join(tags) or 'none'}"
        )
    published = timm.get_pretrained_cfg(name)
    return name, published or PretrainedCfg()


def _unsupported(architecture: Architecture, error: TypeError) -> str:
    if "drop_path_rate" in str(error):
        return f"[MODEL] DROP_PATH_RATE: {architecture.name} has no stochastic depth: expected 0"
    if "img_size" in str(error):
        return f"[MODEL] IMAGE_SIZE: {architecture.name} takes only its own size: expected auto"
    return f"[MODEL] MODEL_ARCH = {architecture.name}: {error}"
