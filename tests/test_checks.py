"""`--mode check` finds what would fail later."""

from pathlib import Path
from types import ModuleType

import numpy as np
import PIL.Image
import pytest

from csi_predictor import checks
from csi_predictor.checks import run_checks
from csi_predictor.config import Config, load_config
from csi_predictor.inference.bundle import save_bundle
from csi_predictor.models import create_model
from csi_predictor.specs import ZONES


def configure(*overrides: str) -> Config:
    return load_config(None, ["MODEL.IMAGE_SIZE=64", *overrides], {})


def test_a_right_configuration_has_no_problem(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_checks(configure()) == 0
    shown = capsys.readouterr().out
    assert "no problem found" in shown
    assert "custom1, " in shown


@pytest.mark.parametrize(
    ("overrides", "text"),
    [
        (
            ("MODEL.MODEL_ARCH=timm/vgg11", "MODEL.IMAGE_SIZE=16"),
            "timm/vgg11 can't take 3x16x16: ",
        ),
        (
            ("MODEL.MODEL_ARCH=timm/coat_tiny", "MODEL.IMAGE_SIZE=224"),
            "MODEL_ARCH = timm/coat_tiny: it ends in 3 feature maps: expected a network of timm",
        ),
        (
            ("MODEL.MODEL_ARCH=LongitudinalMIMModel", "DATA.SOURCE=pairs", "DATA.TASK=change"),
            "[DATA] SOURCE = pairs: only `build_model` and --mode benchmark know it",
        ),
        (
            ("DATA.TASK=multilabel", "DATA.LABELS=edema,effusion", "MODEL.HEAD=map"),
            "[MODEL] HEAD = map: the map head of custom1 names no label or class: only",
        ),
        (
            ("DATA.TASK=multilabel", "MODEL.HEAD=projection", "DATA.LABELS=edema"),
            "[MODEL] HEAD = projection: the projection head of custom1 names no label or class",
        ),
    ],
)
def test_what_training_would_fail_on_is_a_problem(
    overrides: tuple[str, ...], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_checks(configure(*overrides)) == 2
    assert text in capsys.readouterr().out


def test_torch_and_torchvision_that_do_not_match_are_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(name: str) -> ModuleType:
        if name == "torchvision":
            raise RuntimeError("operator torchvision::nms does not exist")
        return ModuleType(name)

    monkeypatch.setattr(checks, "import_module", fail)
    assert run_checks(configure()) == 2
    shown = capsys.readouterr().out
    assert "import torchvision: operator torchvision::nms does not exist: install the pair" in shown


def test_a_wrong_grade_of_the_second_reader_is_a_problem(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    header = ";".join(("FileID", "PatientID", *ZONES))
    for index in range(6):
        noise = np.random.default_rng(index).integers(0, 255, (40, 40), dtype=np.uint8)
        PIL.Image.fromarray(noise).save(tmp_path / f"i{index}.png")
    rows = [f"i{index};p{index};0;1;2;3;0;1" for index in range(6)]
    (tmp_path / "labels.csv").write_text("\n".join([header, *rows]), encoding="utf-8")
    (tmp_path / "second.csv").write_text(f"{header}\ni0;p0;0;1;2;9;0;1", encoding="utf-8")
    config = configure(
        "DATA.SOURCE=csv",
        f"DATA.DATA_DIR={tmp_path}",
        f"DATA.LABELS_CSV={tmp_path / 'labels.csv'}",
        f"EVALUATION.SECOND_READER_CSV={tmp_path / 'second.csv'}",
    )
    assert run_checks(config) == 2
    assert "second.csv row 2, column left_mid = 9: expected 0 to 3" in capsys.readouterr().out


def test_every_problem_is_found_in_one_go(capsys: pytest.CaptureFixture[str]) -> None:
    config = configure(
        "MODEL.WEIGHTS=nowhere.safetensors",
        "DATA.SOURCE=csv",
        "DATA.DATA_DIR=nowhere",
        "DATA.LABELS_CSV=nowhere.csv",
        "SCORING.MODEL=nowhere",
        "SCORING.INPUT_DIR=nowhere",
        "EVALUATION.SECOND_READER_CSV=nowhere.csv",
    )
    assert run_checks(config) == 2
    shown = capsys.readouterr().out
    for text in (
        "nowhere.safetensors: no such weights file",
        "nowhere.csv: no such file",
        "bundle.json: no such file",
        "[SCORING] INPUT_DIR = ",
        "[EVALUATION] SECOND_READER_CSV = ",
    ):
        assert text in shown, text


def test_a_bundle_of_labels_is_told_before_it_is_scored(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = create_model("custom1", image_size=32, num_classes=2)
    save_bundle(
        tmp_path / "labels",
        [model.state_dict()],
        spec=model.spec,
        test_time="none",
        baseline_grades=(),
        learnt_ids=(),
        training={},
        config_ini="",
    )
    folder = tmp_path / "labels"
    assert run_checks(configure(f"SCORING.MODEL={folder}", f"EVALUATION.MODEL={folder}")) == 2
    text = capsys.readouterr().out
    assert "answers multilabel: scoring grades six zones" in text
    assert "answers multilabel: expected TASK = multilabel" in text
