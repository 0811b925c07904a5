"""What every network of the registry can do because it knows its parts from input to output."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from typing import Any, Self

from torch import Tensor, nn

from csi_predictor.models.batch_norm import batch_norms
from csi_predictor.models.encoder import Stages
from csi_predictor.models.model_spec import ModelSpec
from csi_predictor.models.parameter_groups import group_parameters
from csi_predictor.specs import InputSpec, TargetSpec

HEAD = "head"
"""Name of the last stage."""


class StagedModel(nn.Module, ABC):
    """A network in named stages: learning rates, freezing and checkpointing go by them.

    Attributes:
        backbone: From images to features.
        classifier: From features to the answer.
        spec: What it was built from; a bundle saves it.
    """

    backbone: nn.Module
    classifier: nn.Module
    spec: ModelSpec

    def __init__(self) -> None:
        super().__init__()
        self._frozen_stages: frozenset[str] = frozenset()
        self._keeps_statistics = False

    @property
    @abstractmethod
    def feature_dim(self) -> int:
        """F of `extract_features`."""

    @abstractmethod
    def extract_features(self, images: Tensor) -> Tensor:
        """Normalised images (B, C, H, W) or volumes (B, C, D, H, W) -> features (B, F)."""

    @property
    def input_spec(self) -> InputSpec:
        """The picture that it takes."""
        return self.spec.input_spec

    @property
    def target_spec(self) -> TargetSpec:
        """What it answers."""
        return self.spec.target_spec

    @abstractmethod
    def stages(self) -> Stages:
        """Named parts from input to output, the head last; together they hold every parameter."""

    @abstractmethod
    def set_gradient_checkpointing(self, enabled: bool) -> None:
        """Trade time for memory in the backward pass; gradients stay equal."""

    def no_weight_decay(self) -> frozenset[str]:
        """Full names of parameters that weight decay would harm, beside biases and norms."""
        return frozenset()

    def parameter_groups(
        self,
        *,
        learning_rate: float,
        backbone_lr_factor: float = 1.0,
        weight_decay: float = 0.0,
        fine_tuning: str = "full",
        layer_decay: float = 1.0,
        stage_rates: Sequence[float] = (),
    ) -> list[dict[str, Any]]:
        """Groups for an optimizer: see `models.parameter_groups.group_parameters`."""
        names = {id(parameter): name for name, parameter in self.named_parameters()}
        return group_parameters(
            self.stages(),
            names,
            self.no_weight_decay(),
            learning_rate=learning_rate,
            backbone_lr_factor=backbone_lr_factor,
            weight_decay=weight_decay,
            fine_tuning=fine_tuning,
            layer_decay=layer_decay,
            stage_rates=stage_rates,
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

    def train(self, mode: bool = True) -> Self:
        """Training mode for all but what is frozen."""
        super().train(mode)
        for name, stage in self.stages():
            if name in self._frozen_stages:
                stage.eval()
        if self._keeps_statistics:
            for norm in batch_norms(self.backbone):
                norm.eval()
        return self
