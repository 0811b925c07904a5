"""Parameters part by part, at the described 512 pixels, counted without memory."""

import re
from pathlib import Path

import pytest
import torch
from torch import nn

from csi_predictor.architectures import ARCHITECTURES
from csi_predictor.models import create_model
from csi_predictor.models.longitudinal.blocks import ConvBlockBranch, DecoderBlock
from csi_predictor.models.longitudinal.bottleneck import BottleneckEncoder
from csi_predictor.models.longitudinal.change import LongitudinalMIMModelBig
from csi_predictor.models.longitudinal.constants import (
    FEATURE_CHANNELS,
    FEATURE_SIZE,
    GROUP_NORM_GROUPS,
    HIDDEN_CHANNELS,
    IMG_SIZE,
    INIT_STD,
    INTER_CHANNELS,
    PATCHES_NUM,
)
from csi_predictor.models.longitudinal.discriminator import Discriminator

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "longitudinal.md"
NAMES = [name for name, row in ARCHITECTURES.items() if row.family == "longitudinal"]

# Millions, as the description's table promises them.
DESCRIBED = {"longitudinal_mim_big": 180, "longitudinal_mim": 120, "masked_reconstruction": 100}

# Of the public code of the same name, block by block.
PUBLIC_BLOCKS = {
    "0": 4_944,
    "4": 21_224,
    "11": 52_588,
    "18": 141_460,
    "28": 474_728,
    "38": 1_008_824,
    "51": 2_835_296,
    "52": 6_199_200,
}


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.fixture(scope="module")
def models() -> dict[str, nn.Module]:
    with torch.device("meta"):
        return {name: create_model(name) for name in NAMES}


def test_the_constants_are_the_described_ones() -> None:
    assert (IMG_SIZE, FEATURE_SIZE, FEATURE_CHANNELS) == (512, 32, 640)
    assert (HIDDEN_CHANNELS, INTER_CHANNELS, PATCHES_NUM) == (768, 704, 256)
    assert (GROUP_NORM_GROUPS, INIT_STD) == (32, 0.02)


@pytest.mark.parametrize("name", NAMES)
def test_each_row_tells_its_parameters(models: dict[str, nn.Module], name: str) -> None:
    assert count(models[name]) == ARCHITECTURES[name].parameters


@pytest.mark.parametrize("name", DESCRIBED)
def test_totals_are_within_a_tenth_of_the_described(
    models: dict[str, nn.Module], name: str
) -> None:
    assert count(models[name]) == pytest.approx(DESCRIBED[name] * 1e6, rel=0.1)


def test_the_encoders_blocks_count_as_in_the_public_code() -> None:
    with torch.device("meta"):
        encoder = BottleneckEncoder()
    features, transformer = encoder.features, encoder.bottleneck.transformer
    assert {index: count(block) for index, block in features.blocks.items()} == PUBLIC_BLOCKS
    assert count(features.stem) == 5_144
    assert count(features) == 10_743_408
    assert count(transformer.vit_encoder) == 85_056_000
    assert count(transformer.restore) == 2_345_600
    assert count(ConvBlockBranch()) == 7_375_360
    assert transformer.embeddings.position_embeddings.shape == (1, PATCHES_NUM, HIDDEN_CHANNELS)


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        (DecoderBlock(640, 512), 4_130_944),
        (DecoderBlock(512, 384), 2_467_456),
        (DecoderBlock(384, 256, 1, 1, kernel_size=5), 2_172_032),
        (DecoderBlock(256, 128), 418_432),
        (DecoderBlock(128, 64), 104_768),
    ],
)
def test_decoder_blocks_count_as_in_the_public_code(block: nn.Module, expected: int) -> None:
    assert count(block) == expected


def test_the_adversary_counts_as_its_paper_s_network() -> None:
    # Isola et al. 2017: 2.765M for a colour image, as its public code prints.
    with torch.device("meta"):
        assert count(Discriminator(in_channels=3)) == 2_765_633


def test_the_document_states_each_part_and_the_totals(models: dict[str, nn.Module]) -> None:
    stated = dict(
        re.findall(
            r"^\| `([a-z][\w.]+)` \|.* ([\d,]+) \|$", DOCUMENT.read_text(encoding="utf-8"), re.M
        )
    )
    assert set(NAMES) < set(stated)
    for path, figure in stated.items():
        name, _, part = path.partition(".")
        assert count(models[name].get_submodule(part)) == int(figure.replace(",", "")), path


def test_the_described_shapes_at_512() -> None:
    with torch.device("meta"):
        model = LongitudinalMIMModelBig().eval()
        images = torch.empty(1, 1, 512, 512)
        maps = model.encoder.forward_maps(images)
        change = model(images, images)
    assert [tuple(one.shape[1:]) for one in maps] == [
        (48, 256, 256),
        (80, 128, 128),
        (224, 64, 64),
        (640, 32, 32),
    ]
    assert change.shape == (1, 1, 512, 512)
