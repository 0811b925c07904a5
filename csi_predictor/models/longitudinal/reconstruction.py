"""A masked radiograph to the whole one: pre-training of the shared encoder."""

from torch import Tensor, nn

from csi_predictor.models.longitudinal.bottleneck import BottleneckEncoder
from csi_predictor.models.longitudinal.constants import IMG_SIZE, INIT_WEIGHTS
from csi_predictor.models.longitudinal.decoder import MapDecoder
from csi_predictor.models.longitudinal.model import LongitudinalModel, default_spec
from csi_predictor.models.longitudinal.transformer_branch import Size
from csi_predictor.models.model_spec import ModelSpec
from csi_predictor.specs import MapRange

_DROPOUT_RATE = 0.1


class MaskedReconstructionModel(LongitudinalModel):
    """The encoder of the change networks with a decoder of its own, about 100M parameters.

    No skip connections: the answer has to come through the encoder that is being taught.

    Args:
        in_channels: Of the picture and of its reconstruction.
        img_size: (H, W), or the edge of a square picture; multiples of 32.
        output: `magnitude` = 0 to 1, for pictures as the row normalises them; `signed` = -1 to 1.
        dropout_rate: Of whole channels, before the decoder.
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
        output: MapRange = "magnitude",
        dropout_rate: float = _DROPOUT_RATE,
        drop_path_rate: float = 0.0,
        init_weights: bool = INIT_WEIGHTS,
        spec: ModelSpec | None = None,
    ) -> None:
        encoder = BottleneckEncoder(in_channels, img_size=img_size, drop_path_rate=drop_path_rate)
        head = nn.Sequential(
            nn.Dropout2d(dropout_rate), MapDecoder(out_channels=in_channels, output=output)
        )
        spec = spec or default_spec(
            "masked_reconstruction",
            in_channels=in_channels,
            img_size=img_size,
            task="reconstruction",
            names=("reconstruction",),
            head="map",
            dropout_rate=dropout_rate,
            drop_path_rate=drop_path_rate,
            map_range=output,
        )
        super().__init__(encoder, head, spec=spec, init_weights=init_weights)

    def forward(self, images: Tensor) -> Tensor:
        """Masked pictures (B, C, H, W) -> whole pictures (B, C, H, W)."""
        whole: Tensor = self.classifier(self.backbone.forward_features(images))
        return whole
