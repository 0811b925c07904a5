"""How the stem of a convolutional network of volumes ends."""

from torch import Tensor
from torch.nn import functional as F


def finish_stem(normed: Tensor, *, keeps_finest: bool) -> tuple[tuple[Tensor, ...], Tensor]:
    """ReLU and the maximum over 3x3x3 with stride 2.

    They commute, with equal gradients. The maximum goes first where it can: ReLU then has an eighth
    of the work, and the backward pass holds three tensors of half the volume's resolution instead
    of four, which is its peak.

    Args:
        normed: (B, F, D, H, W) after the stem's convolution and norm; may be written over.
        keeps_finest: True = the map before the maximum is wanted too.

    Returns:
        That map, or nothing, and the map of half its resolution.
    """
    if keeps_finest:
        finest = F.relu(normed, inplace=True)
        return (finest,), F.max_pool3d(finest, 3, stride=2, padding=1)
    return (), F.relu(F.max_pool3d(normed, 3, stride=2, padding=1), inplace=True)
