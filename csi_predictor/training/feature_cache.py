"""A frozen encoder's features, computed once and not in each epoch."""

import hashlib
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import torch
from loguru import logger
from torch import Tensor, nn
from torch.utils.data import Dataset

from csi_predictor.data.batch import Sample
from csi_predictor.data.cache import PixelStore
from csi_predictor.data.manifest import Row
from csi_predictor.inference.rows import row_loader
from csi_predictor.models.assemble import CsiModel, ModelOutput
from csi_predictor.progress import track
from csi_predictor.runtime import Compute


class HeadOnly(nn.Module):
    """A network that is given its encoder's features in place of images.

    Its state is the whole network's, so what is saved, averaged and kept is the same as ever.

    Args:
        model: With a frozen encoder.
    """

    def __init__(self, model: CsiModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, head_input: Tensor) -> ModelOutput:
        """What `CsiModel.encode_for_head` gave -> logits."""
        return ModelOutput(self.model.classifier(head_input), head_input)

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """The whole network's."""
        return self.model.state_dict(*args, **kwargs)

    def load_state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """Take over the whole network's."""
        return self.model.load_state_dict(*args, **kwargs)


class FeatureDataset(Dataset[Sample]):
    """Rows with their features as pixels; asked by `(epoch, index, ...)` or by index alone.

    Args:
        rows: The images.
        compute_features: Gives (N, ...), what the head takes of each; called when the first row is
            asked for, so a finished training that is run again computes nothing.
    """

    def __init__(self, rows: Sequence[Row], compute_features: Callable[[], Tensor]) -> None:
        self._targets = torch.tensor(
            [(r.targets, r.second_targets) if r.second_targets else r.targets for r in rows]
        )
        self._compute_features = compute_features

    @cached_property
    def features(self) -> Tensor:
        """(N, ...) what the head takes of each row."""
        return self._compute_features()

    def __len__(self) -> int:
        return len(self._targets)

    def __getitem__(self, key: int | tuple[int, ...]) -> Sample:
        index = key[1] if isinstance(key, tuple) else key
        return Sample(self.features[index], self._targets[index], index)


@torch.inference_mode()
def compute_head_input(
    model: CsiModel, rows: Sequence[Row], cache: PixelStore, *, batch_size: int, compute: Compute
) -> Tensor:
    """(N, ...) float32 on the CPU: what the head takes of each row, the network in evaluation mode.

    Args:
        model: On its device.
        rows: The images.
        cache: Their prepared pixels.
        batch_size: Images a pass.
        compute: Device and precision.
    """
    loader = row_loader(rows, spec=model.input_spec, cache=cache, batch_size=batch_size)
    was_training = model.training
    model.eval()
    parts = []
    for batch in track(loader, "features of the frozen encoder", len(loader), unit="batches"):
        with compute.autocast():
            parts.append(model.encode_for_head(batch.pixels.to(compute.device)).float().cpu())
    model.train(was_training)
    features = torch.cat(parts).clone()
    logger.info("Features of {} images: {} MiB", len(rows), features.nbytes >> 20)
    return features


class FeatureMemory:
    """Features that the folds and members of one training share, for as long as it runs.

    Folds differ in their rows and members in their heads, but a frozen encoder with published
    weights is the same in all of them. With another encoder's weights the memory starts anew.
    """

    def __init__(self) -> None:
        self._encoder = b""
        self._known: dict[str, Tensor] = {}

    def compute(
        self,
        model: CsiModel,
        rows: Sequence[Row],
        cache: PixelStore,
        *,
        batch_size: int,
        compute: Compute,
    ) -> Tensor:
        """As `compute_head_input`, for what isn't known yet."""
        encoder = _hash_encoder(model)
        if encoder != self._encoder:
            self._encoder, self._known = encoder, {}
        new = [row for row in rows if row.file_id not in self._known]
        if new:
            found = compute_head_input(model, new, cache, batch_size=batch_size, compute=compute)
            self._known |= {row.file_id: each for row, each in zip(new, found, strict=True)}
        return torch.stack([self._known[row.file_id] for row in rows])


def _hash_encoder(model: CsiModel) -> bytes:
    digest = hashlib.sha256()
    for name, tensor in model.backbone.state_dict().items():
        digest.update(name.encode())
        digest.update(
            tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes()
        )
    return digest.digest()
