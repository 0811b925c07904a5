"""What is refused before a training begins."""

from pathlib import Path

import pytest

from csi_predictor.data.manifest import Manifest, Row
from csi_predictor.data.split import Split
from csi_predictor.errors import LabelsError
from csi_predictor.specs import TargetSpec
from csi_predictor.workflows.training import check_known, check_same_data

NAN = float("nan")
LABELS = TargetSpec(task="multilabel", names=("edema", "mass"), num_classes=2)
CLASSES = TargetSpec(task="multiclass", names=("x", "y"), num_classes=2)


def manifest(spec: TargetSpec, *targets: tuple[float, ...]) -> Manifest:
    rows = (Row(f"{n}", f"P{n}", Path(f"{n}"), each) for n, each in enumerate(targets))
    return Manifest(tuple(rows), spec)


def test_one_known_answer_is_enough() -> None:
    rows = manifest(LABELS, (1, NAN), (NAN, NAN), (NAN, 0), (NAN, NAN))
    check_known(rows, (Split(("0", "1"), ("3",), ("2",)),))


@pytest.mark.parametrize(
    ("spec", "unknown", "text"),
    [
        (
            LABELS,
            (NAN, NAN),
            r"split 2: all labels of its 2 test images are unknown \(empty\): expected labels in "
            "the labels table",
        ),
        (CLASSES, (NAN,), r"split 2: all labels of its 2 test images are unknown \(empty\)"),
        (
            TargetSpec(),
            (NAN,) * 6,
            r"split 2: all zones of its 2 test images are ungradable \(empty\): expected grades 0 "
            "to 3 in the labels table",
        ),
    ],
)
def test_a_part_without_any_known_answer_is_named(
    spec: TargetSpec, unknown: tuple[float, ...], text: str
) -> None:
    known = (1.0,) * len(unknown)
    rows = manifest(spec, known, known, unknown, unknown)
    splits = (Split(("2", "0"), (), ("3", "1")), Split(("0", "1"), (), ("2", "3")))
    with pytest.raises(LabelsError, match=text):
        check_known(rows, splits)


def test_a_training_part_without_any_known_answer_is_named() -> None:
    rows = manifest(LABELS, (NAN, NAN), (1, 1))
    with pytest.raises(LabelsError, match="split 1: all labels of its 1 train images are unknown"):
        check_known(rows, (Split(("0",), (), ("1",)),))


def test_a_training_of_labels_goes_on_with_its_own_labels_only(tmp_path: Path) -> None:
    splits = (Split(("0",), (), ("1",)),)
    path = tmp_path / "state" / "data.sha256"
    check_same_data(path, manifest(LABELS, (NAN, 1), (0, 1)), splits)
    check_same_data(path, manifest(LABELS, (NAN, 1), (0, 1)), splits)
    with pytest.raises(LabelsError, match="this training began with other labels, images or anot"):
        check_same_data(path, manifest(LABELS, (0, 1), (0, 1)), splits)
    swapped = TargetSpec(task="multilabel", names=("mass", "edema"), num_classes=2)
    with pytest.raises(LabelsError, match="this training began with other labels"):
        check_same_data(path, manifest(swapped, (NAN, 1), (0, 1)), splits)
