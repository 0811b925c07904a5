"""The network of a plan with pixels to give it."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from csi_predictor.architectures import find_architecture
from csi_predictor.architectures.record import IMAGENET_CLASSES
from csi_predictor.benchmarking.plan import NetworkPlan
from csi_predictor.inference.bundle import Bundle, load_bundle
from csi_predictor.inference.engines.logits import BundleLogits, LogitsModel
from csi_predictor.models.create import create_model
from csi_predictor.models.staged import StagedModel


@dataclass(frozen=True)
class Subject:
    """What the engines run.

    Attributes:
        model: Pixels to logits, in evaluation mode.
        shape: Of one image's pixels: (C, H, W), (C, D, H, W) or (2, C, H, W).
        size: Of the picture or volume.
    """

    model: nn.Module
    shape: tuple[int, ...]
    size: tuple[int, ...]

    def pixels(self, batch_size: int, *, seed: int, device: torch.device) -> Tensor:
        """Normally distributed pixels (B, ...), equal for equal seeds."""
        generator = torch.Generator().manual_seed(seed)
        return torch.randn(batch_size, *self.shape, generator=generator).to(device)


def build_subject(plan: NetworkPlan, *, seed: int, device: torch.device) -> Subject:
    """The network of a plan: random weights, or a bundle's.

    A network of the registry has its published number of outputs (1000 for `timm/<name>`); one
    that has none answers as this program would train it.

    Raises:
        CsiError: The network can't be built so, or the bundle can't be loaded.
        ModuleNotFoundError: The registry names a builder that this version doesn't have.
    """
    if plan.bundle is not None:
        return _trained(load_bundle(plan.bundle), device)
    torch.manual_seed(seed)
    model = _create(plan)
    num_images = find_architecture(plan.name).num_images
    spec = model.input_spec
    shape = (spec.channels, *spec.size)
    return Subject(
        model=LogitsModel(model, num_images=num_images).eval().to(device),
        shape=shape if num_images == 1 else (num_images, *shape),
        size=spec.size,
    )


def size_text(size: Sequence[int]) -> str:
    """`224` of a square picture as timm writes it, else `128x256x256`."""
    is_square = len(size) == 2 and size[0] == size[1]
    return str(size[0]) if is_square else "x".join(map(str, size))


def _create(plan: NetworkPlan) -> StagedModel:
    row = find_architecture(plan.name)
    num_classes = IMAGENET_CLASSES if row.family == "timm" else row.outputs or None
    return create_model(plan.name, num_classes=num_classes, image_size=plan.image_size)


def _trained(bundle: Bundle, device: torch.device) -> Subject:
    spec, mirror = bundle.facts.spec, bundle.facts.test_time == "mirror"
    return Subject(
        model=BundleLogits(bundle.models, mirror=mirror).eval().to(device),
        shape=(spec.input_spec.channels, *spec.input_spec.size),
        size=spec.input_spec.size,
    )
