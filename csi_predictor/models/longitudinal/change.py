"""Two radiographs of one patient to a map of what changed between them."""

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from csi_predictor.models.longitudinal.blocks import ConvBlockBranch
from csi_predictor.models.longitudinal.bottleneck import BottleneckEncoder
from csi_predictor.models.longitudinal.checkpointing import Checkpointed
from csi_predictor.models.longitudinal.constants import IMG_SIZE, INIT_WEIGHTS
from csi_predictor.models.longitudinal.decoder import MapDecoder
from csi_predictor.models.longitudinal.fusion import DifferenceFusion
from csi_predictor.models.longitudinal.model import LongitudinalModel, default_spec
from csi_predictor.models.longitudinal.transformer_branch import Size
from csi_predictor.models.model_spec import ModelSpec
from csi_predictor.specs import MapRange

_DROPOUT_RATE = 0.1


class ChangeHead(Checkpointed):
    """The encoded maps of both pictures to the map of change.

    Args:
        num_refining: Blocks that each picture's encoded map passes before the fusion.
        num_processing: Blocks after the fusion.
        skip_channels: Of one picture's maps at 1/8, 1/4 and 1/2 of the resolution, for a U-Net
            decoder; empty = no skip connections.
        dropout_rate: Of whole channels, before the decoder.
        output: See `MapDecoder`.
    """

    def __init__(
        self,
        *,
        num_refining: int,
        num_processing: int,
        skip_channels: Sequence[int],
        dropout_rate: float,
        output: MapRange,
    ) -> None:
        super().__init__()
        self.refine = nn.ModuleList(ConvBlockBranch() for _ in range(num_refining))
        self.fusion = DifferenceFusion()
        self.process = nn.ModuleList(ConvBlockBranch() for _ in range(num_processing))
        self.dropout = nn.Dropout2d(dropout_rate)
        self.decoder = MapDecoder([2 * channels for channels in skip_channels], output=output)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """The encoder's maps (2 B, F_i, h_i, w_i), baselines then followups -> (B, 1, H, W)."""
        *finer, encoded = maps
        for block in self.refine:
            encoded = self.run(block, encoded)
        features = self.run(self.fusion, *encoded.chunk(2))
        for block in self.process:
            features = self.run(block, features)
        num_skips = len(self.decoder.skips)
        # (2 B, F, h, w) -> (B, 2 F, h, w), coarsest first
        skip_maps = [torch.cat(both.chunk(2), dim=1) for both in finer[::-1][:num_skips]]
        change: Tensor = self.decoder(self.dropout(features), skip_maps)
        return change


class _ChangeModel(LongitudinalModel):
    """Both pictures through one encoder, in one batch so that BatchNorm sees them alike."""

    _name: ClassVar[str]
    _num_refining: ClassVar[int]
    _num_processing: ClassVar[int]
    _has_skips: ClassVar[bool]

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
        head = ChangeHead(
            num_refining=self._num_refining,
            num_processing=self._num_processing,
            skip_channels=encoder.feature_dims[-2::-1] if self._has_skips else (),
            dropout_rate=dropout_rate,
            output=output,
        )
        spec = spec or default_spec(
            self._name,
            in_channels=in_channels,
            img_size=img_size,
            task="change",
            names=("change",),
            head="map",
            dropout_rate=dropout_rate,
            drop_path_rate=drop_path_rate,
            map_range=output,
        )
        super().__init__(encoder, head, spec=spec, init_weights=init_weights)

    def forward(self, baseline: Tensor, followup: Tensor) -> Tensor:
        """Two normalised pictures (B, C, H, W) -> map of change (B, 1, H, W).

        Raises:
            ValueError: The pictures differ in shape.
            ConfigError: They aren't of the size that the network was built for.
        """
        if baseline.shape != followup.shape:
            raise ValueError(
                f"baseline is {tuple(baseline.shape)} and followup {tuple(followup.shape)}: "
                "expected two pictures of one shape"
            )
        maps = self.backbone.forward_maps(torch.cat((baseline, followup)))
        change: Tensor = self.classifier(maps)
        return change


class LongitudinalMIMModelBig(_ChangeModel):
    """The recommended network, about 180M parameters: U-Net decoder with skip connections.

    Args:
        in_channels: Of each picture.
        img_size: (H, W), or the edge of a square picture; multiples of 32.
        output: `magnitude` = 0 to 1, how much changed; `signed` = -1 to 1, + appeared, - resolved.
        dropout_rate: Of whole channels, before the decoder.
        drop_path_rate: Stochastic depth of the encoder.
        init_weights: True = `initialise_weights`.
        spec: What it is built from; None = made from the arguments.

    Raises:
        ConfigError: An edge isn't a multiple of 32.
    """

    _name = "longitudinal_mim_big"
    _num_refining = 3
    _num_processing = 6
    _has_skips = True


class LongitudinalMIMModel(_ChangeModel):
    """The smaller network, about 120M parameters: no skip connections, one block after the fusion.

    Args, Raises: those of `LongitudinalMIMModelBig`.
    """

    _name = "longitudinal_mim"
    _num_refining = 0
    _num_processing = 1
    _has_skips = False
