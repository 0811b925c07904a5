"""The registry: one literal table of every network that `MODEL_ARCH` can name.

It holds names and facts only and never imports torch, so that a wrong name is refused in a fraction
of a second; `builder` names the function that `csi_predictor.models` imports when it is needed.
"""

from csi_predictor.architectures.change import CHANGE_ROWS
from csi_predictor.architectures.find import TIMM_PREFIX, find_row
from csi_predictor.architectures.images import CHEXNET_LABELS, IMAGE_ROWS, XRV_LABELS
from csi_predictor.architectures.record import Architecture, WeightsSource
from csi_predictor.architectures.volumes import CT_RATE_LABELS, VOLUME_ROWS

__all__ = [
    "ARCHITECTURES",
    "CHEXNET_LABELS",
    "CT_RATE_LABELS",
    "TIMM_PREFIX",
    "XRV_LABELS",
    "Architecture",
    "WeightsSource",
    "find_architecture",
]

ARCHITECTURES: dict[str, Architecture] = {
    row.name: row for row in (*IMAGE_ROWS, *VOLUME_ROWS, *CHANGE_ROWS)
}


def find_architecture(name: str, variant: str = "") -> Architecture:
    """The row of a name, of `family` + `variant`, of a class, or one made for `timm/<name>`.

    Args:
        name: `resnet50`, `timm/convnext_tiny`, `LongitudinalMIMModel`, or a family such as
            `efficientnet`.
        variant: `b3`, `50`, `vit_base`: completes a family's name; empty where the name is whole.

    Raises:
        KeyError: No such row; the message lists the nearest name and all others.
    """
    return find_row(ARCHITECTURES, name, variant)
