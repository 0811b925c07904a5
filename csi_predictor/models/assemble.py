"""The network class of one image: an encoder, a pooling and a head, in one interface."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from csi_predictor.models.encoder import Encoded, Encoder, Stages
from csi_predictor.models.heads.masking import ZoneMasking
from csi_predictor.models.model_spec import ModelSpec
from csi_predictor.models.staged import HEAD, StagedModel

HeadInput = Callable[[Sequence[Tensor]], Tensor | Sequence[Tensor]]


@dataclass(frozen=True)
class ModelOutput:
    """What a network gives.

    Attributes:
        logits: (B, Z, 4) ordinal, (B, Z, 5) softmax, (B, K) of a linear head, (B, K, H, W) of a
            dense map, (B, P) of a projection.
        features: (B, F) pooled over the whole picture.
    """

    logits: Tensor
    features: Tensor


class CsiModel(StagedModel):
    """A network with the interface that every room relies on.

    Args:
        backbone: Image -> feature maps and one pooled vector.
        pooling: Feature maps -> what the head takes; None = the backbone's pooled vector.
        classifier: That -> logits.
        spec: What it was built from; a bundle saves it.
        masking: Image -> one image a zone, before the backbone; None = the image as it is.
    """

    backbone: Encoder

    def __init__(
        self,
        backbone: Encoder,
        *,
        pooling: HeadInput | None,
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

    def forward(self, images: Tensor) -> ModelOutput:
        """Normalised images (B, C, H, W) or volumes (B, C, D, H, W) -> logits and features."""
        encoded = self._encode(images)
        head_input = self._head_input(encoded, len(images))
        return ModelOutput(self.classifier(head_input), self._whole(encoded, len(images)))

    def encode_for_head(self, images: Tensor) -> Tensor:
        """Normalised images or volumes -> what the head takes, (B, F) or (B, Z, F).

        With a frozen encoder it is the same in every epoch, and `classifier` is all that is left.

        Raises:
            TypeError: The head takes several maps.
        """
        head_input = self._head_input(self._encode(images), len(images))
        if not isinstance(head_input, Tensor):
            raise TypeError(f"a {self.spec.head} head takes several maps: expected one tensor")
        return head_input

    def extract_features(self, images: Tensor) -> Tensor:
        """Normalised images (B, C, H, W) or volumes -> features (B, F) of the whole picture."""
        return self._whole(self._encode(images), len(images))

    @property
    def feature_dim(self) -> int:
        """F."""
        return self.backbone.feature_dim

    def stages(self) -> Stages:
        """Named parts from input to output, the head last; together they hold every parameter."""
        return (*self.backbone.stages(), (HEAD, self.classifier))

    def set_gradient_checkpointing(self, enabled: bool) -> None:
        """Trade time for memory in the backward pass; gradients stay equal."""
        self.backbone.set_gradient_checkpointing(enabled)

    def no_weight_decay(self) -> frozenset[str]:
        """Full names of parameters that weight decay would harm, beside biases and norms."""
        return frozenset(f"backbone.{name}" for name in self.backbone.no_weight_decay())

    def _encode(self, images: Tensor) -> Encoded:
        encoded: Encoded = self.backbone(images if self.masking is None else self.masking(images))
        return encoded

    def _head_input(self, encoded: Encoded, num_images: int) -> Tensor | Sequence[Tensor]:
        head_input = encoded.pooled if self.pooling is None else self.pooling(encoded.maps)
        if self.masking is not None and isinstance(head_input, Tensor):
            return _split_zones(head_input, num_images)
        return head_input

    def _whole(self, encoded: Encoded, num_images: int) -> Tensor:
        if self.masking is None:
            return encoded.pooled
        return _split_zones(encoded.pooled, num_images).mean(dim=1)


def _split_zones(features: Tensor, num_images: int) -> Tensor:
    """(B * Z, F) -> (B, Z, F)."""
    return features.reshape(num_images, -1, features.shape[-1])
