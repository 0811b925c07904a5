"""Keywords to networks: what is answered, with which head."""

import json

import pytest
import torch

from csi_predictor.architectures import CHEXNET_LABELS
from csi_predictor.errors import ConfigError
from csi_predictor.models import CsiModel, ModelSpec, create_model
from csi_predictor.models.create import choose_targets
from csi_predictor.models.registry import resolve_architecture


def custom1(**keywords: object) -> CsiModel:
    model = create_model("custom1", image_size=32, **keywords)  # type: ignore[arg-type]
    assert isinstance(model, CsiModel)
    return model.eval()


@pytest.mark.parametrize(
    ("keywords", "shape"),
    [
        ({}, (2, 6, 4)),
        ({"head": "softmax"}, (2, 6, 5)),
        ({"num_classes": 14}, (2, 14)),
        ({"labels": ("a", "b")}, (2, 2)),
        ({"task": "multiclass", "num_classes": 9, "head_hidden": 8}, (2, 9)),
        ({"task": "regression", "labels": ("age",)}, (2, 1)),
        ({"task": "change"}, (2, 1, 32, 32)),
        ({"task": "change", "feature_levels": 3}, (2, 1, 32, 32)),
        ({"num_classes": 3, "head": "projection"}, (2, 128)),
    ],
)
def test_each_head_answers_in_its_shape(
    keywords: dict[str, object], shape: tuple[int, ...]
) -> None:
    model = custom1(**keywords)
    output = model(torch.randn(2, 1, 32, 32))
    assert output.logits.shape == shape
    assert output.features.shape == (2, model.feature_dim)


def test_a_network_is_built_again_from_its_spec_after_json() -> None:
    model = custom1(task="multiclass", num_classes=4, head_hidden=8)
    spec = ModelSpec.from_dict(json.loads(json.dumps(model.spec.to_dict())))
    assert spec == model.spec


def test_a_patch_of_one_number_becomes_one_an_axis() -> None:
    spec = create_model("vit_tiny_patch16_224", image_size=64, patch_size=32).spec
    assert spec.patch_size == (32, 32)
    assert ModelSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec


def test_a_published_number_of_answers_takes_the_published_names() -> None:
    targets = choose_targets(resolve_architecture("chexnet"), num_classes=14)
    assert targets.names == CHEXNET_LABELS
    assert choose_targets(resolve_architecture("chexnet"), num_classes=3).names[0] == "class_0"


def test_multiclass_counts_its_classes_and_multilabel_two_an_answer() -> None:
    architecture = resolve_architecture("resnet18")
    assert choose_targets(architecture, task="multiclass", num_classes=9).num_classes == 9
    assert choose_targets(architecture, task="multilabel", num_classes=9).num_classes == 2


@pytest.mark.parametrize(
    ("keywords", "expected"),
    [
        ({"labels": ("a",), "num_classes": 2}, r"num_classes = 2, but 1 labels: keep one of them"),
        ({"task": "multilabel"}, r"LABELS is empty: TASK = multilabel needs the answers' names"),
        (
            {"num_classes": 2, "zone_focus": "masking"},
            r"ZONE_FOCUS = masking: a linear head has no zones: expected none",
        ),
        ({"pooling": "bogus"}, r"POOLING = bogus: expected one of auto, cls, mean"),
        ({"head": "bogus"}, r"HEAD = bogus: expected one of ordinal, softmax, linear, map, proj"),
        ({"feature_levels": 0}, r"FEATURE_LEVELS = 0: expected at least 1"),
        ({"num_classes": 0}, r"num_classes = 0: expected at least 1"),
        ({"pretrained": True, "weights": "a.pt"}, r"pretrained = True contradicts weights"),
        ({"patch_size": (8, 8, 8)}, r"PATCH_SIZE has 3 numbers: custom1 expects 1 or 2"),
        ({"patch_size": 16}, r"PATCH_SIZE = 16: custom1 has no patches: expected auto"),
        ({"pooling": "cls"}, r"POOLING = cls: custom1 has no class token: expected auto or mean"),
        ({"image_size": (32, 32, 32)}, r"IMAGE_SIZE has 3 edges: expected 2"),
        ({"image_size": 0}, r"IMAGE_SIZE = \(0, 0\): expected edges of at least 1"),
        ({"in_channels": 2}, r"IN_CHANNELS = 2: expected auto, 1 or 3"),
        ({"task": "csi", "num_classes": 5}, r"task = csi answers six zones: expected no labels"),
        ({"task": "csi", "head": "linear"}, r"HEAD = linear: of TASK = csi: expected ordinal or"),
        (
            {"num_classes": 14, "head": "ordinal"},
            r"HEAD = ordinal: of TASK = multilabel: expected linear, map or projection",
        ),
    ],
)
def test_what_can_not_be_built_is_refused(keywords: dict[str, object], expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        create_model("custom1", **{"image_size": 32, **keywords})  # type: ignore[arg-type]


def test_six_zones_of_a_volume_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"HEAD = ordinal: six zones are of radiographs, and res"):
        create_model("resnet18_3d", task="csi", image_size=(16, 32, 32))
