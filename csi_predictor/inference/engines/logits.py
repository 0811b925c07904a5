"""Networks as every engine can convert them: one tensor in, one tensor out."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from csi_predictor.specs import MIRRORED_ZONE_INDEX


class LogitsModel(nn.Module):
    """One network whose answer is its logits alone.

    Args:
        network: Gives a `ModelOutput`, or a tensor.
        num_images: 2 = it compares a current picture with a prior one.
    """

    def __init__(self, network: nn.Module, *, num_images: int = 1) -> None:
        super().__init__()
        self.network = network
        self.num_images = num_images

    def forward(self, pixels: Tensor) -> Tensor:
        """(B, C, H, W), (B, C, D, H, W) of volumes or (B, 2, C, H, W) of pairs -> logits."""
        output = self.network(*pixels.unbind(1)) if self.num_images == 2 else self.network(pixels)
        logits: Tensor = output if isinstance(output, Tensor) else output.logits
        return logits


class BundleLogits(nn.Module):
    """Every pass that a bundle makes over a picture, as `inference.predict.run_models`.

    Args:
        members: Its networks.
        mirror: Each also looks at the flipped picture; its zones are put back.
    """

    def __init__(self, members: Sequence[nn.Module], *, mirror: bool) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.mirror = mirror

    def forward(self, pixels: Tensor) -> Tensor:
        """(B, C, H, W) -> (M, B, Z, L), M passes."""
        passes = []
        for member in self.members:
            passes.append(member(pixels).logits)
            if self.mirror:
                passes.append(member(pixels.flip(-1)).logits[:, list(MIRRORED_ZONE_INDEX)])
        return torch.stack(passes)
