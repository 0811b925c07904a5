"""A radiograph to a unit vector: contrastive pre-training of the shared encoder."""

from torch import Tensor

from csi_predictor.models.heads.projection import ProjectionHead
from csi_predictor.models.longitudinal.bottleneck import BottleneckEncoder
from csi_predictor.models.longitudinal.constants import IMG_SIZE, INIT_WEIGHTS, LATENT_CHANNELS
from csi_predictor.models.longitudinal.model import LongitudinalModel, default_spec
from csi_predictor.models.longitudinal.transformer_branch import Size
from csi_predictor.models.model_spec import ModelSpec


class ContrastiveEncoder(LongitudinalModel):
    """The shared encoder, its means, and SimCLR's projection; the temperature is the loss's.

    Args:
        in_channels: Of the picture.
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
        *,
        img_size: Size = IMG_SIZE,
        dropout_rate: float = 0.0,
        drop_path_rate: float = 0.0,
        init_weights: bool = INIT_WEIGHTS,
        spec: ModelSpec | None = None,
    ) -> None:
        encoder = BottleneckEncoder(in_channels, img_size=img_size, drop_path_rate=drop_path_rate)
        head = ProjectionHead(
            encoder.feature_dim, num_outputs=LATENT_CHANNELS, dropout_rate=dropout_rate
        )
        spec = spec or default_spec(
            "contrastive_encoder",
            in_channels=in_channels,
            img_size=img_size,
            task="reconstruction",
            names=("reconstruction",),
            head="projection",
            dropout_rate=dropout_rate,
            drop_path_rate=drop_path_rate,
        )
        super().__init__(encoder, head, spec=spec, init_weights=init_weights)

    def forward(self, images: Tensor) -> Tensor:
        """Pictures (B, C, H, W) -> unit vectors (B, P)."""
        vectors: Tensor = self.classifier(self.extract_features(images))
        return vectors
