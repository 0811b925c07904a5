from dataclasses import replace
from typing import Any

import pytest
import torch

from csi_predictor.architectures import ARCHITECTURES
from csi_predictor.errors import ConfigError
from csi_predictor.models import create_model
from csi_predictor.models.create import build_model_from_spec
from csi_predictor.models.model_spec import ModelSpec
from csi_predictor.models.staged import StagedModel
from csi_predictor.specs import TargetSpec

NAMES = [name for name, row in ARCHITECTURES.items() if row.family == "longitudinal"]


def create(name: str, **arguments: Any) -> StagedModel:
    with torch.device("meta"):
        return create_model(name, **{"image_size": 64, **arguments})


@pytest.mark.parametrize("name", NAMES)
def test_each_row_builds_its_class_from_a_spec_that_survives_json(name: str) -> None:
    model = create(name)
    row = ARCHITECTURES[name]
    assert type(model).__name__ == row.class_name
    assert model.feature_dim == row.feature_dim
    assert model.input_spec.size == (64, 64)
    with torch.device("meta"):
        again = build_model_from_spec(ModelSpec.from_dict(model.spec.to_dict()))
    assert again.spec == model.spec
    assert [name for name, _ in again.named_parameters()] == [
        name for name, _ in model.named_parameters()
    ]


@pytest.mark.parametrize("name", NAMES)
def test_a_row_answers_to_the_name_of_its_class(name: str) -> None:
    assert create(ARCHITECTURES[name].class_name).spec.architecture == name


@pytest.mark.parametrize("name", NAMES)
def test_what_is_built_without_a_spec_makes_the_same_one(name: str) -> None:
    built = create(name)
    with torch.device("meta"):
        alone = type(built)(img_size=64, dropout_rate=0.2)
    ignored = {"target_spec": TargetSpec(), "head": "ordinal"}
    assert replace(alone.spec, **ignored) == replace(built.spec, **ignored)
    if name not in ("contrastive_encoder", "patchgan_discriminator"):  # these serve no task
        assert alone.spec == built.spec


def test_the_spec_s_fields_reach_the_network() -> None:
    model = create(
        "longitudinal_mim",
        map_range="signed",
        dropout_rate=0.3,
        drop_path_rate=0.2,
        in_channels=3,
        image_size=(64, 96),
    )
    assert isinstance(model.classifier.decoder.link, torch.nn.Tanh)
    assert model.classifier.dropout.p == 0.3
    assert model.backbone.bottleneck.transformer.vit_encoder.layers[-1].drop_path1.drop_prob == 0.2
    assert model.backbone.features.stem[0][0].in_channels == 3
    assert model.backbone.bottleneck.transformer.embeddings.grid == (2, 3)


def test_labels_name_the_classifier_s_outputs() -> None:
    model = create("ClassificationModel", labels=("edema", "effusion"))
    assert model.target_spec.names == ("edema", "effusion")
    assert model.classifier[-1].out_features == 2


@pytest.mark.parametrize(
    ("name", "arguments", "text"),
    [
        ("longitudinal_mim_big", {"image_size": 100}, r"IMAGE_SIZE = 100x100: .* multiples of 32"),
        (
            "longitudinal_mim",
            {"task": "csi"},
            r"TASK = csi: longitudinal_mim can't answer it: expected change",
        ),
        (
            "masked_reconstruction",
            {"task": "change"},
            r"TASK = change: masked_reconstruction can't .* expected reconstruction",
        ),
        (
            "longitudinal_classification",
            {"task": "change"},
            r"TASK = change: .* expected multilabel or multiclass or regression",
        ),
        ("longitudinal_mim", {"num_classes": 3, "task": "change"}, r"LABELS has 3 names: .* one"),
        ("longitudinal_mim", {"patch_size": 16}, r"PATCH_SIZE = 16: longitudinal_mim has no patc"),
        ("contrastive_encoder", {"pooling": "cls"}, r"POOLING = cls: .* expected auto or mean"),
        ("longitudinal_mim", {"head": "linear"}, r"HEAD = linear.* its own head: expected auto"),
        ("longitudinal_mim", {"head": "projection"}, r"HEAD = projection.* its own head"),
        ("longitudinal_classification", {"head": "map"}, r"HEAD = map.* its own head"),
        ("longitudinal_classification", {"head_hidden": 8}, r"HEAD_HIDDEN = 8: .* its own head"),
        ("longitudinal_mim", {"feature_levels": 2}, r"FEATURE_LEVELS = 2: .* its own maps: ex"),
        (
            "patchgan_discriminator",
            {"drop_path_rate": 0.1},
            r"DROP_PATH_RATE = 0\.1: patchgan_discriminator has no residual paths",
        ),
        ("patchgan_discriminator", {"image_size": 16}, r"IMAGE_SIZE = 16x16: .* at least 32"),
    ],
)
def test_what_a_network_cannot_do_is_refused(
    name: str, arguments: dict[str, Any], text: str
) -> None:
    with pytest.raises(ConfigError, match=text):
        create(name, **arguments)
