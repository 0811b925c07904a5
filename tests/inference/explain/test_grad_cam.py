"""Class activation maps against captum, and against the answer that they add up to."""

import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from csi_predictor.inference.explain.capture import capture, ready_to_explain
from csi_predictor.inference.explain.grad_cam import class_activation
from csi_predictor.inference.explain.heat_map import heat_map
from csi_predictor.inference.explain.target import Target, score_answer
from csi_predictor.models import create_model
from csi_predictor.models.assemble import CsiModel
from csi_predictor.models.staged import StagedModel
from csi_predictor.specs import ZONES

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # captum's own, at import
    from captum.attr import LayerAttribution, LayerGradCam

LABELS = ("edema", "mass", "nodule")


def pictures(model: StagedModel, count: int = 2) -> Tensor:
    shape = (count, model.input_spec.channels, *model.input_spec.size)
    return torch.randn(shape, generator=torch.Generator().manual_seed(3))


def stir(model: nn.Module) -> None:
    """Norms with statistics and scales of their own, so that maps differ from place to place."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if tensor.ndim == 1 and tensor.is_floating_point():
                noise = torch.rand(tensor.shape, generator=generator)
                tensor.copy_(noise + 0.5 if name.endswith(("var", "weight")) else noise - 0.5)


class Whole(nn.Module):
    """Pixels to logits, with a layer that gives the encoder's map just as the head sees it."""

    def __init__(self, model: CsiModel) -> None:
        super().__init__()
        self.model = model
        self.seen = nn.Identity()

    def forward(self, pixels: Tensor) -> Tensor:
        feature_map = self.seen(self.model.backbone.forward_features(pixels))
        logits: Tensor = self.model.classifier(feature_map.flatten(2).mean(dim=2))
        return logits


def by_captum(network: nn.Module, layer: nn.Module, pixels: Tensor, label: int) -> Tensor:
    """(B, ...) by LayerGradCam, interpolated, each image's strongest place 1."""
    explain = LayerGradCam(lambda x: getattr(y := network.eval()(x), "logits", y), layer)
    coarse = explain.attribute(pixels, target=label, relu_attributions=True)
    mode = "bilinear" if pixels.ndim == 4 else "trilinear"
    fine = LayerAttribution.interpolate(coarse, pixels.shape[2:], mode)[:, 0].detach()
    peak = fine.flatten(1).amax(dim=1).reshape(-1, *[1] * (fine.ndim - 1))
    return fine / peak.clamp_min(1e-30)


@pytest.mark.parametrize(
    ("name", "size", "layer_of"),
    [
        ("resnet18", (96, 64), lambda encoder: encoder.net.layer4),
        ("densenet121", (64, 96), lambda encoder: encoder.net.features.norm5),
        ("efficientnet_b0", (96, 96), lambda encoder: encoder.net.bn2),
        ("resnet18_3d", (48, 64, 64), lambda encoder: encoder.layer4[-1]),
    ],
)
def test_grad_cam_equals_captums(
    name: str, size: tuple[int, ...], layer_of: Callable[[nn.Module], nn.Module]
) -> None:
    torch.manual_seed(0)
    model = create_model(name, image_size=size, labels=LABELS)
    assert isinstance(model, CsiModel)
    stir(model)
    pixels = pictures(model)
    found = heat_map(model, pixels, Target("mass"), method="grad_cam")
    expected = by_captum(model, layer_of(model.backbone), pixels, label=1)
    assert not found.is_empty.all()
    torch.testing.assert_close(torch.from_numpy(found.values), expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", ["densenet_tiny_3d", "custom1"])
def test_where_a_relu_follows_the_last_layer_the_map_is_after_it(name: str) -> None:
    torch.manual_seed(0)
    size = (64, 64, 64) if name == "densenet_tiny_3d" else (96, 96)
    model = create_model(name, image_size=size, labels=LABELS)
    assert isinstance(model, CsiModel)
    stir(model)
    pixels = pictures(model)
    whole = Whole(model)
    expected = by_captum(whole, whole.seen, pixels, label=1)
    found = heat_map(model, pixels, Target("mass"))
    assert found.method == "grad_cam"
    assert not found.is_empty.all()
    torch.testing.assert_close(torch.from_numpy(found.values), expected, rtol=1e-3, atol=1e-4)


def test_grad_cam_of_a_named_stage_equals_captums() -> None:
    torch.manual_seed(0)
    model = create_model("resnet18", image_size=64, labels=LABELS)
    assert isinstance(model, CsiModel)
    stir(model)
    pixels = pictures(model)
    found = heat_map(model, pixels, Target("edema"), stage="layer2")
    layer = model.get_submodule("backbone.net.layer2")
    expected = by_captum(model, layer, pixels, label=0)
    assert (found.method, found.stage) == ("grad_cam", "layer2")
    torch.testing.assert_close(torch.from_numpy(found.values), expected, rtol=1e-3, atol=1e-4)


def raw_map(model: CsiModel, pixels: Tensor, target: Target, *, averages: bool) -> Tensor:
    with ready_to_explain(model):
        captured = capture(model, pixels)
        scores = score_answer(captured.logits, target, model.spec)
        return class_activation(captured, scores, averages=averages).values


def test_of_zones_each_positions_own_gradient_adds_up_to_the_answer(tiny_zones: CsiModel) -> None:
    # The head is linear in the map, so the map's sum is the zone's score less its constants.
    pixels = pictures(tiny_zones, 3)
    head: Any = tiny_zones.classifier
    constants = head.bias[2, 0] - head.thresholds().mean()
    with torch.no_grad():
        score = tiny_zones.eval()(pixels).logits[:, 2, :3].mean(dim=1)
    total = raw_map(tiny_zones, pixels, Target(ZONES[2]), averages=False).flatten(1).sum(dim=1)
    torch.testing.assert_close(total, score - constants.detach(), rtol=1e-4, atol=1e-5)


def test_averaged_gradients_forget_the_zone_so_zones_get_their_own(tiny_zones: CsiModel) -> None:
    pixels = pictures(tiny_zones)
    first, last = (
        raw_map(tiny_zones, pixels, Target(zone), averages=True) for zone in (ZONES[0], ZONES[5])
    )
    torch.testing.assert_close(first, last)
    first, last = (
        heat_map(tiny_zones, pixels, Target(zone)).values for zone in (ZONES[0], ZONES[5])
    )
    assert abs(first - last).max() > 0.5


def test_token_grad_cam_is_of_the_tokens_that_the_last_attention_reads() -> None:
    # By hand: the head reads the class token alone, so gradients stop at the last block's tokens.
    torch.manual_seed(0)
    model = create_model("vit_tiny_3d", image_size=32, patch_size=8, labels=LABELS).eval()
    pixels = pictures(model)
    encoder: Any = model.backbone
    with torch.no_grad():
        tokens = torch.cat([encoder.cls_token.expand(2, -1, -1), encoder.patch_embed(pixels)], 1)
        tokens = tokens + encoder.pos_embed
        *blocks, last = encoder.blocks
        for block in blocks:
            tokens = block(tokens)
        normed = last.norm1(tokens)
    normed.requires_grad_()
    after = tokens + last.attn(normed)
    after = after + last.mlp(last.norm2(after))
    logit = model.classifier(encoder.norm(after)[:, 0])[:, 2]
    (gradients,) = torch.autograd.grad(logit.sum(), normed)
    weights = gradients[:, 1:].mean(dim=1, keepdim=True)
    coarse = (weights * normed[:, 1:]).sum(dim=2).relu().reshape(2, 1, 4, 4, 4).detach()
    fine = F.interpolate(coarse, (32, 32, 32), mode="trilinear", align_corners=False)[:, 0]
    expected = fine / fine.flatten(1).amax(dim=1).reshape(-1, 1, 1, 1)
    found = heat_map(model, pixels, Target("nodule"), method="token_grad_cam")
    torch.testing.assert_close(torch.from_numpy(found.values), expected, rtol=1e-3, atol=1e-4)


def test_a_network_with_channels_last_maps_is_read_along_its_channels() -> None:
    torch.manual_seed(0)
    model = create_model("timm/swin_s3_tiny_224", image_size=224, labels=LABELS)
    pixels = pictures(model, 1)  # its maps are (B, h, w, F)
    found = heat_map(model, pixels, Target("mass"), method="grad_cam")
    encoder: Any = model.eval().backbone
    with torch.no_grad():
        last = encoder.forward_features(pixels)
    weight = model.get_parameter("classifier.1.weight")[1]
    coarse = torch.einsum("bfhw,f->bhw", last, weight.detach()).relu()[:, None]
    fine = F.interpolate(coarse, (224, 224), mode="bilinear", align_corners=False)[:, 0]
    torch.testing.assert_close(
        torch.from_numpy(found.values), fine / fine.amax(), rtol=1e-3, atol=1e-4
    )
