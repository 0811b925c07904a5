"""The one network class: an encoder, a pooling and a head, in one interface."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from csi_predictor.models.batch_norm import batch_norms
from csi_predictor.models.encoder import Encoder, Stages
from csi_predictor.models.heads.masking import ZoneMasking
from csi_predictor.models.heads.pooling import GlobalPooling
from csi_predictor.models.model_spec import ModelSpec
from csi_predictor.models.parameter_groups import group_parameters
from csi_predictor.specs import InputSpec, TargetSpec

HEAD = "head"
"""Name of the last stage."""


@dataclass(frozen=True)
class ModelOutput:
    """What a network gives.

    Attributes:
        logits: (B, Z, 4) ordinal, (B, Z, 5) softmax, or (B, K) of a linear head.
        features: (B, F) pooled over the whole picture.
    """

    logits: Tensor
    features: Tensor


class CsiModel(nn.Module):
    """A network with the interface that every room relies on.

    Args:
        backbone: Image -> feature maps.
        pooling: Feature maps -> the features that the head takes.
        classifier: Those features -> logits.
        spec: What it was built from; a bundle saves it.
        masking: Image -> one image a zone, before the backbone; None = the image as it is.
    """

    def __init__(
        self,
        backbone: Encoder,
        *,
        pooling: nn.Module,
        classifier: nn.Module,
        spec: ModelSpec,
        masking: ZoneMasking | None = None,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.pooling = pooling
        self.classifier = classifier
        self.masking = masking
        self.spec = spec
        self._global_pooling = GlobalPooling()
        self._frozen_stages: frozenset[str] = frozenset()
        self._keeps_statistics = False

    def forward(self, images: Tensor) -> ModelOutput:
        """Normalised images (B, C, H, W) -> logits and pooled features."""
        maps = self._forward_maps(images)
        pooled = self.pooling(maps)
        if self.masking is not None:
            pooled = _split_zones(pooled, len(images))
        return ModelOutput(self.classifier(pooled), self._pool_whole(maps, len(images)))

    def extract_features(self, images: Tensor) -> Tensor:
        """Normalised images (B, C, H, W) -> features (B, F), the mean over the whole picture."""
        return self._pool_whole(self._forward_maps(images), len(images))

    @property
    def feature_dim(self) -> int:
        """F."""
        return self.backbone.feature_dim

    @property
    def input_spec(self) -> InputSpec:
        """The picture that it takes."""
        return self.spec.input_spec

    @property
    def target_spec(self) -> TargetSpec:
        """What it answers."""
        return self.spec.target_spec

    def stages(self) -> Stages:
        """Named parts from input to output, the head last; together they hold every parameter."""
        return (*self.backbone.stages(), (HEAD, self.classifier))

    def parameter_groups(
        self,
        *,
        learning_rate: float,
        backbone_lr_factor: float = 1.0,
        weight_decay: float = 0.0,
        fine_tuning: str = "full",
        layer_decay: float = 1.0,
    ) -> list[dict[str, Any]]:
        """Groups for an optimizer: see `models.parameter_groups.group_parameters`."""
        names = {id(parameter): name for name, parameter in self.named_parameters()}
        spared = {f"backbone.{name}" for name in self.backbone.no_weight_decay()}
        return group_parameters(
            self.stages(),
            names,
            spared,
            learning_rate=learning_rate,
            backbone_lr_factor=backbone_lr_factor,
            weight_decay=weight_decay,
            fine_tuning=fine_tuning,
            layer_decay=layer_decay,
        )

    def freeze_stages(self, names: Collection[str]) -> None:
        """Fix these stages, and only these: no gradients, dropout off, BatchNorm's statistics kept.

        Raises:
            ValueError: A name isn't one of `stages()`.
        """
        known = dict(self.stages())
        unknown = sorted(set(names) - set(known))
        if unknown:
            raise ValueError(f"no stage {', '.join(unknown)}: expected one of {', '.join(known)}")
        self._frozen_stages = frozenset(names)
        for name, stage in known.items():
            stage.requires_grad_(name not in self._frozen_stages)
        self.train(self.training)

    def freeze_batch_norm(self) -> None:
        """Keep the backbone's BatchNorm statistics as they are; its scales still learn."""
        self._keeps_statistics = True
        self.train(self.training)

    def train(self, mode: bool = True) -> "CsiModel":
        """Training mode for all but what is frozen."""
        super().train(mode)
        for name, stage in self.stages():
            if name in self._frozen_stages:
                stage.eval()
        if self._keeps_statistics:
            for norm in batch_norms(self.backbone):
                norm.eval()
        return self

    def set_gradient_checkpointing(self, enabled: bool) -> None:
        """Trade time for memory in the backward pass; gradients stay equal."""
        self.backbone.set_gradient_checkpointing(enabled)

    def _forward_maps(self, images: Tensor) -> tuple[Tensor, ...]:
        return self.backbone.forward_maps(images if self.masking is None else self.masking(images))

    def _pool_whole(self, maps: tuple[Tensor, ...], num_images: int) -> Tensor:
        features: Tensor = self._global_pooling(maps)
        if self.masking is None:
            return features
        return _split_zones(features, num_images).mean(dim=1)


def _split_zones(features: Tensor, num_images: int) -> Tensor:
    """(B * Z, F) -> (B, Z, F)."""
    return features.reshape(num_images, -1, features.shape[-1])
