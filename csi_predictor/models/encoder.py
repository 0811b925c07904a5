"""The contract of every encoder: an image becomes feature maps, in named stages."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from csi_predictor.architectures import Architecture
from csi_predictor.errors import ConfigError
from csi_predictor.specs import InputSpec, Pooling

Stages = tuple[tuple[str, nn.Module], ...]


@dataclass(frozen=True, kw_only=True)
class EncoderOptions:
    """What a builder is asked for, beside the row.

    Attributes:
        input_spec: The picture or volume that the encoder will take, final.
        drop_path_rate: Stochastic depth, where the network has it.
        feature_levels: 1 = the last map; n = it and the n - 1 resolutions before it.
        pooling: How the whole picture becomes one vector: `auto` as the network was published,
            `mean` over the last map, `cls` the class token of a transformer.
        patch_size: Of a transformer, pixels or voxels along each axis; None = its own.
        has_small_stem: True = the first layers of a resnet don't reduce, for tiny pictures.
    """

    input_spec: InputSpec
    drop_path_rate: float = 0.0
    feature_levels: int = 1
    pooling: Pooling = "auto"
    patch_size: tuple[int, ...] | None = None
    has_small_stem: bool = False


@dataclass(frozen=True)
class Encoded:
    """What an encoder makes of a batch.

    Attributes:
        maps: (B, F_i, h_i, w_i), or (B, F_i, d_i, h_i, w_i) of volumes, finest first.
        pooled: (B, P) of the whole picture.
    """

    maps: tuple[Tensor, ...]
    pooled: Tensor


@dataclass(frozen=True)
class WeightsLayout:
    """How a published weights file fits an encoder.

    Attributes:
        module: The part of the encoder whose state the file holds.
        stem: Name of the first convolution's weight in it, (F, C, kh, kw).
        classifier: Names of the published classifier's modules, which an encoder doesn't have.
    """

    module: nn.Module
    stem: str
    classifier: tuple[str, ...] = ()


class Encoder(nn.Module, ABC):
    """Picture (B, C, H, W) or volume (B, C, D, H, W) -> feature maps and one pooled vector.

    Attributes:
        feature_dims: Channels of each map of `forward_maps`.
    """

    feature_dims: tuple[int, ...]

    def forward(self, images: Tensor) -> Encoded:
        """Maps and their means side by side; a network with a pooling of its own overrides it."""
        maps = self.forward_maps(images)
        return Encoded(maps, pool_means(maps))

    @abstractmethod
    def forward_maps(self, images: Tensor) -> tuple[Tensor, ...]:
        """Images (B, C, H, W) -> maps (B, F_i, h_i, w_i), finest first; most encoders have one."""

    @abstractmethod
    def stages(self) -> Stages:
        """The encoder's parts with their names, from input to output; together they are all of it.

        A part that a stage lists may be a `Stage`, a view of modules that run one after another.
        """

    @abstractmethod
    def weights_layout(self) -> WeightsLayout:
        """How a published weights file fits."""

    @abstractmethod
    def set_gradient_checkpointing(self, enabled: bool) -> None:
        """Keep fewer activations and compute them again in the backward pass."""

    def no_weight_decay(self) -> frozenset[str]:
        """Names of parameters that weight decay would harm, beside biases and norms."""
        return frozenset()

    def fit_weights(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Tensors of a published file, resampled where only the input's size differs."""
        return dict(state)

    def rename_weights(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Tensors of a file under this encoder's own names, where published files have others.

        Raises:
            WeightsError: The file is of another variant; the message doesn't name the file.
        """
        return dict(state)

    def published_head(self, state: Mapping[str, Tensor]) -> tuple[Tensor, Tensor] | None:
        """Weight (K, P) and bias (K,) of a file's linear classifier over this encoder's features.

        None = the file has none, or it was made for features other than `Encoded.pooled`.

        Args:
            state: A file's tensors, renamed, the classifier's among them.
        """
        return None

    def forward_features(self, images: Tensor) -> Tensor:
        """Images (B, C, H, W) -> the deepest map (B, F, h, w)."""
        return self.forward_maps(images)[-1]

    @property
    def feature_dim(self) -> int:
        """P of the pooled features: the maps' channels together, unless overridden."""
        return sum(self.feature_dims)


def refuse_token_options(architecture: Architecture, options: EncoderOptions) -> None:
    """For networks without tokens.

    Raises:
        ConfigError: A key asks for what only a transformer has.
    """
    if options.patch_size is not None:
        raise ConfigError(
            f"[MODEL] PATCH_SIZE = {options.patch_size[0]}: {architecture.name} has no patches: "
            "expected auto"
        )
    if options.pooling == "cls":
        raise ConfigError(
            f"[MODEL] POOLING = cls: {architecture.name} has no class token: expected auto or mean"
        )


def pool_means(maps: Sequence[Tensor]) -> Tensor:
    """Maps (B, F_i, ...) -> their means over all positions, side by side, (B, F)."""
    return torch.cat([feature_map.flatten(2).mean(dim=2) for feature_map in maps], dim=1)


class Stage(nn.Module):
    """A view of the modules and loose parameters that make up one stage.

    It serves their parameters and modes; it is never called and never part of a state dict.

    Args:
        modules: In the order in which they run.
        parameters: Those that belong to no listed module, as position embeddings.
    """

    def __init__(self, modules: list[nn.Module], parameters: list[nn.Parameter]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(modules)
        self.loose = nn.ParameterList(parameters)
