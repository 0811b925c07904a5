"""The registry: one literal table of every network that `MODEL_ARCH` can name.

It holds names and facts only and never imports torch, so that a wrong name is refused in a fraction
of a second; `builder` names the function that `csi_predictor.models` imports when it is needed.
"""

from dataclasses import dataclass, replace
from difflib import get_close_matches

from csi_predictor.specs import InputSpec

TIMM_PREFIX = "timm/"
_TIMM_BUILDER = "csi_predictor.models.encoders2d.timm_encoder:build_timm_encoder"
_IMAGENET = InputSpec(size=(224, 224))
_GREY = InputSpec(size=(224, 224), channels=1, mean=(0.5,), std=(0.5,))


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """One row of the registry.

    Attributes:
        name: What `MODEL_ARCH` says.
        family: Rows of one family share builder and behaviour.
        builder: `module:function` that makes the encoder.
        feature_dim: Width F of the pooled features; 0 = asked of timm when built.
        input_spec: The picture the network was made for; None = asked of timm when built.
        timm_name: The model's name in timm, with the pretrained tag whose weights are wanted.
        dimensions: 2 for images, 3 for volumes.
        source: The paper or the code that defines it.
    """

    name: str
    family: str
    builder: str = _TIMM_BUILDER
    feature_dim: int
    input_spec: InputSpec | None = _IMAGENET
    timm_name: str | None = None
    dimensions: int = 2
    source: str


def _resnet(depth: int, feature_dim: int) -> Architecture:
    return Architecture(
        name=f"resnet{depth}",
        family="resnet",
        feature_dim=feature_dim,
        timm_name=f"resnet{depth}.tv_in1k",
        source="He et al. 2016, arXiv:1512.03385",
    )


def _densenet(depth: int, feature_dim: int) -> Architecture:
    return Architecture(
        name=f"densenet{depth}",
        family="densenet",
        feature_dim=feature_dim,
        input_spec=replace(_IMAGENET, interpolation="bicubic"),
        timm_name=f"densenet{depth}.tv_in1k",
        source="Huang et al. 2017, arXiv:1608.06993",
    )


def _efficientnet(variant: int, feature_dim: int, size: int, tag: str) -> Architecture:
    return Architecture(
        name=f"efficientnet_b{variant}",
        family="efficientnet",
        feature_dim=feature_dim,
        input_spec=replace(_IMAGENET, size=(size, size), interpolation="bicubic"),
        timm_name=f"{tag}efficientnet_b{variant}.{'ra_in1k' if not tag else 'ns_jft_in1k'}",
        source="Tan and Le 2019, arXiv:1905.11946",
    )


_ROWS = (
    Architecture(
        name="custom1",
        family="custom",
        builder="csi_predictor.models.encoders2d.custom1:build_custom1",
        feature_dim=256,
        input_spec=_GREY,
        source="this project: five convolution blocks, about 1M parameters",
    ),
    _resnet(18, 512),
    _resnet(34, 512),
    _resnet(50, 2048),
    _resnet(101, 2048),
    _resnet(152, 2048),
    _densenet(121, 1024),
    _densenet(161, 2208),
    _densenet(169, 1664),
    _densenet(201, 1920),
    _efficientnet(0, 1280, 224, ""),
    _efficientnet(1, 1280, 240, "tf_"),
    _efficientnet(2, 1408, 260, "tf_"),
    _efficientnet(3, 1536, 300, "tf_"),
    _efficientnet(4, 1792, 380, "tf_"),
    _efficientnet(5, 2048, 456, "tf_"),
    _efficientnet(6, 2304, 528, "tf_"),
    _efficientnet(7, 2560, 600, "tf_"),
)

ARCHITECTURES: dict[str, Architecture] = {row.name: row for row in _ROWS}


def find_architecture(name: str, variant: str = "") -> Architecture:
    """The row of a name, of `family` + `variant`, or one made for `timm/<name>`.

    Args:
        name: `resnet50`, `timm/convnext_tiny`, or a family such as `efficientnet`.
        variant: `b3`, `50`, `resnet50`: completes a family's name; empty where the name is whole.

    Raises:
        KeyError: No such row; the message lists the nearest name and all others.
    """
    for candidate in (name, f"{name}{variant}", f"{name}_{variant}", variant):
        row = ARCHITECTURES.get(candidate.lower())
        if row is not None and (not variant or candidate != name):
            return row
    if name.lower().startswith(TIMM_PREFIX) and len(name) > len(TIMM_PREFIX) and not variant:
        return Architecture(
            name=name,
            family="timm",
            feature_dim=0,
            input_spec=None,
            timm_name=name[len(TIMM_PREFIX) :],
            source="timm, github.com/huggingface/pytorch-image-models",
        )
    raise KeyError(_unknown(name, variant))


def _unknown(name: str, variant: str) -> str:
    wanted = f"{name} with VARIANT = {variant}" if variant else name
    near = get_close_matches(f"{name}{variant}".lower(), ARCHITECTURES, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    return f"{wanted}: expected one of {', '.join(ARCHITECTURES)}, timm/<name>{hint}"
