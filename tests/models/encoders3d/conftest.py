"""What the tests of all three families of volume encoders need."""

import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from csi_predictor.architectures import find_architecture
from csi_predictor.models.encoder import Encoder, EncoderOptions
from csi_predictor.models.registry import build_encoder
from csi_predictor.specs import InputSpec

BuildVolumeEncoder = Callable[..., Encoder]


class PeakBytes(TorchDispatchMode):
    """The most bytes of tensors made inside it that were alive at one time, exact."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.alive = self.peak = 0
        self.seen = {part.untyped_storage()._cdata: 0 for part in network.state_dict().values()}

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        result = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor):
                self._count(tensor.untyped_storage())
        return result

    def _count(self, storage: torch.UntypedStorage) -> None:
        address = storage._cdata
        if address in self.seen:
            return
        self.seen[address] = storage.nbytes()
        self.alive += storage.nbytes()
        self.peak = max(self.peak, self.alive)
        weakref.finalize(storage, self._forget, address)

    def _forget(self, address: int) -> None:
        self.alive -= self.seen.pop(address)


@pytest.fixture
def build_volume_encoder() -> BuildVolumeEncoder:
    """`build_volume_encoder(name, size, channels=1, **options)` with seeded random weights."""

    def build(name: str, size: tuple[int, ...], *, channels: int = 1, **options: Any) -> Encoder:
        spec = InputSpec(
            size=size, channels=channels, mean=(0.5,) * channels, std=(0.5,) * channels
        )
        torch.manual_seed(0)
        return build_encoder(find_architecture(name), EncoderOptions(input_spec=spec, **options))

    return build


@pytest.fixture
def stir() -> Callable[[nn.Module], None]:
    """`stir(network)` gives norms and biases values that aren't 0 or 1, as after a training."""

    def change(network: nn.Module) -> None:
        generator = torch.Generator().manual_seed(1)
        with torch.no_grad():
            for name, tensor in network.state_dict().items():
                if tensor.ndim != 1 or not tensor.is_floating_point():
                    continue
                noise = torch.rand(tensor.shape, generator=generator)
                is_positive = name.endswith(("running_var", "weight"))
                tensor.copy_(noise + 0.5 if is_positive else noise - 0.5)

    return change


@pytest.fixture
def peak_bytes() -> Callable[[nn.Module, Callable[[], object]], int]:
    """`peak_bytes(network, step)`: how much memory the step's tensors took at once.

    The network's own parameters don't count.
    """

    def measure(network: nn.Module, step: Callable[[], object]) -> int:
        with PeakBytes(network) as mode:
            step()
        return mode.peak

    return measure
