"""A bundle is evaluated only on what it answers."""

from types import SimpleNamespace
from typing import Any

import pytest

from csi_predictor.config import load_config
from csi_predictor.data.manifest import Manifest
from csi_predictor.errors import ConfigError, LabelsError
from csi_predictor.specs import InputSpec, TargetSpec
from csi_predictor.workflows.evaluation import check_same_answers, check_same_task

LABELS = TargetSpec(task="multilabel", names=("edema", "mass"), num_classes=2)
VOLUMES = ("MODEL.MODEL_ARCH=resnet18_3d", "DATA.TASK=multilabel")


def predictor(targets: TargetSpec, *size: int) -> Any:
    """As far as the checks look at one."""
    return SimpleNamespace(
        target_spec=targets,
        input_spec=InputSpec(size=size or (32, 32)),
        facts=SimpleNamespace(model_id="custom1-0123abcd"),
    )


def test_what_was_trained_for_it_is_accepted() -> None:
    check_same_task(load_config(None, ["DATA.TASK=multilabel"], {}), predictor(LABELS))
    check_same_task(load_config(None, VOLUMES, {}), predictor(LABELS, 8, 8, 8))
    check_same_answers(Manifest((), LABELS), predictor(LABELS))


def test_another_task_is_refused() -> None:
    text = r"\[DATA\] TASK = csi: custom1-0123abcd answers multilabel: set that"
    with pytest.raises(ConfigError, match=text):
        check_same_task(load_config(None, [], {}), predictor(LABELS))


def test_images_for_volumes_and_the_other_way_round_are_refused() -> None:
    text = (
        r"MODEL_ARCH = custom1: custom1-0123abcd takes volumes: expected the network of the "
        "training"
    )
    with pytest.raises(ConfigError, match=text):
        check_same_task(load_config(None, VOLUMES[1:], {}), predictor(LABELS, 8, 8, 8))
    text = r"MODEL_ARCH = resnet18_3d: custom1-0123abcd takes images: expected the network of"
    with pytest.raises(ConfigError, match=text):
        check_same_task(load_config(None, VOLUMES, {}), predictor(LABELS))


@pytest.mark.parametrize("names", [("mass", "edema"), ("edema",), ("edema", "nodule")])
def test_other_answers_or_another_order_are_refused(names: tuple[str, ...]) -> None:
    other = TargetSpec(task="multilabel", names=names, num_classes=2)
    text = (
        f"the table has {', '.join(names)}, but custom1-0123abcd answers edema, mass: expected "
        "the same in the same order"
    )
    with pytest.raises(LabelsError, match=text):
        check_same_answers(Manifest((), other), predictor(LABELS))
