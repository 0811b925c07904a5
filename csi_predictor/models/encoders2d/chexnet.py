"""DenseNet-121 of chest radiographs: CheXNet and TorchXRayVision's network of one channel."""

from collections.abc import Mapping
from dataclasses import replace

from loguru import logger
from torch import Tensor

from csi_predictor.architectures import Architecture
from csi_predictor.errors import WeightsError
from csi_predictor.models.encoder import EncoderOptions
from csi_predictor.models.encoders2d.chexnet_keys import OPERATING_POINTS, STEM, rename_keys
from csi_predictor.models.encoders2d.timm_encoder import TimmEncoder, build_network

_OWN_PREFIX = "backbone."
_KINDS = {
    1: "TorchXRayVision's form, shown -1024 to 1024: set [MODEL] MODEL_ARCH = chexnet, "
    "VARIANT = xrv",
    3: "CheXNet's form, in ImageNet's range: set [MODEL] MODEL_ARCH = chexnet without VARIANT",
}
"""By the channels that a published file's first layer takes."""


def build_chexnet(architecture: Architecture, options: EncoderOptions) -> "CheXNet":
    """DenseNet-121 with random weights; the row says which published files it takes.

    Raises:
        ConfigError: A key asks for what a DenseNet doesn't have.
    """
    network = replace(architecture, timm_name="densenet121")
    return CheXNet(build_network(network, options), architecture, options)


class CheXNet(TimmEncoder):
    """DenseNet-121 that takes the published files of chest networks in their several key forms.

    The last ReLU stands before the pooling, as in torchvision's network and in both publications.
    """

    def rename_weights(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Tensors under the names of today; TorchXRayVision's operating points are left out.

        Raises:
            WeightsError: The file is of the other variant, whose intensity range differs.
        """
        renamed = rename_keys(state)
        if renamed.pop(OPERATING_POINTS, None) is not None:
            logger.info("Left out {}: they rescale probabilities, not logits", OPERATING_POINTS)
        if not any(key.startswith(_OWN_PREFIX) for key in state):
            self._check_variant(renamed)
        return renamed

    def _check_variant(self, state: Mapping[str, Tensor]) -> None:
        """A published file's channels tell the range that it was shown; a user's own file's don't.

        Raises:
            WeightsError: The file is of the other variant.
        """
        published = self.architecture.input_spec
        if STEM not in state or published is None:
            return
        found = state[STEM].shape[1]
        if found != published.channels and found in _KINDS:
            raise WeightsError(
                f"its first layer takes {found} channel{'s' * (found > 1)}, and "
                f"{self.architecture.name} expects {published.channels}: it has {_KINDS[found]}"
            )
