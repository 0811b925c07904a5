import pytest
import torch
from torch import Tensor, nn

from csi_predictor.inference.engines.logits import LogitsModel
from csi_predictor.models.create import create_model


@pytest.fixture(scope="session")
def network() -> nn.Module:
    """resnet18 for 64 pixels, random weights, BatchNorm statistics that aren't 0 and 1."""
    torch.manual_seed(3)
    model = LogitsModel(create_model("resnet18", num_classes=7, image_size=64))
    with torch.no_grad():
        model.train()(torch.randn(4, 3, 64, 64))
    return model.eval()


@pytest.fixture(scope="session")
def pixels() -> Tensor:
    return torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(5))


@pytest.fixture(scope="session")
def expected(network: nn.Module, pixels: Tensor) -> Tensor:
    """The network's own logits."""
    with torch.no_grad():
        logits: Tensor = network(pixels)
    return logits
