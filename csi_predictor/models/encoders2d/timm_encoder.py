"""Every network of timm as an encoder: most rows of the registry, and any `timm/<name>`."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, cast

import timm
import torch
from timm.layers.pos_embed import resample_abs_pos_embed
from timm.models import PretrainedCfg, group_parameters
from torch import Tensor, nn

from csi_predictor.architectures import Architecture
from csi_predictor.errors import ConfigError, WeightsError
from csi_predictor.models.batch_norm import update_statistics_once
from csi_predictor.models.encoder import Encoder, Stage, Stages, WeightsLayout
from csi_predictor.specs import INTERPOLATIONS, InputSpec, Interpolation

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


def build_timm_encoder(
    architecture: Architecture,
    *,
    input_spec: InputSpec,
    drop_path_rate: float = 0.0,
    feature_levels: int = 1,
) -> "TimmEncoder":
    """The encoder of a row, with random weights.

    Args:
        architecture: The row; its `timm_name` is built.
        input_spec: Size and channels of the picture.
        drop_path_rate: Stochastic depth, where the network has it.
        feature_levels: 1 = the last map; n = it and the n - 1 resolutions before it.

    Raises:
        ConfigError: timm has no such network, or the network can't do what is asked.
    """
    name, published = _look_up(architecture)
    arguments: dict[str, Any] = {"in_chans": input_spec.channels}
    if published.fixed_input_size:
        arguments["img_size"] = tuple(input_spec.size)
    if drop_path_rate:
        arguments["drop_path_rate"] = drop_path_rate
    try:
        net = timm.create_model(name, num_classes=0, global_pool="", **arguments)
    except TypeError as error:
        raise ConfigError(_unsupported(architecture, error)) from error
    except (AssertionError, ValueError) as error:
        raise ConfigError(f"[MODEL] MODEL_ARCH = {architecture.name}: {error}") from error
    return TimmEncoder(net, name=architecture.name, feature_levels=feature_levels)


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

    Args:
        net: Built with `num_classes=0, global_pool=""`.
        name: What messages call it.
        feature_levels: 1 = timm's own last map (for EfficientNet, after the 1x1 head convolution);
            n = it and the n - 1 resolutions before it.

    Raises:
        ConfigError: The network can't give that many maps.
    """

    def __init__(self, net: nn.Module, *, name: str, feature_levels: int = 1) -> None:
        super().__init__()
        self.net = net
        self.name = name
        self.finer_indices, finer_dims = self._find_finer_maps(feature_levels - 1)
        self.feature_dims = (*finer_dims, int(self._net.num_features))

    def forward_maps(self, images: Tensor) -> tuple[Tensor, ...]:
        """Images (B, C, H, W) -> maps (B, F_i, h_i, w_i), finest first."""
        finer: list[Tensor] = []
        if self.finer_indices:
            last, finer = self._net.forward_intermediates(images, indices=self.finer_indices)
        else:
            last = self._net.forward_features(images)
        return (*finer, self._to_map(last, images.shape[2:]))

    def stages(self) -> Stages:
        """The coarse groups of layers of timm; a group of norms alone joins the one before it."""
        groups: list[set[str]] = []
        sizes = {name: parameter.ndim for name, parameter in self.net.named_parameters()}
        for names in self._group_names():
            if groups and all(sizes[name] <= 1 for name in names):
                groups[-1].update(names)
            else:
                groups.append(set(names))
        return tuple(
            _as_stage(self.net, group, is_first=index == 0) for index, group in enumerate(groups)
        )

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
                f"[MODEL] GRADIENT_CHECKPOINTING = true: {self.name} can't do it: expected false"
            ) from error
        update_statistics_once(self.net)

    def no_weight_decay(self) -> frozenset[str]:
        """What timm lists: position embeddings and class tokens."""
        listed = self._net.no_weight_decay() if hasattr(self.net, "no_weight_decay") else ()
        return frozenset(f"net.{name}" for name in listed)

    def fit_weights(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Resample a vision transformer's position embeddings to this input's size."""
        fitted = dict(state)
        embedding = fitted.get("pos_embed")
        wanted = getattr(self.net, "pos_embed", None)
        if embedding is not None and wanted is not None and embedding.shape != wanted.shape:
            has_prefix = not getattr(self.net, "no_embed_class", False)
            fitted["pos_embed"] = resample_abs_pos_embed(
                embedding,
                new_size=self._net.patch_embed.grid_size,
                num_prefix_tokens=self._net.num_prefix_tokens if has_prefix else 0,
            )
        return fitted

    def _group_names(self) -> list[list[str]]:
        """Parameters' names by timm's groups; by the top-level modules where it has none."""
        if hasattr(self.net, "group_matcher"):
            return list(group_parameters(self.net, self._net.group_matcher(coarse=True)).values())
        by_module: dict[str, list[str]] = {}
        for name, _ in self.net.named_parameters():
            by_module.setdefault(name.partition(".")[0], []).append(name)
        return list(by_module.values())

    @property
    def _net(self) -> Any:
        """The same network for calls that `nn.Module` doesn't declare."""
        return cast(Any, self.net)

    def _find_finer_maps(self, count: int) -> tuple[list[int], tuple[int, ...]]:
        """The indices in timm and the channels of the resolutions before the last."""
        if not count:
            return [], ()
        if not hasattr(self.net, "forward_intermediates"):
            raise ConfigError(
                f"[MODEL] FEATURE_LEVELS = {count + 1}: {self.name} gives only its last map: "
                "expected 1"
            )
        channels = tuple(level["num_chs"] for level in self._net.feature_info)
        num_levels = len(channels)
        if count >= num_levels:
            raise ConfigError(
                f"[MODEL] FEATURE_LEVELS = {count + 1}: {self.name} has {num_levels} "
                f"resolutions: expected 1 to {num_levels}"
            )
        indices = list(range(num_levels - 1 - count, num_levels - 1))
        return indices, tuple(channels[index] for index in indices)

    def _to_map(self, features: Tensor, image_size: torch.Size) -> Tensor:
        """The network's last features as (B, F, h, w), whatever their layout."""
        if features.ndim == 3:
            tokens = features[:, getattr(self.net, "num_prefix_tokens", 0) :]
            return self._to_grid(tokens, aspect_ratio=image_size[0] / image_size[1])
        num_channels = self.feature_dims[-1]
        if features.shape[1] != num_channels and features.shape[-1] == num_channels:
            return features.permute(0, 3, 1, 2)  # (B, h, w, F) -> (B, F, h, w)
        return features

    def _to_grid(self, tokens: Tensor, *, aspect_ratio: float) -> Tensor:
        num_tokens = tokens.shape[1]
        height = round((num_tokens * aspect_ratio) ** 0.5)
        if height * (num_tokens // height) != num_tokens:
            raise ConfigError(
                f"[MODEL] MODEL_ARCH = {self.name}: its {num_tokens} tokens aren't a grid: "
                "expected a network of timm that gives a feature map"
            )
        # (B, h * w, F) -> (B, F, h, w)
        return tokens.transpose(1, 2).reshape(len(tokens), -1, height, num_tokens // height)


def _as_stage(net: nn.Module, names: set[str], *, is_first: bool) -> tuple[str, nn.Module]:
    parts = dict(_cover(net, names))
    name = "stem" if is_first else "+".join(parts)
    modules = [part for part in parts.values() if isinstance(part, nn.Module)]
    if len(parts) == len(modules) == 1:
        return name, modules[0]
    loose = [part for part in parts.values() if isinstance(part, nn.Parameter)]
    return name, Stage(modules, loose)


def _cover(
    module: nn.Module, names: set[str], prefix: str = ""
) -> Iterator[tuple[str, nn.Module | nn.Parameter]]:
    """The fewest modules and loose parameters that hold exactly the named parameters."""
    for name, parameter in module.named_parameters(prefix, recurse=False):
        if name in names:
            yield name, parameter
    for child_name, child in module.named_children():
        path = f"{prefix}.{child_name}" if prefix else child_name
        inside = {name for name, _ in child.named_parameters(path)}
        if inside and inside <= names:
            yield path, child
        elif inside & names:
            yield from _cover(child, names, path)


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
