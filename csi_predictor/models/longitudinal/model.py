"""What the longitudinal networks have in common: a shared encoder and an answer-giving part."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from csi_predictor.architectures import find_architecture
from csi_predictor.models.encoder import Encoder, Stages
from csi_predictor.models.input_spec import adapt_input_spec, published_input_spec
from csi_predictor.models.longitudinal.checkpointing import set_checkpointing
from csi_predictor.models.longitudinal.initialisation import initialise_weights
from csi_predictor.models.longitudinal.transformer_branch import Size, as_size
from csi_predictor.models.model_spec import Head, ModelSpec
from csi_predictor.models.staged import HEAD, StagedModel
from csi_predictor.specs import TargetSpec, Task


class LongitudinalModel(StagedModel):
    """An encoder and what answers from its maps; weights of the encoder fit all of the family.

    Args:
        backbone: The encoder.
        classifier: Everything after it.
        spec: What the network was built from.
        init_weights: True = `initialise_weights`.
    """

    backbone: Encoder

    def __init__(
        self, backbone: Encoder, classifier: nn.Module, *, spec: ModelSpec, init_weights: bool
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.classifier = classifier
        self.spec = spec
        if init_weights:
            initialise_weights(self)

    @property
    def encoder(self) -> Encoder:
        """The backbone under the description's name."""
        return self.backbone

    @property
    def feature_dim(self) -> int:
        """F."""
        return self.backbone.feature_dim

    def extract_features(self, images: Tensor) -> Tensor:
        """Normalised images (B, C, H, W) -> features (B, F), the means of the encoder's map."""
        pooled: Tensor = self.backbone(images).pooled
        return pooled

    def stages(self) -> Stages:
        """The encoder's stages, then all that follows it as the head."""
        return (*self.backbone.stages(), (HEAD, self.classifier))

    def set_gradient_checkpointing(self, enabled: bool) -> None:
        """Trade time for memory in encoder and decoder; gradients stay equal."""
        set_checkpointing(self, enabled)

    def no_weight_decay(self) -> frozenset[str]:
        """The encoder's position embeddings."""
        return frozenset(f"backbone.{name}" for name in self.backbone.no_weight_decay())


def default_spec(
    name: str,
    *,
    in_channels: int,
    img_size: Size,
    task: Task,
    names: Sequence[str],
    head: Head,
    **fields: Any,
) -> ModelSpec:
    """The spec of a network that is built without one.

    Args:
        name: Of the registry's row.
        in_channels: Of the picture.
        img_size: (H, W), or the edge of a square picture.
        task: What is answered.
        names: Of the answers.
        head: Closest in kind.
        **fields: Further ones of `ModelSpec`.
    """
    input_spec = adapt_input_spec(
        published_input_spec(find_architecture(name)),
        image_size=as_size(img_size),
        in_channels=in_channels,
    )
    return ModelSpec(
        architecture=name,
        input_spec=input_spec,
        target_spec=TargetSpec(task=task, names=tuple(names), num_classes=2),
        head=head,
        zone_focus="none",
        **fields,
    )
