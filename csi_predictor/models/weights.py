"""Weights into a network: names, stem and head are fitted; what doesn't fit is listed."""

from collections.abc import Mapping
from pathlib import Path

import torch
from loguru import logger
from torch import Tensor, nn

from csi_predictor.architectures import Architecture
from csi_predictor.architectures.record import IMAGENET_CLASSES
from csi_predictor.errors import WeightsError
from csi_predictor.models.encoder import Encoder, WeightsLayout
from csi_predictor.models.staged import StagedModel
from csi_predictor.models.state_files import read_state, some_names
from csi_predictor.models.weights_cache import find_pretrained

__all__ = ["adapt_stem", "find_pretrained", "load_encoder_weights", "load_published_weights"]

_PREFIXES = ("module.", "model.", "backbone.", "encoder.", "net.")
_MEMBER = "member0."
"""Before each name of a bundle's file; a bundle of several networks has `member1.` too."""

_BATCH_COUNTER = "num_batches_tracked"
_BACKBONE = "backbone."
_RGB_CHANNELS = 3
_CHECK_NETWORK = "check [MODEL] MODEL_ARCH"
_CHECK_SHAPE = f"{_CHECK_NETWORK}, VARIANT and IMAGE_SIZE"

Head = tuple[Tensor, Tensor]
"""Weight (K, F) and bias (K,) of a published linear classifier."""


def load_published_weights(model: StagedModel, architecture: Architecture, path: Path) -> None:
    """Load a file into a network of the registry: its encoder, and a head that answers the same.

    The published head is kept where the model's is one plain linear layer with the same outputs:
    the row's labels in their order, or ImageNet's 1000 classes. Any other is named in the log, and
    the model's own stays as it was initialised. A network of one piece takes a file of its whole
    state, or of its backbone.

    Raises:
        WeightsError: The file is missing, damaged, unsafe or of another network.
    """
    backbone = model.backbone
    if architecture.is_complete or not isinstance(backbone, Encoder):
        _load_complete(model, path)
        return
    head = load_encoder_weights(backbone, path)
    own = _plain_linear(model)
    if head is not None and own is not None and _answers_alike(model, architecture, head, own):
        with torch.no_grad():
            own.weight.copy_(head[0])
            own.bias.copy_(head[1])
        names = some_names(architecture.labels) or "the classes of ImageNet"
        logger.info("Kept the published head of {} outputs: {}", len(head[0]), names)
        return
    found = "no head kept of" if head is None else f"head of {len(head[0])} outputs left out of"
    logger.info(
        "{} {}; the new {} head of {} starts from random weights",
        found,
        path,
        model.spec.head,
        len(model.target_spec.names),
    )


def load_encoder_weights(encoder: Encoder, path: Path) -> Head | None:
    """Load a published file, or an encoder of an earlier training, into an encoder.

    The file's classifier is left out by name and logged. A stem of another number of channels is
    adapted: three become one by their sum, one becomes three of a third each.

    Args:
        encoder: Receives the weights.
        path: safetensors, or a PyTorch checkpoint of tensors only.

    Returns:
        The file's own linear classifier where it has one, for a head that answers the same.

    Raises:
        WeightsError: The file is missing, damaged, unsafe or of another network.
    """
    layout = encoder.weights_layout()
    wanted = layout.module.state_dict()
    state = _read_network(path)
    try:
        state = encoder.rename_weights(state)
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from error
    state = _rename(state, wanted)
    head = encoder.published_head(state)
    state = _without_classifier(state, wanted, layout, path)
    if layout.stem in state and layout.stem in wanted:
        channels = wanted[layout.stem].shape[1]
        state[layout.stem] = adapt_stem(state[layout.stem], channels)
    state = encoder.fit_weights(state)
    mismatch = _find_mismatch(state, wanted)
    if mismatch:
        raise WeightsError(f"{path}: {mismatch}")
    layout.module.load_state_dict(state, strict=False)  # only BatchNorm counters may be absent
    logger.info("Loaded {} tensors of {}", len(state), path)
    return head


def adapt_stem(weight: Tensor, channels: int) -> Tensor:
    """A first layer's weight (F, C, ...) for another number of channels.

    Three to one is the sum, so that a grey picture gives what it gave as three equal channels; one
    to three repeats a third each, the inverse. Source: timm, adapt_input_conv.
    """
    given = weight.shape[1]
    if given == _RGB_CHANNELS and channels == 1:
        return weight.sum(dim=1, keepdim=True)
    if given == 1 and channels == _RGB_CHANNELS:
        return weight.repeat_interleave(_RGB_CHANNELS, dim=1) / _RGB_CHANNELS
    return weight


def _plain_linear(model: StagedModel) -> nn.Linear | None:
    """The head's only layer; None = the head is more than that."""
    if model.spec.head != "linear" or model.spec.head_hidden:
        return None
    layers = [module for module in model.classifier.modules() if isinstance(module, nn.Linear)]
    return layers[0] if len(layers) == 1 else None


def _answers_alike(
    model: StagedModel, architecture: Architecture, head: Head, own: nn.Linear
) -> bool:
    names = model.target_spec.names
    has_same_names = names == architecture.labels
    is_imagenet = not architecture.labels and len(names) == IMAGENET_CLASSES
    # Maps of several resolutions, or another pooling, make the new head's input wider.
    return (has_same_names or is_imagenet) and head[0].shape == own.weight.shape


def _load_complete(model: StagedModel, path: Path) -> None:
    """Into a network of one piece: the whole state, or all of the backbone."""
    state, whole = _read_network(path), model.state_dict()
    mismatch = _find_mismatch(_rename(state, whole), whole)
    if not mismatch:
        model.load_state_dict(_rename(state, whole), strict=False)  # only counters may be absent
        logger.info("Loaded {} tensors of {}", len(state), path)
        return
    wanted = model.backbone.state_dict()
    renamed = _rename(state, wanted)
    backbone = {key: tensor for key, tensor in renamed.items() if key in wanted}
    others = [key for key in renamed if key not in wanted]
    if _find_mismatch(backbone, wanted):
        raise WeightsError(f"{path}: {mismatch}")
    model.backbone.load_state_dict(backbone, strict=False)
    random = [key for key in whole if not key.startswith(_BACKBONE)]
    logger.info(
        "Loaded {} tensors of {} into the backbone; left out {}; these start from random weights: "
        "{}",
        len(backbone),
        path,
        some_names(others) or "nothing",
        some_names(random) or "none",
    )


def _read_network(path: Path) -> dict[str, Tensor]:
    """The tensors of a file, all finite; those of a bundle's only network without `member0.`."""
    state = read_state(path)
    broken = [name for name, tensor in state.items() if not torch.isfinite(tensor).all()]
    if broken:
        raise WeightsError(
            f"{path}: holds NaN or infinite numbers in {some_names(broken)}: its training failed: "
            "use another file"
        )
    if all(name.startswith(_MEMBER) for name in state):
        return {name.removeprefix(_MEMBER): tensor for name, tensor in state.items()}
    return state


def _rename(state: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Names without the prefixes of wrappers (`module.`, `backbone.`), unless they are wanted."""
    renamed = {}
    for key, tensor in state.items():
        name = key
        while name not in wanted and name.startswith(_PREFIXES):
            name = name.partition(".")[2]
        renamed[name] = tensor
    return renamed


def _without_classifier(
    state: dict[str, Tensor], wanted: Mapping[str, Tensor], layout: WeightsLayout, path: Path
) -> dict[str, Tensor]:
    heads = tuple(f"{name}." for name in (*layout.classifier, "classifier"))
    left_out = [key for key in state if key not in wanted and key.startswith(heads)]
    if left_out:
        logger.info("In {}, not part of the encoder: {}", path, ", ".join(left_out))
    return {key: tensor for key, tensor in state.items() if key not in left_out}


def _find_mismatch(state: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> str:
    """What is missing, unknown or of another shape, and what to check; empty where all fits."""
    common = state.keys() & wanted.keys()
    if len(common) < len(wanted) / 2:
        return (
            f"of another network: it holds {len(common)} of the {len(wanted)} tensors of this one; "
            f"found {some_names(state)}; expected {some_names(wanted)}: {_CHECK_NETWORK}"
        )
    reshaped = [
        f"{key} {_shape(state[key])} instead of {_shape(wanted[key])}"
        for key in wanted
        if key in common and state[key].shape != wanted[key].shape
    ]
    # Files older than PyTorch 0.4.1 have no counters, and inference doesn't read them.
    missing = [key for key in wanted if key not in common and not key.endswith(_BATCH_COUNTER)]
    problems = [
        f"{title} {some_names(keys)}"
        for title, keys in (
            ("missing", missing),
            ("unknown", [key for key in state if key not in common]),
            ("of another shape", reshaped),
        )
        if keys
    ]
    return f"doesn't fit this network: {'; '.join(problems)}: {_CHECK_SHAPE}" if problems else ""


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "scalar"
