"""What is read for which task, and what is refused before anything is read."""

from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from csi_predictor.config import load_config
from csi_predictor.errors import ConfigError
from csi_predictor.specs import TargetSpec
from csi_predictor.workflows.images import (
    load_manifest,
    phantom_kind,
    refuse_what_is_not_read,
    takes_volumes,
)

LABELS = ("DATA.TASK=multilabel",)


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (
            ("MODEL.MODEL_ARCH=LongitudinalMIMModel", "DATA.SOURCE=pairs", "DATA.TASK=change"),
            r"\[DATA\] SOURCE = pairs: only `build_model` and --mode benchmark know it: training "
            "and evaluation expect phantom, csv, medmnist or volumes",
        ),
        (
            ("DATA.TASK=change", "DATA.SOURCE=csv", "DATA.DATA_DIR=.", "DATA.LABELS_CSV=a.csv"),
            r"\[DATA\] TASK = change: only `build_model` and --mode benchmark know it: training "
            "and evaluation expect csi, multiclass or multilabel",
        ),
        (
            (*LABELS, "MODEL.HEAD=map"),
            r"\[MODEL\] HEAD = map: the map head of custom1 names no label or class: only "
            "`build_model` and --mode benchmark know it: training and evaluation expect linear",
        ),
    ],
)
def test_what_training_cannot_learn_is_refused(overrides: tuple[str, ...], expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        refuse_what_is_not_read(load_config(None, overrides, {}))


@pytest.mark.parametrize("overrides", [(), LABELS, (*LABELS, "MODEL.HEAD=linear")])
def test_what_training_can_learn_is_not_refused(overrides: tuple[str, ...]) -> None:
    refuse_what_is_not_read(load_config(None, overrides, {}))


@pytest.mark.parametrize(
    ("overrides", "kind"),
    [
        ((), "studies"),
        (LABELS, "findings"),
        ((*LABELS, "MODEL.MODEL_ARCH=densenet_tiny_3d"), "ct"),
    ],
)
def test_embedded_images_are_those_that_task_and_network_need(
    overrides: tuple[str, ...], kind: str
) -> None:
    config = load_config(None, overrides, {})
    assert phantom_kind(config) == kind
    assert takes_volumes(config) == (kind == "ct")


def test_a_table_of_classes_is_read_with_the_trained_networks_order(tmp_path: Path) -> None:
    for name in ("a", "b"):
        PIL.Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / f"{name}.png")
    (tmp_path / "t.csv").write_text("FileID,label\na,viral\nb,normal\n", encoding="utf-8")
    source = ("DATA.SOURCE=csv", f"DATA.DATA_DIR={tmp_path}", f"DATA.LABELS_CSV={tmp_path}/t.csv")
    config = load_config(None, ["DATA.TASK=multiclass", *source], {})
    assert load_manifest(config).target_spec.names == ("normal", "viral")
    targets = TargetSpec(task="multiclass", names=("viral", "mixed", "normal"), num_classes=3)
    found = load_manifest(config, targets)
    assert found.target_spec == targets
    assert [row.targets for row in found.rows] == [(0.0,), (2.0,)]
