"""Heat maps of a network's or an ensemble's answer, at the size of its picture."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from csi_predictor.errors import CsiError
from csi_predictor.inference.engines.int8_linear import count_int8
from csi_predictor.inference.explain.attention import (
    check_attention,
    is_plain_transformer,
    recorded_attention,
)
from csi_predictor.inference.explain.capture import Captured, capture, ready_to_explain
from csi_predictor.inference.explain.grad_cam import RawMap, answer_gradients, class_activation
from csi_predictor.inference.explain.rollout import (
    reading_weights,
    roll_attention,
    roll_gradients,
)
from csi_predictor.inference.explain.target import Target, score_answer
from csi_predictor.models.assemble import CsiModel
from csi_predictor.models.heads.pooling import ZonePooling

CamMethod = Literal["grad_cam", "hires_cam", "token_grad_cam"]
RolloutMethod = Literal["gradient_rollout", "attention_rollout"]
Method = CamMethod | RolloutMethod
MethodChoice = Literal["auto"] | Method

METHODS: tuple[Method, ...] = (*get_args(CamMethod), *get_args(RolloutMethod))

_INTERPOLATIONS = {2: "bilinear", 3: "trilinear"}
_NOISE = 1e-5
"""Share of the cancelled terms below which a sum of some hundred float32 is rounding."""


@dataclass(frozen=True, kw_only=True)
class HeatMaps:
    """Where the answer about each image comes from.

    Attributes:
        values: (B, H, W) or (B, D, H, W) from 0 to 1, the strongest place of each image; all 0
            where nothing speaks for the answer.
        strengths: (B,) of the strongest place before scaling, 0 of an empty map. It tells weak
            evidence from strong between targets and images of one network and method.
        method: How they were made; of an ensemble of several kinds, each.
        stage: Whose map or tokens they show; of several feature maps that the head reads, this one.
    """

    values: NDArray[np.float32]
    strengths: NDArray[np.float32]
    method: str
    stage: str

    @property
    def is_empty(self) -> NDArray[np.bool_]:
        """(B,) whether nothing in the image speaks for the answer; such a map is no evidence."""
        return np.asarray(self.strengths == 0)


def heat_map(
    model: nn.Module,
    pixels: Tensor,
    target: Target,
    *,
    method: MethodChoice = "auto",
    stage: str | None = None,
) -> HeatMaps:
    """The heat maps of one network; see `mean_heat_map`."""
    return mean_heat_map([model], pixels, target, method=method, stage=stage)


def mean_heat_map(
    models: Sequence[nn.Module],
    pixels: Tensor,
    target: Target,
    *,
    method: MethodChoice = "auto",
    stage: str | None = None,
) -> HeatMaps:
    """The mean of an ensemble's maps, each at the picture's size, then scaled to the strongest.

    The networks are left as they were: modes, `requires_grad`, gradients and attention.

    Args:
        models: At least one, on one device; they take the same picture and answer the same.
        pixels: Normalised (B, C, H, W) or (B, C, D, H, W). Rollout holds all layers' attention: one
            image at a time, where a transformer has a thousand tokens.
        target: What is explained.
        method: `auto` goes by the network, as measured on planted squares: `hires_cam` where the
            head pools zones, for Grad-CAM's mean over all positions forgets which zone was asked
            for; else `gradient_rollout` of plain vision transformers, whose last tokens have little
            left of the patch that they stand for (`token_grad_cam`), and where it looks isn't what
            speaks for the answer (`attention_rollout`); else `token_grad_cam` where the last stage
            gives tokens and `grad_cam` where it gives maps.
        stage: Whose map; None = the last one before the head that still has positions.

    Raises:
        CsiError: A network, or its pairing with target, method or stage, can't be explained.
        ValueError: No network.
    """
    if not models:
        raise ValueError("a heat map of no network: expected at least one")
    if method != "auto" and method not in METHODS:
        raise CsiError(f"heat map by {method}: expected auto or one of {', '.join(METHODS)}")
    networks = [_as_network(model) for model in models]
    if not len(pixels):
        nothing = np.zeros((0, *pixels.shape[2:]), np.float32)
        return HeatMaps(values=nothing, strengths=np.zeros(0, np.float32), method=method, stage="")
    parts = [_explain(network, pixels, target, method, stage) for network in networks]
    values = torch.stack([part.values for part in parts]).mean(dim=0)
    scale = torch.stack([part.scale for part in parts]).mean(dim=0)
    peaks = values.flatten(1).amax(dim=1)
    strengths = peaks.where(peaks > _NOISE * scale, torch.zeros_like(peaks))
    return HeatMaps(
        values=_scaled(values, strengths).cpu().numpy(),
        strengths=strengths.cpu().numpy(),
        method=", ".join(dict.fromkeys(part.method for part in parts)),
        stage=", ".join(dict.fromkeys(part.stage for part in parts)),
    )


@dataclass(frozen=True)
class _Part:
    """One network's maps (B, H, W) or (B, D, H, W), at least 0 and not yet scaled; see `RawMap`."""

    values: Tensor
    scale: Tensor
    method: Method
    stage: str


def _explain(
    model: CsiModel, pixels: Tensor, target: Target, choice: MethodChoice, stage: str | None
) -> _Part:
    pixels = pixels.to(next(model.parameters()).device)
    if choice == "auto":
        choice = _choose_by_network(model, stage)
    with ready_to_explain(model):
        if choice == "gradient_rollout" or choice == "attention_rollout":
            method: Method = choice
            captured, raw = _roll_out(model, pixels, target, choice, stage)
        else:
            captured = capture(model, pixels, stage=stage)
            method = _choose_cam(model, captured, choice)
            scores = score_answer(captured.logits, target, model.spec)
            raw = class_activation(captured, scores, averages=method != "hires_cam")
    values, scale = _join_zones(raw, len(pixels))
    if not bool(values.isfinite().all()):
        raise CsiError(
            f"heat map of {model.spec.architecture}: it is infinite or not a number: expected "
            "finite ones: check its weights"
        )
    mode = _INTERPOLATIONS[values.ndim - 1]
    sized = F.interpolate(values.relu()[:, None], pixels.shape[2:], mode=mode, align_corners=False)
    return _Part(sized[:, 0], scale, method, captured.stage)


def _roll_out(
    model: CsiModel, pixels: Tensor, target: Target, method: RolloutMethod, stage: str | None
) -> tuple[Captured, RawMap]:
    """The pass, and what of the answer comes from each patch."""
    if stage is not None:
        raise CsiError(
            f"heat map of {model.spec.architecture}: {method} goes through all layers: expected no "
            f"stage, found {stage}"
        )
    has_gradients = method == "gradient_rollout"
    # The graph begins at the picture, so that it holds every layer's attention.
    begin = pixels.detach().clone().requires_grad_(has_gradients)
    with recorded_attention(model) as recorded:
        captured = capture(model, begin)
    attention = list(recorded.values())
    num_tokens = captured.last.shape[1] if captured.grid else 0
    check_attention(attention, num_tokens, model.spec.architecture)
    scores = score_answer(captured.logits, target, model.spec)
    wanted = [captured.last, *(attention if has_gradients else [])]
    of_last, *of_attention = answer_gradients(captured, scores, wanted)
    reading = reading_weights(of_last, len(pixels))
    with torch.no_grad():
        if has_gradients:
            flow = roll_gradients(attention, of_attention, reading)
        else:
            flow = roll_attention(attention, reading)
    values = flow[:, captured.num_prefix :].reshape(-1, *captured.grid)
    return captured, RawMap(values, values.flatten(1).amax(dim=1))


def _choose_by_network(model: CsiModel, stage: str | None) -> MethodChoice:
    """What can be told before the pass."""
    if isinstance(model.pooling, ZonePooling):
        return "hires_cam"
    return "gradient_rollout" if stage is None and is_plain_transformer(model) else "auto"


def _choose_cam(model: CsiModel, captured: Captured, choice: MethodChoice) -> CamMethod:
    """The class activation map that fits what the stage gives.

    Raises:
        CsiError: The chosen one is for another kind.
    """
    own: CamMethod = "token_grad_cam" if captured.grid else "grad_cam"
    if choice == "hires_cam":
        return "hires_cam"
    if choice not in ("auto", own):
        has = "tokens" if captured.grid else "maps"
        raise CsiError(
            f"heat map of {model.spec.architecture} by {choice}: its {captured.stage} gives {has}: "
            f"expected auto, {own} or hires_cam"
        )
    return own


def _as_network(model: nn.Module) -> CsiModel:
    if not isinstance(model, CsiModel):
        raise CsiError(
            f"heat map of {type(model).__name__}: expected a network of one image with a head of "
            "zones, labels or classes, run by torch"
        )
    if count_int8(model):
        raise CsiError(
            f"heat map of {model.spec.architecture}: its layers are int8, through which no "
            "gradient flows: expected the same bundle with ENGINE = torch"
        )
    return model


def _join_zones(raw: RawMap, num_images: int) -> tuple[Tensor, Tensor]:
    """Of masked zones the sum over an image's Z pictures, which the answer is a sum of too."""
    values = raw.values.reshape(num_images, -1, *raw.values.shape[1:]).sum(dim=1)
    return values, raw.scale.reshape(num_images, -1).sum(dim=1)


def _scaled(values: Tensor, strengths: Tensor) -> Tensor:
    """Each image's strongest place becomes 1; an empty map, which is rounding alone, becomes 0."""
    divisor = strengths.where(strengths > 0, torch.full_like(strengths, torch.inf))
    return values / divisor.reshape(-1, *[1] * (values.ndim - 1))
