"""One picture to one a zone, in which the rest is dimmed or black."""

from typing import Literal

import torch
from torch import Tensor, nn

from csi_predictor.models.heads.layout import CHEST_LAYOUT, ZoneLayout
from csi_predictor.specs import InputSpec


class ZoneMasking(nn.Module):
    """Shows the encoder each zone alone.

    Black is the normalised value of a black pixel; multiplying normalised pixels would paint the
    rest of the chest in mean grey.

    Args:
        input_spec: Gives the normalised value of black.
        strategy: `zero` blackens all but the zone; `attention` multiplies brightness by
            zone * s + (1 - zone) * (1 - s).
        strength: s of `attention`, 0.5 (no effect on the contrast of zones) to 1 (as `zero`).
        layout: Where the zones lie.
    """

    black: Tensor

    def __init__(
        self,
        input_spec: InputSpec,
        *,
        strategy: Literal["attention", "zero"],
        strength: float = 0.7,
        layout: ZoneLayout = CHEST_LAYOUT,
    ) -> None:
        super().__init__()
        self.layout = layout
        self.inside, self.outside = (1.0, 0.0) if strategy == "zero" else (strength, 1 - strength)
        black = -torch.tensor(input_spec.mean) / torch.tensor(input_spec.std)
        self.register_buffer("black", black[:, None, None], persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, C, H, W) -> (B * Z, C, H, W), the zones of one image after each other."""
        height, width = images.shape[2:]
        zones = self.layout.regions(height, width, device=images.device).to(images)
        brightness = zones * self.inside + (1 - zones) * self.outside  # (Z, H, W)
        # (B, 1, C, H, W) x (Z, 1, H, W) -> (B, Z, C, H, W) -> (B * Z, C, H, W)
        lit = (images - self.black)[:, None] * brightness[:, None]
        return (lit + self.black).flatten(0, 1)
