"""The key forms in which DenseNet-121 networks of chest radiographs were published."""

import re
from collections.abc import Mapping

from torch import Tensor

STEM = "features.conv0.weight"
OPERATING_POINTS = "op_threshs"
"""A buffer of TorchXRayVision: thresholds that rescale its probabilities; no weight of a network.

Source: torchxrayvision.models.op_norm.
"""

_WRAPPERS = ("module.", "model.", "backbone.", "net.", "densenet121.")
_OLD_LAYER = re.compile(r"(\.denselayer\d+\.(?:norm|conv))\.([12])\.")
_CLASSIFIER_IN_SEQUENCE = re.compile(r"^classifier\.0\.")


def rename_keys(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors under torchvision's names of today, which are timm's too.

    It takes off the wrappers of DataParallel and of the class around the network, in any order,
    joins `norm.1` to `norm1`, and takes the linear layer out of the sequence with a sigmoid.

    Source: github.com/arnoweng/CheXNet for the wrappers and the sequence; github.com/pytorch/vision
    pull request 474 for the names before PyTorch 0.4.1.
    """
    return {_rename(key): tensor for key, tensor in state.items()}


def _rename(key: str) -> str:
    while key.startswith(_WRAPPERS):
        key = key.partition(".")[2]
    key = _OLD_LAYER.sub(r"\1\2.", key)
    return _CLASSIFIER_IN_SEQUENCE.sub("classifier.", key)
