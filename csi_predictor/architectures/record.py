"""One row of the registry: what is known of a network before torch is imported."""

from dataclasses import dataclass
from typing import Literal

from csi_predictor.specs import InputSpec, Task

TIMM_BUILDER = "csi_predictor.models.encoders2d.timm_encoder:build_timm_encoder"
IMAGENET = InputSpec(size=(224, 224))
IMAGENET_CLASSES = 1000


@dataclass(frozen=True, kw_only=True)
class WeightsSource:
    """Where published weights are fetched, or must be put by hand.

    Attributes:
        folder: Below MODELS_CACHE.
        files: In that folder; the first one holds the weights.
        repo_id: Of the Hugging Face hub; None = nothing may be downloaded by a program.
        page: Where a person gets them.
        size_mib: Of the weights file, about.
    """

    folder: str
    files: tuple[str, ...]
    repo_id: str | None
    page: str
    size_mib: float


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """One row of the registry.

    Attributes:
        name: What `MODEL_ARCH` says.
        family: Rows of one family share builder and behaviour.
        builder: `module:function`; an encoder's is called with the row and `EncoderOptions`.
        feature_dim: Width F of the pooled features; 0 = asked of timm when built.
        input_spec: The picture the network was made for; None = asked of timm when built.
        parameters: Counted with `outputs` outputs, as published; 0 = asked of timm when built.
        outputs: Of the published head; 0 = none, the encoder alone is counted.
        labels: Names of the published outputs, where a head is worth keeping for them.
        head: The kind of head that the network brings; None = its task's.
        head_hidden: Width of the hidden layer of the published head; 0 = one linear layer.
        timm_name: The model's name in timm, with the pretrained tag whose weights are wanted; for
            a network of volumes, the image network whose kernels can be inflated.
        weights: Where weights that aren't timm's come from.
        dimensions: 2 for images, 3 for volumes.
        is_complete: The builder gives a whole network of a `ModelSpec`, not an encoder for a head.
        tasks: What the network can answer, the usual one first; empty = whatever its head is for.
        num_images: 2 for networks that compare the current picture with a prior one.
        class_name: Another name that `MODEL_ARCH` takes: the class, where the description names it.
        source: The paper or the code that defines it.
    """

    name: str
    family: str
    builder: str = TIMM_BUILDER
    feature_dim: int
    input_spec: InputSpec | None = IMAGENET
    parameters: int = 0
    outputs: int = 0
    labels: tuple[str, ...] = ()
    head: Literal["projection"] | None = None
    head_hidden: int = 0
    timm_name: str | None = None
    weights: WeightsSource | None = None
    dimensions: int = 2
    is_complete: bool = False
    tasks: tuple[Task, ...] = ()
    num_images: int = 1
    class_name: str = ""
    source: str

    @property
    def has_published_weights(self) -> bool:
        """Whether `PRETRAINED = true` can mean anything."""
        return self.timm_name is not None or self.weights is not None
