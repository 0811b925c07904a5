"""Encoded map to a map of the picture's own size."""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from csi_predictor.models.longitudinal.blocks import DecoderBlock, group_norm
from csi_predictor.models.longitudinal.checkpointing import Checkpointed
from csi_predictor.specs import MapRange

_WIDTHS = (640, 320, 160, 80, 40)


class MapDecoder(Checkpointed):
    """Four doublings, 640 -> 320 -> 160 -> 80 -> 40 channels, then 1 x 1 to the answer.

    With skip connections it is a U-Net's: after a doubling, the encoder's map of that resolution is
    brought to its width by a 1 x 1 convolution with GroupNorm and added.

    Args:
        skip_channels: Of the encoder's maps at 1/8, 1/4 and 1/2 of the resolution; empty = none.
        out_channels: Of the answer.
        output: `magnitude` ends in a sigmoid, 0 to 1; `signed` in a tanh, -1 to 1.

    Source: U-Net: Ronneberger et al. 2015, arXiv:1505.04597; widths: the description.
    """

    def __init__(
        self,
        skip_channels: Sequence[int] = (),
        *,
        out_channels: int = 1,
        output: MapRange = "magnitude",
    ) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            DecoderBlock(wide, narrow) for wide, narrow in pairwise(_WIDTHS)
        )
        self.skips = nn.ModuleList(
            nn.Sequential(nn.Conv2d(channels, width, 1, bias=False), group_norm(width))
            for channels, width in zip(skip_channels, _WIDTHS[1:], strict=False)
        )
        self.project = nn.Conv2d(_WIDTHS[-1], out_channels, 1)
        self.link = nn.Tanh() if output == "signed" else nn.Sigmoid()

    def forward(self, features: Tensor, skip_maps: Sequence[Tensor] = ()) -> Tensor:
        """(B, 640, h, w), and maps for the skip connections, coarsest first -> (B, K, 16 h, 16 w).

        Raises:
            ValueError: More or fewer maps than skip connections.
        """
        if len(skip_maps) != len(self.skips):
            raise ValueError(f"{len(skip_maps)} skip maps: expected {len(self.skips)}")
        for index, block in enumerate(self.blocks):
            features = self.run(block, features)
            if index < len(skip_maps):
                features = features + self.skips[index](skip_maps[index])
        answer: Tensor = self.link(self.project(features))
        return answer
