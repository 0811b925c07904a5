"""Findings of one radiograph, from the shared encoder."""

from torch import Tensor

from csi_predictor.architectures import find_architecture
from csi_predictor.models.heads.linear import linear_head
from csi_predictor.models.longitudinal.bottleneck import BottleneckEncoder
from csi_predictor.models.longitudinal.constants import IMG_SIZE, INIT_WEIGHTS
from csi_predictor.models.longitudinal.model import LongitudinalModel, default_spec
from csi_predictor.models.longitudinal.transformer_branch import Size
from csi_predictor.models.model_spec import ModelSpec

_NAME = "longitudinal_classification"
_DROPOUT_RATE = 0.2


class ClassificationModel(LongitudinalModel):
    """The shared encoder, its means, and one logit a label.

    Args:
        in_channels: Of the picture.
        labels_num: Labels.
        img_size: (H, W), or the edge of a square picture; multiples of 32.
        dropout_rate: Of the pooled features.
        drop_path_rate: Stochastic depth of the encoder.
        init_weights: True = `initialise_weights`.
        spec: What it is built from; None = made from the arguments.

    Raises:
        ConfigError: An edge isn't a multiple of 32.
    """

    def __init__(
        self,
        in_channels: int = 1,
        labels_num: int = 14,
        *,
        img_size: Size = IMG_SIZE,
        dropout_rate: float = _DROPOUT_RATE,
        drop_path_rate: float = 0.0,
        init_weights: bool = INIT_WEIGHTS,
        spec: ModelSpec | None = None,
    ) -> None:
        encoder = BottleneckEncoder(in_channels, img_size=img_size, drop_path_rate=drop_path_rate)
        head = linear_head(encoder.feature_dim, num_outputs=labels_num, dropout_rate=dropout_rate)
        spec = spec or default_spec(
            _NAME,
            in_channels=in_channels,
            img_size=img_size,
            task="multilabel",
            names=_names(labels_num),
            head="linear",
            dropout_rate=dropout_rate,
            drop_path_rate=drop_path_rate,
        )
        super().__init__(encoder, head, spec=spec, init_weights=init_weights)

    def forward(self, images: Tensor) -> Tensor:
        """Pictures (B, C, H, W) -> logits (B, K)."""
        logits: Tensor = self.classifier(self.extract_features(images))
        return logits


def _names(labels_num: int) -> tuple[str, ...]:
    published = find_architecture(_NAME).labels
    numbered = tuple(f"class_{index}" for index in range(labels_num))
    return published if labels_num == len(published) else numbered
