import json

import pytest
import torch

from csi_predictor.config import load_config
from csi_predictor.config.schema import Config
from csi_predictor.errors import ConfigError
from csi_predictor.models import (
    ModelSpec,
    build_model,
    build_model_from_spec,
    create_model,
    weights,
)
from csi_predictor.models.build import build_model_spec
from csi_predictor.specs import InputSpec, TargetSpec


def config(**model: object) -> Config:
    values = {"model_arch": "custom1", "image_size": 64, **model}
    return Config.model_validate({"model": values})


def test_the_ini_reaches_the_network() -> None:
    model = build_model(config(head="softmax", zone_focus="none", dropout_rate=0.35))
    assert model.spec.head == "softmax"
    assert model.classifier.dropout.p == pytest.approx(0.35)
    assert model.input_spec.size == (64, 64)
    assert model(torch.zeros(1, 1, 64, 64)).logits.shape == (1, 6, 5)


@pytest.mark.parametrize("strategy", ["zero", "attention"])
def test_each_masking_strategy_of_the_ini_is_the_one_applied__weakness_1(strategy: str) -> None:
    model = build_model(
        config(zone_focus="masking", masking_strategy=strategy, attention_strength=0.8)
    )
    white = (torch.ones(1, 1, 64, 64) - 0.5) / 0.5
    outside = model.masking(white)[0, 0, 60, 60] * 0.5 + 0.5
    assert outside.item() == pytest.approx({"zero": 0.0, "attention": 0.2}[strategy], abs=1e-6)


def test_custom1_is_built_by_its_name__weakness_2() -> None:
    model = build_model(config())
    features = model.extract_features(torch.zeros(1, 1, 64, 64))
    assert features.shape == (1, model.feature_dim)
    assert model.classifier.weight.shape[-1] == model.feature_dim


def test_zone_focus_and_dropout_are_the_users_choice__weakness_3() -> None:
    plain = build_model(config(zone_focus="none", dropout_rate=0.0))
    assert plain.masking is None
    assert plain.classifier.dropout.p == 0
    assert build_model(config(zone_focus="masking")).masking is not None


def test_data_keys_make_the_input_spec() -> None:
    data = {"normalization_strategy": "simple", "fit": "letterbox", "low_percentile": 1}
    spec = build_model(
        Config.model_validate({"model": {"model_arch": "resnet18", "in_channels": 1}, "data": data})
    ).input_spec
    assert spec == InputSpec(
        size=(224, 224),
        channels=1,
        mean=(0.0,),
        std=(1.0,),
        fit="letterbox",
        percentiles=(1, 99.5),
    )


def test_the_published_stretch_stays_unless_the_ini_changes_it() -> None:
    """TorchXRayVision stretches the whole range; a percentile is cut off only where asked for."""
    published = config(model_arch="chexnet_xrv")
    assert build_model_spec(published).input_spec.percentiles == (0, 100)
    changed = Config.model_validate({**published.model_dump(), "data": {"high_percentile": 99}})
    assert build_model_spec(changed).input_spec.percentiles == (0, 99)


def test_building_for_evaluation_never_touches_pretrained_weights__weakness_17(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trained = build_model(config(model_arch="resnet18"))
    monkeypatch.setattr("csi_predictor.models.weights_cache.ask_hub", pytest.fail)
    monkeypatch.setattr(weights, "read_state", pytest.fail)
    assert build_model_from_spec(trained.spec).spec == trained.spec


def test_no_classifier_of_the_published_network_is_kept__weakness_17() -> None:
    for name in ("resnet18", "densenet121", "efficientnet_b0"):
        encoder = create_model(name, image_size=64).backbone
        names = " ".join(encoder.state_dict())
        assert not any(f"net.{head}." in names for head in ("fc", "classifier"))


@pytest.mark.parametrize(
    "model",
    [
        {},
        {"zone_focus": "masking", "head": "softmax"},
        {"model_arch": "timm/tf_efficientnet_lite0", "drop_path_rate": 0.1},
    ],
)
def test_a_model_comes_back_from_its_spec_and_state(model: dict[str, object]) -> None:
    trained = build_model(config(**model)).eval()
    spec = ModelSpec.from_dict(json.loads(json.dumps(trained.spec.to_dict())))
    again = build_model_from_spec(spec).eval()
    again.load_state_dict(trained.state_dict())
    images = torch.randn(2, trained.input_spec.channels, 64, 64)
    assert spec == trained.spec
    assert torch.equal(again(images).logits, trained(images).logits)


def test_a_linear_head_gives_one_logit_a_class() -> None:
    model = create_model("resnet", "18", num_classes=14, dropout_rate=0.3, image_size=64)
    output = model(torch.zeros(2, 3, 64, 64))
    assert output.logits.shape == (2, 14)
    assert output.features.shape == (2, 512)
    assert len(model.target_spec.names) == 14


def test_without_classes_the_head_grades_six_zones() -> None:
    assert create_model("custom1").spec == build_model(Config()).spec


def test_a_linear_head_cant_mask_zones() -> None:
    with pytest.raises(ConfigError, match="ZONE_FOCUS = masking: a linear head has no zones"):
        create_model("custom1", num_classes=3, zone_focus="masking")


def test_gradient_checkpointing_is_switched_on() -> None:
    assert build_model(config(gradient_checkpointing=True)).backbone.is_checkpointing


def labelled(*overrides: str) -> Config:
    return load_config(None, ["DATA.TASK=multilabel", *overrides], {})


VOLUMES = ("DATA.SOURCE=volumes", "DATA.DATA_DIR=.", "DATA.LABELS_CSV=a.csv", "DATA.LABELS=a, b")


def test_the_answers_of_a_table_make_the_head() -> None:
    targets = TargetSpec(task="multiclass", names=("x", "y", "z"), num_classes=3)
    model = build_model(config(head="linear", image_size=32), targets)
    assert model.target_spec == targets
    assert model(torch.zeros(2, 1, 32, 32)).logits.shape == (2, 3)
    assert build_model_spec(config(), targets).target_spec == targets


def test_labels_of_the_ini_are_the_answers_where_no_table_says_more() -> None:
    spec = build_model_spec(labelled("DATA.LABELS=edema, mass"))
    assert spec.target_spec == TargetSpec(task="multilabel", names=("edema", "mass"), num_classes=2)
    with pytest.raises(ConfigError, match=r"\[DATA\] LABELS is empty: TASK = multilabel needs"):
        build_model_spec(labelled())


def test_a_published_set_gives_its_own_labels_and_size() -> None:
    overrides = ("DATA.TASK=multiclass", "DATA.MEDMNIST_FLAG=pneumoniamnist")
    source = ("DATA.SOURCE=medmnist", "DATA.DATA_DIR=.", "DATA.MEDMNIST_SIZE=64")
    spec = build_model_spec(labelled(*overrides, *source, "MODEL.MODEL_ARCH=resnet18"))
    assert spec.target_spec.names == ("normal", "pneumonia")  # as medmnist 3.0.2 publishes them
    assert spec.target_spec.task == "multiclass"
    assert spec.input_spec.size == (64, 64)
    larger = (*overrides, *source, "MODEL.MODEL_ARCH=resnet18", "MODEL.IMAGE_SIZE=96")
    assert build_model_spec(labelled(*larger)).input_spec.size == (96, 96)


def test_a_published_set_of_volumes_is_a_cube_without_hounsfield_units() -> None:
    overrides = ("DATA.TASK=multiclass", "DATA.MEDMNIST_FLAG=nodulemnist3d")
    source = ("DATA.SOURCE=medmnist", "DATA.DATA_DIR=.", "MODEL.MODEL_ARCH=resnet18_3d")
    spec = build_model_spec(labelled(*overrides, *source)).input_spec
    assert (spec.size, spec.hu_range, spec.spacing_mm) == ((28, 28, 28), None, None)
    shaped = labelled(*overrides, *source, "DATA.VOLUME_SHAPE=32, 40, 48")
    assert build_model_spec(shaped).input_spec.size == (32, 40, 48)


def test_keys_of_volumes_reach_the_input() -> None:
    keys = (
        "MODEL.MODEL_ARCH=resnet18_3d",
        "DATA.VOLUME_SHAPE=16, 24, 32",
        "DATA.SPACING_MM=3, 1.5, 1.5",
        "DATA.HU_MIN=-160",
        "DATA.HU_MAX=240",
    )
    spec = build_model_spec(labelled(*VOLUMES, *keys)).input_spec
    assert spec.size == (16, 24, 32)
    assert spec.hu_range == (-160, 240)
    assert spec.spacing_mm == (3, 1.5, 1.5)
    auto = labelled(*VOLUMES, keys[0], "DATA.HU_MIN=auto", "DATA.HU_MAX=auto")
    assert build_model_spec(auto).input_spec.hu_range is None
    assert build_model_spec(auto).input_spec.spacing_mm is None


def test_a_picture_has_no_hounsfield_units() -> None:
    assert build_model_spec(labelled("DATA.LABELS=a")).input_spec.hu_range is None
