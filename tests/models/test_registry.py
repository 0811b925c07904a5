"""Every row of the registry: it builds, learns, exports its features, is saved and loaded, counted.

The widest rows run on the meta device only, which holds shapes and no numbers.
"""

import json
import math
from collections import Counter
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from csi_predictor.architectures import ARCHITECTURES, Architecture, find_architecture
from csi_predictor.errors import ConfigError
from csi_predictor.models import ModelSpec, build_model_from_spec, create_model
from csi_predictor.models.assemble import ModelOutput
from csi_predictor.models.input_spec import published_input_spec
from csi_predictor.models.registry import resolve_architecture
from csi_predictor.models.staged import HEAD, StagedModel

# Published at 1000 classes: torchvision's model tables (ResNet, DenseNet, EfficientNet); timm's
# table of results (vision transformers); densenet264 by the formula in its own test.
PUBLISHED_PARAMETERS = {
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "resnet101": 44_549_160,
    "resnet152": 60_192_808,
    "densenet121": 7_978_856,
    "densenet161": 28_681_000,
    "densenet169": 14_149_480,
    "densenet201": 20_013_928,
    "densenet264": 33_337_704,
    "efficientnet_b0": 5_288_548,
    "efficientnet_b1": 7_794_184,
    "efficientnet_b2": 9_109_994,
    "efficientnet_b3": 12_233_232,
    "efficientnet_b4": 19_341_616,
    "efficientnet_b5": 30_389_784,
    "efficientnet_b6": 43_040_704,
    "efficientnet_b7": 66_347_960,
    "vit_tiny_patch16_224": 5_717_416,
    "vit_small_patch16_224": 22_050_664,
    "vit_base_patch16_224": 86_567_656,
    "vit_large_patch16_224": 304_326_632,
    "vit_huge_patch14": 632_045_800,
}
TIMM_ROWS = [name for name, row in ARCHITECTURES.items() if row.timm_name and row.dimensions == 2]
GIANT = 200_000_000
"""Parameters: with gradients and a second network to load into, more than two gigabytes."""

UNUSED = {"raddino": ["backbone.net.embeddings.mask_token"]}
"""Published with the network and read by its masked pre-training alone."""


def tiny_size(row: Architecture) -> tuple[int, ...]:
    """A multiple of every stride and patch, large enough for the deepest halving."""
    if row.dimensions == 3:
        return (32, 32, 32)
    has_patches_of_14 = row.family == "raddino" or "patch14" in row.name
    return (56, 56) if has_patches_of_14 else (64, 64)


def build(name: str, num_classes: int | None = None) -> tuple[StagedModel, tuple[Tensor, ...]]:
    """The row's network with its own head, and two tiny inputs of each of its images."""
    row, size = ARCHITECTURES[name], tiny_size(ARCHITECTURES[name])
    if row.dimensions == 3:  # six zones are of radiographs
        num_classes = row.outputs
    model = create_model(name, image_size=size, num_classes=num_classes)
    shape = (2, model.input_spec.channels, *size)
    return model, tuple(torch.randn(shape) for _ in range(row.num_images))


def answer_of(model: StagedModel, images: tuple[Tensor, ...]) -> Tensor:
    output = model(*images)
    return output.logits if isinstance(output, ModelOutput) else output


def assert_answer_has_its_shape(model: StagedModel, answer: Tensor) -> None:
    spec = model.spec
    num_answers = len(spec.target_spec.names)
    expected = {"ordinal": (2, 6, 4), "linear": (2, num_answers)}.get(spec.head)
    if expected is not None:
        assert answer.shape == expected
    assert len(answer) == 2


def assert_features_have_their_width(name: str, model: StagedModel, image: Tensor) -> None:
    features = model.extract_features(image)
    width = ARCHITECTURES[name].feature_dim
    assert features.shape == (2, model.feature_dim) == (2, width)


def assert_each_parameter_has_one_stage(model: StagedModel) -> None:
    stages = model.stages()
    names = [name for name, _ in stages]
    assert len(names) == len(set(names))
    assert names[-1] == HEAD
    held = Counter(id(parameter) for _, stage in stages for parameter in stage.parameters())
    assert held == Counter(id(parameter) for parameter in model.parameters())


def assert_loads_into_another(model: StagedModel, images: tuple[Tensor, ...], path: Path) -> None:
    """As a bundle does it: the spec through JSON, the state through safetensors."""
    model.zero_grad(set_to_none=True)
    save_file({key: value.contiguous() for key, value in model.state_dict().items()}, path)
    spec = ModelSpec.from_dict(json.loads(json.dumps(model.spec.to_dict())))
    assert spec == model.spec
    second = build_model_from_spec(spec)
    with torch.no_grad():
        second.eval()
        before = answer_of(second, images)
        second.load_state_dict(load_file(path), strict=True)
        expected = answer_of(model.eval(), images)
        assert not torch.equal(before, expected)
        torch.testing.assert_close(answer_of(second, images), expected)
        torch.testing.assert_close(
            second.extract_features(images[0]), model.extract_features(images[0])
        )


@pytest.mark.parametrize(
    "name", [name for name, row in ARCHITECTURES.items() if row.parameters < GIANT]
)
def test_each_row_learns_exports_its_features_and_is_saved_and_loaded__weakness_18(
    name: str, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    model, images = build(name)
    answer = answer_of(model, images)
    assert_answer_has_its_shape(model, answer)
    answer.float().square().mean().backward()
    without = [key for key, parameter in model.named_parameters() if parameter.grad is None]
    assert without == UNUSED.get(name, [])
    gradients = [one.grad for one in model.parameters() if one.grad is not None]
    assert all(bool(gradient.isfinite().all()) for gradient in gradients)
    stem = next(parameter for _, stage in model.stages() for parameter in stage.parameters())
    assert stem.grad is not None
    assert bool(stem.grad.any())
    assert_features_have_their_width(name, model, images[0])
    assert_each_parameter_has_one_stage(model)
    assert_loads_into_another(model, images, tmp_path / "model.safetensors")


@pytest.mark.parametrize(
    "name", [name for name, row in ARCHITECTURES.items() if row.parameters >= GIANT]
)
def test_each_giant_runs_forward_and_backward_in_shapes(name: str) -> None:
    with torch.device("meta"):
        model, images = build(name, num_classes=7)
        answer = answer_of(model, images)
        assert_answer_has_its_shape(model, answer)
        answer.float().square().mean().backward()
        assert_features_have_their_width(name, model, images[0])
    assert all(
        parameter.grad is not None and parameter.grad.shape == parameter.shape
        for parameter in model.parameters()
    )
    assert_each_parameter_has_one_stage(model)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_parameters_equal_the_rows(name: str) -> None:
    row = ARCHITECTURES[name]
    with torch.device("meta"):
        model = create_model(name, num_classes=row.outputs or None)
    is_encoder_alone = not row.outputs and not row.is_complete
    counted = model.backbone if is_encoder_alone else model
    assert sum(parameter.numel() for parameter in counted.parameters()) == row.parameters
    assert model.feature_dim == row.feature_dim


def test_rows_at_1000_classes_have_the_published_counts() -> None:
    rows = {name: row.parameters for name, row in ARCHITECTURES.items() if row.outputs == 1000}
    assert rows == PUBLISHED_PARAMETERS


@pytest.mark.parametrize("name", TIMM_ROWS)
def test_the_row_describes_the_picture_that_timm_published(name: str) -> None:
    row = ARCHITECTURES[name]
    assert row.timm_name in timm.list_pretrained()
    published = timm.get_pretrained_cfg(row.timm_name)
    assert row.input_spec is not None
    assert (row.input_spec.channels, *row.input_spec.size) == published.input_size
    assert row.input_spec.mean == published.mean
    assert row.input_spec.std == published.std
    assert row.input_spec.interpolation == published.interpolation


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_rows_facts_agree_with_each_other(name: str) -> None:
    row = ARCHITECTURES[name]
    assert row.name == name
    assert len(row.labels) in (0, row.outputs)
    assert len(set(row.labels)) == len(row.labels)
    assert row.input_spec is not None
    assert len(row.input_spec.size) == row.dimensions
    assert row.source


@pytest.mark.parametrize(
    ("name", "variant", "row"),
    [
        ("efficientnet", "b3", "efficientnet_b3"),
        ("resnet", "50", "resnet50"),
        ("densenet", "densenet264", "densenet264"),
        ("vit", "vit_base", "vit_base_patch16_224"),
        ("vit", "huge", "vit_huge_patch14"),
        ("chexnet", "xrv", "chexnet_xrv"),
        ("resnet3d", "18", "resnet18_3d"),
        ("densenet3d", "tiny", "densenet_tiny_3d"),
        ("vit3d", "large", "vit_large_3d"),
        ("LongitudinalMIMModelBig", "", "longitudinal_mim_big"),
    ],
)
def test_a_family_and_its_variant_name_a_row__weaknesses_001_13_and_004_04(
    name: str, variant: str, row: str
) -> None:
    assert find_architecture(name, variant).name == row


def test_timm_is_asked_for_the_picture_of_its_own_names() -> None:
    spec = published_input_spec(resolve_architecture("timm/tf_efficientnet_lite0"))
    assert (spec.size, spec.mean, spec.interpolation) == ((224, 224), (0.5,) * 3, "bicubic")


def test_custom1_has_about_a_million_parameters() -> None:
    counted = sum(parameter.numel() for parameter in create_model("custom1").parameters())
    assert math.isclose(counted, 1_000_000, rel_tol=0.05)


def test_an_unknown_name_is_an_error_of_the_config__weakness_004_04() -> None:
    with pytest.raises(ConfigError, match=r"\[MODEL\] MODEL_ARCH = resnet51: .* mean resnet50\?"):
        resolve_architecture("resnet51")


def test_no_name_is_no_network() -> None:
    with pytest.raises(KeyError, match="expected one of custom1, resnet18"):
        find_architecture("")


def test_an_unknown_variant_is_never_a_silent_default__weakness_004_04() -> None:
    with pytest.raises(ConfigError, match="resnet3d"):
        resolve_architecture("resnet3d", "19")


def test_a_3d_transformers_width_depth_and_patch_are_what_was_asked_for__weakness_004_04() -> None:
    tiny = create_model("vit_tiny_3d", num_classes=2, image_size=(32, 32, 32), patch_size=16)
    small = create_model("vit_small_3d", num_classes=2, image_size=(32, 32, 32), patch_size=8)
    assert (tiny.feature_dim, small.feature_dim) == (192, 384)  # of the published ViTs
    tokens = [p.shape for name, p in small.named_parameters() if "pos_embed" in name]
    assert tokens == [(1, 1 + 4**3, 384)]
