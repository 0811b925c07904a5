"""Layer by layer: torchinfo's table of the networks of the registry."""

import re

import pytest
import torchvision

from csi_predictor.architectures import find_architecture
from csi_predictor.cli import main
from csi_predictor.models.summary import summarize


def total(text: str) -> int:
    (count,) = re.findall(r"Total params: ([\d,]+)", text)
    return int(count.replace(",", ""))


def shapes(text: str, layer: str) -> list[str]:
    """The shapes in a layer's line: input, output and, of a convolution, the kernel."""
    line = next(line for line in text.splitlines() if layer in line)
    return re.findall(r"\[[\d, ]+\]", line)


def test_a_resnet_is_shown_as_torchvision_builds_it() -> None:
    text = summarize(find_architecture("resnet50"))
    reference = torchvision.models.resnet50(weights=None)
    assert total(text) == sum(parameter.numel() for parameter in reference.parameters())
    assert shapes(text, "Conv2d (conv1)") == ["[1, 3, 224, 224]", "[1, 64, 112, 112]", "[7, 7]"]
    assert shapes(text, "Linear (1)") == ["[1, 2048]", "[1, 1000]"]


def test_a_transformer_of_volumes_costs_no_memory() -> None:
    text = summarize(find_architecture("vit_large_3d"))  # 309M parameters, 4.5 GB of activations
    assert total(text) == 308_872_978
    assert shapes(text, "Conv3d (proj)")[:2] == ["[1, 1, 128, 256, 256]", "[1, 1024, 8, 16, 16]"]


def test_a_network_of_pairs_is_shown_two_pictures() -> None:
    row = find_architecture("longitudinal_mim")
    text = summarize(row)
    assert total(text) == row.parameters
    assert shapes(text, "LongitudinalMIMModel (")[1] == "[1, 1, 512, 512]"


def test_a_network_published_without_a_head_gets_the_default_one() -> None:
    text = summarize(find_architecture("custom1"))
    assert shapes(text, "ZoneClassifier (classifier)")[1] == "[1, 6, 4]"


def test_no_multiply_adds_are_claimed() -> None:
    assert "mult-adds" not in summarize(find_architecture("vit_tiny_patch16_224")).lower()


def test_the_command_prints_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--mode", "models", "--summary", "ResNet18"]) == 0
    assert total(capsys.readouterr().out) == 11_689_512


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("resnet51", "--summary resnet51: expected one of .*did you mean resnet50"),
        ("timm/no_such", "timm .* has no network no_such"),
    ],
)
def test_an_unknown_name_is_refused(
    capsys: pytest.CaptureFixture[str], name: str, reason: str
) -> None:
    assert main(["--mode", "models", "--summary", name]) == 2
    shown = capsys.readouterr()
    assert re.search(reason, shown.err)
    assert shown.out == ""
