import subprocess
import sys

import pytest

from csi_predictor.architectures import ARCHITECTURES, find_architecture


def test_the_table_is_read_without_torch() -> None:
    code = "import sys, csi_predictor.architectures; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_each_row_stands_under_its_own_lower_case_name() -> None:
    assert all(name == row.name == name.lower() for name, row in ARCHITECTURES.items())


@pytest.mark.parametrize(
    ("name", "variant", "expected"),
    [
        ("resnet50", "", "resnet50"),
        ("ResNet50", "", "resnet50"),
        ("resnet", "50", "resnet50"),
        ("efficientnet", "b3", "efficientnet_b3"),
        ("resnet", "resnet18", "resnet18"),
        ("custom1", "", "custom1"),
    ],
)
def test_a_family_and_its_variant_name_a_row(name: str, variant: str, expected: str) -> None:
    assert find_architecture(name, variant).name == expected


def test_any_name_of_timm_is_a_row() -> None:
    row = find_architecture("timm/convnext_tiny.in12k")
    assert row.timm_name == "convnext_tiny.in12k"
    assert row.input_spec is None


def test_an_unknown_name_lists_the_table_and_the_nearest() -> None:
    with pytest.raises(KeyError, match=r"resnet51: expected one of custom1, .*mean resnet50\?"):
        find_architecture("resnet51")


def test_an_unknown_variant_is_named() -> None:
    with pytest.raises(KeyError, match=r"efficientnet with VARIANT = b9: expected one of"):
        find_architecture("efficientnet", "b9")
