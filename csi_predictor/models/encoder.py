"""The contract of every encoder: an image becomes feature maps, in named stages."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn

Stages = tuple[tuple[str, nn.Module], ...]


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
    """Image -> feature maps.

    Attributes:
        feature_dims: Channels of each map of `forward_maps`.
    """

    feature_dims: tuple[int, ...]

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

    def forward_features(self, images: Tensor) -> Tensor:
        """Images (B, C, H, W) -> the deepest map (B, F, h, w)."""
        return self.forward_maps(images)[-1]

    @property
    def feature_dim(self) -> int:
        """F of the pooled features: the maps' channels together."""
        return sum(self.feature_dims)


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
