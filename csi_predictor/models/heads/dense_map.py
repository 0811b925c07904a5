"""Feature maps to a map of the picture's own size: change, reconstruction."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

_WIDTH = 128
_NORM_GROUPS = 32
_INTERPOLATIONS = {2: "bilinear", 3: "trilinear"}


class DenseMapHead(nn.Module):
    """A feature pyramid: each finer map is added to the coarser one brought up to its size.

    Source: Lin et al. 2017, Feature Pyramid Networks, arXiv:1612.03144, with one output.

    Args:
        feature_dims: Channels of the encoder's maps, finest first.
        size: (H, W) or (D, H, W) of the answer.
        num_outputs: K.
        dropout_rate: Of whole channels, before the last convolution.
    """

    def __init__(
        self,
        feature_dims: Sequence[int],
        *,
        size: Sequence[int],
        num_outputs: int,
        dropout_rate: float,
    ) -> None:
        super().__init__()
        self.size = tuple(size)
        self.mode = _INTERPOLATIONS[len(self.size)]
        is_flat = len(self.size) == 2
        convolution = nn.Conv2d if is_flat else nn.Conv3d
        self.lateral = nn.ModuleList(convolution(dim, _WIDTH, 1) for dim in feature_dims)
        self.smooth = nn.Sequential(
            convolution(_WIDTH, _WIDTH, 3, padding=1, bias=False),
            nn.GroupNorm(_NORM_GROUPS, _WIDTH),
            nn.ReLU(inplace=True),
            nn.Dropout2d(dropout_rate) if is_flat else nn.Dropout3d(dropout_rate),
        )
        self.project = convolution(_WIDTH, num_outputs, 1)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Maps (B, F_i, h_i, w_i), finest first -> logits (B, K, H, W); of volumes likewise."""
        summed = self.lateral[-1](maps[-1])
        for lateral, finer in zip(self.lateral[-2::-1], maps[-2::-1], strict=True):
            summed = lateral(finer) + self._resize(summed, finer.shape[2:])
        return self._resize(self.project(self.smooth(summed)), self.size)

    def _resize(self, values: Tensor, size: Sequence[int]) -> Tensor:
        return F.interpolate(values, tuple(size), mode=self.mode, align_corners=False)
