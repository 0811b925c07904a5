"""Heat maps find what was planted, fit the picture, and never stand in for a failure."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from csi_predictor.errors import CsiError
from csi_predictor.inference.engines.int8_linear import quantize_linears
from csi_predictor.inference.explain.capture import capture, ready_to_explain
from csi_predictor.inference.explain.grad_cam import class_activation
from csi_predictor.inference.explain.heat_map import heat_map, mean_heat_map
from csi_predictor.inference.explain.target import Target, score_answer
from csi_predictor.models import create_model
from csi_predictor.models.assemble import CsiModel
from csi_predictor.specs import ZONES

Plant = Callable[..., Any]
SQUARE = Target("square")


def picture_of(model: Any, count: int = 2) -> Tensor:
    shape = (count, model.input_spec.channels, *model.input_spec.size)
    return torch.randn(shape, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize(
    ("name", "method", "options"),
    [
        ("resnet18", "hires_cam", {}),
        ("efficientnet_b0", "hires_cam", {}),
        ("densenet121", "hires_cam", {"feature_levels": 2}),
        ("chexnet", "hires_cam", {"global_context": True}),
        ("custom1", "grad_cam", {"zone_focus": "masking"}),
        ("custom1", "grad_cam", {"zone_focus": "none", "head": "softmax"}),
        ("vit_tiny_patch16_224", "hires_cam", {}),
        ("vit_tiny_patch16_224", "gradient_rollout", {"zone_focus": "masking"}),
        ("vit_tiny_patch16_224", "gradient_rollout", {"labels": ("a", "b")}),
        ("timm/vit_tiny_patch16_224", "gradient_rollout", {"zone_focus": "none"}),
        ("timm/mobilenetv3_small_050", "grad_cam", {"labels": ("a", "b"), "task": "multiclass"}),
        ("timm/mixer_s16_224", "token_grad_cam", {"labels": ("a", "b"), "image_size": 224}),
        ("resnet18_3d", "grad_cam", {"labels": ("a", "b"), "image_size": (48, 64, 64)}),
        ("densenet_tiny_3d", "grad_cam", {"labels": ("a", "b"), "image_size": (64, 64, 64)}),
        ("vit_tiny_3d", "gradient_rollout", {"labels": ("a", "b"), "image_size": (32, 48, 32)}),
    ],
)
def test_each_family_gets_a_map_of_the_pictures_size(
    name: str, method: str, options: dict[str, Any]
) -> None:
    torch.manual_seed(0)
    model = create_model(name, **{"image_size": (64, 96), **options})
    task = model.target_spec.task
    answer = {"csi": Target("left_mid"), "multiclass": Target("class", "b")}.get(task, Target("b"))
    pixels = picture_of(model)
    found = heat_map(model, pixels, answer)
    assert found.values.shape == (2, *model.input_spec.size)
    assert found.values.dtype == np.float32
    assert found.method == method
    assert found.stage in dict(model.stages())
    peaks = found.values.reshape(2, -1).max(axis=1)
    np.testing.assert_allclose(peaks, np.where(found.is_empty, 0, 1), rtol=1e-6)
    assert (found.values >= 0).all()


def test_masked_zones_are_read_from_their_own_picture() -> None:
    torch.manual_seed(0)
    model = create_model("custom1", image_size=128, in_channels=1, zone_focus="masking")
    assert isinstance(model, CsiModel)
    pixels = picture_of(model, 2)
    masked = model.masking(pixels)  # type: ignore[misc]  # (B * Z, C, H, W)
    with ready_to_explain(model):
        captured = capture(model, pixels)
        assert len(captured.last) == len(masked) == 12
        scores = score_answer(captured.logits, Target(ZONES[4]), model.spec)
        values = class_activation(captured, scores, averages=True).values
    is_used = values.reshape(2, 6, -1).abs().sum(dim=2) > 0
    assert is_used.tolist() == [[zone == 4 for zone in range(6)]] * 2


def test_an_ensembles_map_is_the_mean_before_it_is_scaled(tiny: CsiModel) -> None:
    torch.manual_seed(1)
    other = deepcopy(tiny)
    for module in other.modules():
        if hasattr(module, "reset_parameters"):
            module.reset_parameters()
    pixels = picture_of(tiny, 3)
    raw = []
    for model in (tiny, other):
        with ready_to_explain(model):
            captured = capture(model, pixels)
            scores = score_answer(captured.logits, SQUARE, model.spec)
            values = class_activation(captured, scores, averages=True).values.relu()[:, None]
        raw.append(F.interpolate(values, (48, 48), mode="bilinear", align_corners=False)[:, 0])
    mean = (raw[0] + raw[1]) / 2
    expected = mean / mean.flatten(1).amax(dim=1).reshape(-1, 1, 1)
    found = mean_heat_map([tiny, other], pixels, SQUARE)
    torch.testing.assert_close(torch.from_numpy(found.values), expected)
    torch.testing.assert_close(torch.from_numpy(found.strengths), mean.flatten(1).amax(dim=1))
    assert (found.method, found.stage) == ("grad_cam", "block2")


def test_a_strength_tells_weak_evidence_from_strong(
    square_finder: CsiModel, planted_squares: Plant
) -> None:
    planted = planted_squares((48, 48), seed=1000)
    found = heat_map(square_finder, planted.pixels, SQUARE)
    has = planted.has_square.numpy()
    assert found.strengths[has].min() > 2 * found.strengths[~has].max()
    weaker = deepcopy(square_finder)
    with torch.no_grad():
        weaker.get_parameter("classifier.1.weight").mul_(0.1)
    weak = heat_map(weaker, planted.pixels, SQUARE)
    np.testing.assert_allclose(weak.strengths, found.strengths / 10, rtol=1e-4)
    np.testing.assert_allclose(weak.values, found.values, rtol=1e-3, atol=1e-5)


def test_one_image_has_the_same_map_alone_and_in_a_batch(square_finder: CsiModel) -> None:
    pixels = picture_of(square_finder, 4)
    together = heat_map(square_finder, pixels, SQUARE).values
    for index in range(4):
        alone = heat_map(square_finder, pixels[[index]], SQUARE).values
        np.testing.assert_allclose(alone[0], together[index], rtol=1e-4, atol=1e-6)


def set_head(model: CsiModel, weight: Tensor | float) -> None:
    with torch.no_grad():
        model.get_parameter("classifier.1.weight").copy_(torch.as_tensor(weight))


def test_where_nothing_speaks_for_it_the_map_is_empty_and_says_so(tiny: CsiModel) -> None:
    set_head(tiny, -1.0)  # every channel, which a ReLU keeps from being negative, speaks against it
    found = heat_map(tiny, picture_of(tiny), SQUARE)
    assert found.is_empty.tolist() == [True, True]
    assert not found.values.any()


def test_rounding_isnt_scaled_up_to_evidence(tiny: CsiModel) -> None:
    block: Any = tiny.get_submodule("backbone.block2")
    with torch.no_grad():
        for layer in block[:2]:
            for parameter in layer.parameters():
                parameter[8:] = parameter[:8]  # the second half of the channels repeats the first
    weight = torch.full((2, 16), 1 / 3)
    weight[:, 8:] = -1 / 3 * (1 - 1e-7)
    set_head(tiny, weight)
    found = heat_map(tiny, picture_of(tiny), SQUARE)
    assert found.is_empty.all()


def test_a_dead_network_gives_an_empty_map(tiny: CsiModel) -> None:
    set_head(tiny, 0.0)
    assert heat_map(tiny, picture_of(tiny), SQUARE).is_empty.all()


def test_no_images_are_no_maps(tiny: CsiModel) -> None:
    found = heat_map(tiny, torch.zeros(0, 1, 48, 48), SQUARE)
    assert found.values.shape == (0, 48, 48)
    assert found.is_empty.shape == (0,)


class NotOurs(nn.Module):
    """A network of another program."""

    def forward(self, pixels: Tensor) -> Tensor:
        return pixels.mean(dim=(1, 2, 3))


def test_what_cant_be_explained_is_an_error_and_never_a_drawing__weakness_002_11(
    tiny: CsiModel, tiny_zones: CsiModel
) -> None:
    pixels = picture_of(tiny)
    with pytest.raises(CsiError, match="heat map of NotOurs: expected a network of one image"):
        heat_map(NotOurs(), pixels, SQUARE)
    with pytest.raises(CsiError, match="its layers are int8, through which no gradient flows"):
        heat_map(quantize_linears(tiny), pixels, SQUARE)
    with pytest.raises(CsiError, match="custom1 by token_grad_cam: its block2 gives maps"):
        heat_map(tiny, pixels, SQUARE, method="token_grad_cam")
    with pytest.raises(CsiError, match="heat map by synthetic: expected auto or one of grad_cam"):
        heat_map(tiny, pixels, SQUARE, method="synthetic")  # type: ignore[arg-type]
    with pytest.raises(CsiError, match="question 'left_inf' with answer ''"):
        heat_map(tiny, pixels, Target("left_inf"))
    with torch.device("meta"):
        change = create_model("longitudinal_mim", image_size=64)
    with pytest.raises(CsiError, match="expected a network of one image"):
        heat_map(change, torch.zeros(1, 1, 64, 64), SQUARE)
    set_head(tiny, float("nan"))
    with pytest.raises(CsiError, match=r"infinite or not a number: .*: check its weights"):
        heat_map(tiny, pixels, SQUARE)


def test_a_resnet_has_a_map_and_each_zone_its_own__weakness_002_11() -> None:
    torch.manual_seed(0)
    model = create_model("resnet50", image_size=128)
    with torch.no_grad():
        model.get_parameter("classifier.weight").abs_()  # so that every channel speaks for a grade
    pixels = picture_of(model, 1)
    maps = {zone: heat_map(model, pixels, Target(zone)).values[0] for zone in ZONES}
    assert all(
        not np.array_equal(maps[one], maps[other])
        for one in ZONES
        for other in ZONES
        if one < other
    )


def test_a_transformers_tokens_arent_a_map() -> None:
    model = create_model("vit_tiny_3d", image_size=32, labels=("a", "b"))
    with pytest.raises(CsiError, match=r"by grad_cam: its blocks.11\+norm gives tokens: expected"):
        heat_map(model, picture_of(model), Target("a"), method="grad_cam")


def test_no_network_is_an_error() -> None:
    with pytest.raises(ValueError, match="heat map of no network"):
        mean_heat_map([], torch.zeros(1, 1, 8, 8), SQUARE)
