"""RadDINO: a DINOv2 vision transformer of chest radiographs, computed by transformers."""

from collections.abc import Mapping
from typing import Any

from loguru import logger
from torch import Tensor
from transformers import Dinov2Config, Dinov2Model

from csi_predictor.architectures import Architecture
from csi_predictor.errors import ConfigError
from csi_predictor.models.encoder import (
    Encoded,
    Encoder,
    EncoderOptions,
    Stage,
    Stages,
    WeightsLayout,
    pool_means,
)

PATCH_PX = 14
PUBLISHED_CONFIG: dict[str, Any] = {
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "mlp_ratio": 4,
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-6,
    "layerscale_value": 1.0,
    "image_size": 518,
    "patch_size": PATCH_PX,
    "qkv_bias": True,
    "use_swiglu_ffn": False,
    "use_mask_token": True,
}
"""ViT-B/14 at 518 pixels. Source: config.json of microsoft/rad-dino, as far as it has a bearing on
the network."""

_STEM = "embeddings.patch_embeddings.projection.weight"
_MASK_TOKEN = "embeddings.mask_token"
_SPARED = ("embeddings.cls_token", "embeddings.position_embeddings", _MASK_TOKEN)
_WRAPPER = "dinov2."
_PUBLISHED_NAMES = {
    "attention.attention.query": "attention.q_proj",
    "attention.attention.key": "attention.k_proj",
    "attention.attention.value": "attention.v_proj",
    "attention.output.dense": "attention.o_proj",
}
"""The attention's layers: in published files, and in transformers 5's own state."""


def build_raddino(architecture: Architecture, options: EncoderOptions) -> "RadDino":
    """A `RadDino` with random weights, for pictures whose edges are multiples of 14 pixels.

    Raises:
        ConfigError: A key asks for what the network doesn't have.
    """
    _check_options(architecture, options)
    config = Dinov2Config(
        **PUBLISHED_CONFIG,
        num_channels=options.input_spec.channels,
        drop_path_rate=options.drop_path_rate,
    )
    return RadDino(Dinov2Model(config), has_class_pooling=options.pooling != "mean")


class RadDino(Encoder):
    """transformers' DINOv2 with one map of patch tokens.

    The position embeddings are those of 518 pixels; transformers resamples them to the picture's
    size in each forward pass. The mask token is a part of the published state that only the
    pretraining used: it never gets a gradient.

    Args:
        net: From images to tokens.
        has_class_pooling: True = the pooled vector is the class token after the last norm
            (`Dinov2Model`'s `pooler_output`); False = the patch tokens' mean.
    """

    def __init__(self, net: Dinov2Model, *, has_class_pooling: bool = True) -> None:
        super().__init__()
        self.net = net
        self.has_class_pooling = has_class_pooling
        self.feature_dims = (int(net.config.hidden_size),)

    def forward(self, images: Tensor) -> Encoded:
        """Images (B, C, H, W) -> the map of patch tokens and (B, F) by the chosen pooling."""
        tokens = self._tokens(images)
        maps = (_to_map(tokens, images),)
        return Encoded(maps, tokens[:, 0] if self.has_class_pooling else pool_means(maps))

    def forward_maps(self, images: Tensor) -> tuple[Tensor, ...]:
        """Images (B, C, H, W) -> one map (B, F, H / 14, W / 14): patch tokens after the norm."""
        return (_to_map(self._tokens(images), images),)

    def stages(self) -> Stages:
        """The embeddings, then each block; the last norm goes with the last block."""
        layers = enumerate(self.net.encoder.layer)
        *blocks, last = ((f"block{index}", block) for index, block in layers)
        return (
            ("embeddings", self.net.embeddings),
            *blocks,
            (f"{last[0]}+norm", Stage([last[1], self.net.layernorm], [])),
        )

    def weights_layout(self) -> WeightsLayout:
        """The file of transformers' `Dinov2Model`."""
        return WeightsLayout(module=self.net, stem=_STEM)

    def set_gradient_checkpointing(self, enabled: bool) -> None:
        """Keep only each block's input: transformers' own."""
        net: Any = self.net  # transformers doesn't declare types here
        if enabled:
            net.activation_checkpointing_enable({"use_reentrant": False})
        else:
            net.activation_checkpointing_disable()

    def no_weight_decay(self) -> frozenset[str]:
        """The class token, the mask token and the position embeddings."""
        return frozenset(f"net.{name}" for name in _SPARED)

    def rename_weights(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The published names as transformers 5 has them, without the wrapper `dinov2.`."""
        return {_current_name(name): tensor for name, tensor in state.items()}

    def fit_weights(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The file's tensors; a mask token that it leaves out stays as it is."""
        fitted = dict(state)
        token = self.net.embeddings.mask_token
        if token is not None and _MASK_TOKEN not in fitted:
            logger.info("The weights hold no {}, which only pretraining uses", _MASK_TOKEN)
            fitted[_MASK_TOKEN] = token.detach().clone()
        return fitted

    def _tokens(self, images: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, 1 + N, F) after the last norm, the class token first."""
        tokens: Tensor = self.net(images).last_hidden_state
        return tokens


def _to_map(tokens: Tensor, images: Tensor) -> Tensor:
    height, width = images.shape[2] // PATCH_PX, images.shape[3] // PATCH_PX
    # (B, 1 + h * w, F) -> (B, F, h, w)
    return tokens[:, 1:].transpose(1, 2).reshape(len(tokens), -1, height, width)


def _current_name(name: str) -> str:
    name = name.replace(_WRAPPER, "")
    for published, current in _PUBLISHED_NAMES.items():
        name = name.replace(published, current)
    return name


def _check_options(architecture: Architecture, options: EncoderOptions) -> None:
    if options.feature_levels != 1:
        raise ConfigError(
            f"[MODEL] FEATURE_LEVELS = {options.feature_levels}: every block of "
            f"{architecture.name} has the same resolution, 1/{PATCH_PX}: expected 1"
        )
    if options.patch_size not in (None, (PATCH_PX, PATCH_PX)):
        found = " x ".join(map(str, dict.fromkeys(options.patch_size or ())))
        raise ConfigError(
            f"[MODEL] PATCH_SIZE = {found}: the patches of {architecture.name} have {PATCH_PX} "
            "pixels: expected auto"
        )
    size = options.input_spec.size
    if min(size) < PATCH_PX or any(edge % PATCH_PX for edge in size):
        found = " x ".join(map(str, dict.fromkeys(size)))
        raise ConfigError(
            f"[MODEL] IMAGE_SIZE = {found}: {architecture.name} cuts the picture into patches of "
            f"{PATCH_PX} pixels: expected a multiple of {PATCH_PX}, as 224 or 518"
        )
