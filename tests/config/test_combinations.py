"""Networks that don't fit their data, and keys that don't fit their network: all refused early."""

from pathlib import Path

import pytest

from csi_predictor.config import Config, load_config
from csi_predictor.errors import ConfigError


def load(folder: Path, text: str) -> Config:
    path = folder / "config.ini"
    path.write_text(text, encoding="utf-8")
    return load_config(path, environment={})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "[MODEL]\nMODEL_ARCH = resnet18_3d\n",
            r"MODEL_ARCH = resnet18_3d: a network for volumes, but \[DATA\] SOURCE = phantom gives "
            r"images: choose a network for images, or another source",
        ),
        (
            "[MODEL]\nMODEL_ARCH = resnet50\n[DATA]\nSOURCE = volumes\nTASK = multilabel\n"
            "LABELS = a\n",
            r"MODEL_ARCH = resnet50: a network for single images, but \[DATA\] SOURCE = volumes",
        ),
        (
            "[MODEL]\nMODEL_ARCH = LongitudinalMIMModel\n",
            r"a network for pairs of images, but \[DATA\] SOURCE = phantom gives images",
        ),
        (
            "[MODEL]\nMODEL_ARCH = vit_base_3d\n[DATA]\nSOURCE = volumes\n",
            r"TASK: six zones are of one radiograph, found a network for volumes",
        ),
        (
            "[MODEL]\nMODEL_ARCH = masked_reconstruction\n[DATA]\nTASK = change\n",
            r"TASK = change: masked_reconstruction can't answer it: expected reconstruction",
        ),
        ("[MODEL]\nHEAD = linear\n", r"HEAD = linear: of TASK = csi: expected auto, ordinal or so"),
        (
            "[MODEL]\nHEAD = ordinal\n[DATA]\nTASK = multilabel\nLABELS = a, b\n",
            r"HEAD = ordinal: of TASK = multilabel: expected auto, linear, map or projection",
        ),
        (
            "[DATA]\nTASK = multiclass\n",
            r"TASK = multiclass: the embedded images have zones or labels: expected csi or multil",
        ),
        ("[DATA]\nTASK = multilabel\nLABELS = a, b, a\n", r"LABELS = a, b, a: a name stands there"),
        ("[DATA]\nLABELS = a\n", r"LABELS = a: not read by TASK = csi: leave it empty"),
        ("[DATA]\nVOLUME_SHAPE = 8, 8\n", r"VOLUME_SHAPE = 8, 8: expected three numbers above 0"),
        ("[DATA]\nVOLUME_SHAPE = 8, 8, 8\n", r"VOLUME_SHAPE = 8, 8, 8: custom1 takes images"),
        (
            "[MODEL]\nMODEL_ARCH = resnet18_3d\nIMAGE_SIZE = 64\n[DATA]\nSOURCE = volumes\n"
            "TASK = multilabel\nLABELS = a\n",
            r"IMAGE_SIZE = 64: resnet18_3d takes volumes: set \[DATA\] VOLUME_SHAPE = D, H, W",
        ),
        (
            "[MODEL]\nMODEL_ARCH = resnet50\nUSE_OFFICIAL_PROCESSOR = true\n",
            r"USE_OFFICIAL_PROCESSOR = true: resnet50 has none: expected false, or MODEL_ARCH",
        ),
        (
            "[MODEL]\nMODEL_ARCH = raddino\nUSE_OFFICIAL_PROCESSOR = true\nIMAGE_SIZE = 224\n",
            r"IMAGE_SIZE = 224: the official processor's is fixed: expected auto",
        ),
        (
            "[MODEL]\nMODEL_ARCH = raddino\nUSE_OFFICIAL_PROCESSOR = true\n[DATA]\nFIT = stretch\n",
            r"USE_OFFICIAL_PROCESSOR = true: sets size, fit and normalisation",
        ),
        (
            "[MODEL]\nMODEL_ARCH = resnet18\nCHANGE_OUTPUT = signed\n[DATA]\nTASK = change\n",
            r"CHANGE_OUTPUT = signed: resnet18 gives plain logits: expected magnitude",
        ),
        (
            "[TRAINING]\nSECOND_READER_WEIGHT = 0.5\n",
            r"SECOND_READER_WEIGHT = 0\.5: needs \[EVALUATION\] SECOND_READER_CSV: expected 0, or",
        ),
        (
            "[MODEL]\nHEAD = softmax\n[TRAINING]\nSECOND_READER_WEIGHT = 0.5\n"
            "[EVALUATION]\nSECOND_READER_CSV = b.csv\n",
            r"SECOND_READER_WEIGHT = 0\.5: two readers have two thresholds .* HEAD = softmax",
        ),
        (
            "[MODEL]\nMODEL_ARCH = densenet264\nPRETRAINED = true\n",
            r"PRETRAINED = true: densenet264 has no published weights: expected false, or WEIGHTS",
        ),
    ],
)
def test_an_impossible_combination_is_named(tmp_path: Path, text: str, expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        load(tmp_path, text)


@pytest.mark.parametrize(
    "text",
    [
        "[MODEL]\nMODEL_ARCH = chexnet\n[DATA]\nTASK = multilabel\n",
        "[MODEL]\nMODEL_ARCH = densenet3d\nVARIANT = tiny\n[DATA]\nSOURCE = volumes\n"
        "TASK = multilabel\nLABELS = a, b\nVOLUME_SHAPE = 32, 48, 40\nDATA_DIR = ct\n"
        "LABELS_CSV = labels.csv\n",
        "[MODEL]\nMODEL_ARCH = LongitudinalMIMModelBig\n[DATA]\nSOURCE = pairs\nTASK = change\n",
        "[MODEL]\nMODEL_ARCH = raddino\nUSE_OFFICIAL_PROCESSOR = true\n",
    ],
)
def test_what_goes_together_is_accepted(tmp_path: Path, text: str) -> None:
    assert load(tmp_path, text).model.model_arch


def test_a_patch_size_is_one_number_or_one_an_axis_or_auto(tmp_path: Path) -> None:
    for text, expected in (("16", (16,)), ("8, 16, 16", (8, 16, 16)), ("auto", ()), ("", ())):
        model = load(tmp_path, f"[MODEL]\nMODEL_ARCH = vit_tiny\nPATCH_SIZE = {text}\n").model
        assert model.patch_size == expected
