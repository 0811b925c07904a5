"""Words for several rows of the registry."""

import pytest

from csi_predictor.architectures import ARCHITECTURES
from csi_predictor.architectures.select import select_architectures


def names(*words: str) -> list[str]:
    return [row.name for row in select_architectures(words)]


def test_a_name_a_class_and_a_timm_name_are_one_row_each() -> None:
    assert names("ResNet50", "LongitudinalMIMModel", "timm/convnext_tiny") == [
        "resnet50",
        "longitudinal_mim",
        "timm/convnext_tiny",
    ]


def test_a_family_is_all_its_rows_in_order() -> None:
    assert names("efficientnet") == [f"efficientnet_b{number}" for number in range(8)]


def test_a_word_that_is_name_and_family_is_the_name() -> None:
    assert names("chexnet") == ["chexnet"]


def test_a_row_named_twice_comes_once() -> None:
    assert names("resnet50", "resnet", "resnet50").count("resnet50") == 1
    assert names("resnet50", "resnet")[0] == "resnet50"


def test_kinds_are_radiographs_volumes_and_everything() -> None:
    flat, deep = names("2d"), names("3D")
    assert "raddino" in flat
    assert all(ARCHITECTURES[name].dimensions == 2 for name in flat)
    assert all(ARCHITECTURES[name].num_images == 1 for name in flat)
    assert {"resnet18_3d", "vit_large_3d"} <= set(deep)
    assert all(ARCHITECTURES[name].dimensions == 3 for name in deep)
    assert names("all") == list(ARCHITECTURES)


def test_an_unknown_word_is_refused_with_the_nearest_and_the_list() -> None:
    with pytest.raises(KeyError, match=r"resnet51: expected 2d, 3d, all, a family .*did you mean"):
        select_architectures(["resnet51"])
