"""What is answered, from what, and with which keys: what doesn't go together is refused early."""

from pathlib import Path

import pytest

from csi_predictor.config import Config, load_config
from csi_predictor.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = sorted((ROOT / "docs" / "examples").glob("*.ini"))

LABELS = ("DATA.TASK=multilabel",)
CLASSES = ("DATA.TASK=multiclass", "DATA.SOURCE=csv", "DATA.DATA_DIR=.", "DATA.LABELS_CSV=a.csv")
VOLUMES = (
    "MODEL.MODEL_ARCH=resnet18_3d",
    "DATA.TASK=multilabel",
    "DATA.SOURCE=volumes",
    "DATA.DATA_DIR=.",
    "DATA.LABELS_CSV=a.csv",
)
BLOOD = (
    "MODEL.MODEL_ARCH=resnet18",
    "DATA.TASK=multiclass",
    "DATA.SOURCE=medmnist",
    "DATA.DATA_DIR=.",
    "DATA.MEDMNIST_FLAG=bloodmnist",
)


def load(*overrides: str) -> Config:
    return load_config(None, overrides, environment={})


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (
            ("MODEL.MODEL_ARCH=resnet18_3d", "DATA.SOURCE=csv", *CLASSES[:1], *CLASSES[2:]),
            r"MODEL_ARCH = resnet18_3d: a network for volumes, but \[DATA\] SOURCE = csv gives "
            r"images: choose a network for images, or another source",
        ),
        (
            (*BLOOD, "MODEL.MODEL_ARCH=resnet18_3d"),
            r"a network for volumes, but \[DATA\] SOURCE = medmnist gives images",
        ),
        (
            (*BLOOD, "DATA.MEDMNIST_FLAG=organmnist3d"),
            r"a network for single images, but \[DATA\] SOURCE = medmnist gives volumes",
        ),
        (
            ("MODEL.MODEL_ARCH=LongitudinalMIMModel", *LABELS),
            r"a network for pairs of images, but \[DATA\] SOURCE = phantom gives images or volumes",
        ),
        (
            ("DATA.TASK=multiclass",),
            r"TASK = multiclass: the embedded images have zones or labels: expected csi or "
            r"multilabel, or another \[DATA\] SOURCE",
        ),
        (
            (*BLOOD, "DATA.TASK=csi"),
            r"TASK = csi: \[DATA\] SOURCE = medmnist has no lung zones: expected multiclass or",
        ),
        (
            (*VOLUMES, "DATA.TASK=csi"),
            r"TASK = csi: \[DATA\] SOURCE = volumes has no lung zones: expected multiclass or",
        ),
        (
            ("DATA.MEDMNIST_FLAG=bloodmnist",),
            r"MEDMNIST_FLAG = bloodmnist: of SOURCE = medmnist only: leave it empty",
        ),
        (
            (*BLOOD, "DATA.MEDMNIST_FLAG=bloodmnst"),
            r"MEDMNIST_FLAG = bloodmnst: expected one of pathmnist, .*did you mean bloodmnist\?",
        ),
        ((*BLOOD, "DATA.MEDMNIST_FLAG="), r"MEDMNIST_FLAG = : expected one of pathmnist, "),
        (
            (*BLOOD, "DATA.MEDMNIST_SIZE=32"),
            r"MEDMNIST_SIZE = 32: bloodmnist is published at 28, 64, 128, 224",
        ),
        (
            (
                "MODEL.MODEL_ARCH=resnet18_3d",
                *BLOOD[1:4],
                "DATA.MEDMNIST_FLAG=organmnist3d",
                "DATA.MEDMNIST_SIZE=128",
            ),
            r"MEDMNIST_SIZE = 128: organmnist3d is published at 28, 64",
        ),
        (
            (*BLOOD, "DATA.TASK=multilabel"),
            r"TASK = multilabel: bloodmnist is published as multiclass: expected that",
        ),
        (
            (*BLOOD, "DATA.MEDMNIST_FLAG=chestmnist"),
            r"TASK = multiclass: chestmnist is published as multilabel: expected that",
        ),
        (
            (*BLOOD, "DATA.LABELS=one, two"),
            r"LABELS = one, two: bloodmnist has its own: leave it empty",
        ),
        (
            ("MODEL.MODEL_ARCH=resnet18", *BLOOD[1:3], BLOOD[4]),
            r"DATA_DIR: empty: SOURCE = medmnist needs the folder of bloodmnist\.npz",
        ),
        ((*BLOOD, "DATA.FOLDS=5"), r"FOLDS = 5: MedMNIST has a published split: leave it empty"),
        (
            (*BLOOD, "DATA.SPLIT_FILE=split.csv"),
            r"SPLIT_FILE = .*split\.csv: MedMNIST has a published split: leave it empty",
        ),
        (("DATA.LABELS=a",), r"LABELS = a: not read by TASK = csi: leave it empty"),
        ((*CLASSES, "DATA.LABELS=a, b, a"), r"LABELS = a, b, a: a name stands there twice"),
        (
            (*CLASSES, "DATA.LABELS_LAYOUT=chexpert"),
            r"LABELS_LAYOUT = chexpert: its table has labels: expected TASK = multilabel",
        ),
        (
            (*LABELS, "DATA.LABELS_LAYOUT=chestxray14"),
            r"LABELS_LAYOUT = chestxray14: expected SOURCE = csv, or plain",
        ),
        (
            (*CLASSES[1:], *LABELS, "DATA.LABELS_LAYOUT=ct_rate"),
            r"LABELS_LAYOUT = ct_rate: expected SOURCE = volumes, or plain",
        ),
        (
            (*VOLUMES, "DATA.LABELS_LAYOUT=chexpert"),
            r"LABELS_LAYOUT = chexpert: expected SOURCE = csv, or plain",
        ),
        (
            (*VOLUMES, "DATA.HU_MIN=auto"),
            r"HU_MIN = auto: expected both, HU_MIN and HU_MAX, as numbers or as auto",
        ),
        (
            (*VOLUMES, "DATA.HU_MAX=auto"),
            r"HU_MIN: expected both, HU_MIN and HU_MAX, as numbers or as auto",
        ),
        (
            (*VOLUMES, "DATA.HU_MIN=300", "DATA.HU_MAX=-1000"),
            r"HU_MIN = 300: expected less than HU_MAX = -1000",
        ),
        (
            (*VOLUMES, "DATA.SPACING_MM=1.5, 1.5"),
            r"SPACING_MM = 1\.5, 1\.5: expected three numbers above 0: D, H, W",
        ),
        (
            (*VOLUMES, "DATA.SPACING_MM=1.5, 0, 1"),
            r"SPACING_MM = 1\.5, 0, 1: expected three numbers above 0: D, H, W",
        ),
        (
            ("DATA.SPACING_MM=1, 1, 1",),
            r"SPACING_MM = 1, 1, 1: custom1 takes images: leave it empty",
        ),
        (
            (
                "MODEL.MODEL_ARCH=resnet18_3d",
                *BLOOD[1:4],
                "DATA.MEDMNIST_FLAG=organmnist3d",
                "DATA.SPACING_MM=1, 1, 1",
            ),
            r"SPACING_MM = 1, 1, 1: MedMNIST's volumes have none: leave it empty",
        ),
        (
            ("TRAINING.LOSS=bce",),
            r"LOSS = bce: not of TASK = csi: expected one of auto, ordinal, cumulative, "
            r"cross_entropy, focal",
        ),
        (
            (*LABELS, "TRAINING.LOSS=ordinal"),
            r"LOSS = ordinal: not of TASK = multilabel: expected one of auto, bce, focal, asymm",
        ),
        (
            (*CLASSES, "TRAINING.LOSS=asymmetric"),
            r"LOSS = asymmetric: not of TASK = multiclass: expected one of auto, cross_entropy, f",
        ),
        (
            (*LABELS, "TRAINING.CLASS_WEIGHTS=auto"),
            r"CLASS_WEIGHTS = auto: of LOSS = cross_entropy of TASK = multiclass: expected none",
        ),
        (
            (*CLASSES, "TRAINING.CLASS_WEIGHTS=auto", "TRAINING.LOSS=focal"),
            r"CLASS_WEIGHTS = auto: of LOSS = cross_entropy of TASK = multiclass: expected none",
        ),
        (
            (*CLASSES, "TRAINING.POS_WEIGHT=auto"),
            r"POS_WEIGHT = auto: of LOSS = bce of TASK = multilabel: expected none",
        ),
        (
            (*LABELS, "TRAINING.LOSS=focal", "TRAINING.POS_WEIGHT=2"),
            r"POS_WEIGHT = 2: of LOSS = bce of TASK = multilabel: expected none",
        ),
        (
            (*LABELS, "TRAINING.POS_WEIGHT=2, 0"),
            r"POS_WEIGHT = 2, 0: expected numbers above 0",
        ),
        (
            (*LABELS, "TRAINING.ASYMMETRIC_GAMMA=1"),
            r"ASYMMETRIC_GAMMA = 1: expected two numbers of at least 0: of the positives, of the",
        ),
        (
            (*LABELS, "TRAINING.ASYMMETRIC_GAMMA=-1, 4"),
            r"ASYMMETRIC_GAMMA = -1, 4: expected two numbers of at least 0",
        ),
        (
            ("TRAINING.FOCAL_ALPHA=1, 2",),
            r"FOCAL_ALPHA = 1, 2: expected 4 numbers of at least 0, one a grade and not all 0",
        ),
        (
            (*CLASSES, "TRAINING.FOCAL_ALPHA=0, 0"),
            r"FOCAL_ALPHA = 0, 0: expected numbers of at least 0, one a class and not all 0",
        ),
        (
            (*LABELS, "TRAINING.FOCAL_ALPHA=1"),
            r"FOCAL_ALPHA = 1: of labels it is the share of the positives, and 1 would leave the "
            r"negatives without weight: expected numbers between 0 and 1, or none",
        ),
        (
            ("TRAINING.MONITOR=val_accuracy",),
            r"MONITOR = val_accuracy: not of TASK = csi: expected auto, val_loss, val_zone_mae or "
            r"val_zone_qwk",
        ),
        (
            (*LABELS, "TRAINING.MONITOR=val_zone_qwk"),
            r"MONITOR = val_zone_qwk: not of TASK = multilabel: expected auto, val_loss, "
            r"val_auroc_macro or val_accuracy",
        ),
        (("AUGMENTATION.MIXUP=0.2",), r"MIXUP = 0\.2: of labels and classes only: expected 0"),
        (("AUGMENTATION.CUTMIX=1",), r"CUTMIX = 1: of labels and classes only: expected 0"),
        (
            ("TRAINING.SAMPLING=balanced",),
            r"SAMPLING = balanced: of labels and classes only: expected uniform",
        ),
        (
            (*LABELS, "TRAINING.SECOND_READER_WEIGHT=0.5", "EVALUATION.SECOND_READER_CSV=b.csv"),
            r"SECOND_READER_WEIGHT = 0\.5: of TASK = csi only: expected 0",
        ),
        (
            (*LABELS, "EVALUATION.SECOND_READER_CSV=b.csv"),
            r"SECOND_READER_CSV = .*b\.csv: of TASK = csi only: leave it empty",
        ),
        (
            ("TRAINING.SCHEDULER=multistep", "TRAINING.MILESTONES=50, 20"),
            r"MILESTONES = 50, 20: expected rising epochs, as 50, 75",
        ),
        (
            ("TRAINING.SCHEDULER=multistep", "TRAINING.MILESTONES="),
            r"MILESTONES = : expected rising epochs, as 50, 75",
        ),
        (
            ("TRAINING.STAGE_RATES=1e-3",),
            r"STAGE_RATES = 1e-3: of FINE_TUNING = layerwise only: leave it empty",
        ),
        (
            ("TRAINING.FINE_TUNING=layerwise", "TRAINING.STAGE_RATES=1e-3, 0"),
            r"STAGE_RATES = 1e-3, 0: expected numbers above 0",
        ),
        (
            ("SYNTHESIS.CT_SHAPE=64, 96",),
            r"CT_SHAPE = 64, 96: expected three numbers of at least 24: D, H, W",
        ),
        (
            ("SYNTHESIS.CT_SHAPE=64, 96, 20",),
            r"CT_SHAPE = 64, 96, 20: expected three numbers of at least 24: D, H, W",
        ),
        (
            ("AUGMENTATION.PROFILE=skin",),
            r"PROFILE = skin: turns six zones upside down: expected another",
        ),
        (("AUGMENTATION.FLIP_P=0.5",), r"FLIP_P = 0\.5: turns six zones upside down: expected 0"),
        (
            (*VOLUMES, "AUGMENTATION.PROFILE=randaugment"),
            r"PROFILE = randaugment: of pictures, and resnet18_3d takes volumes: expected none, "
            r"conservative or standard",
        ),
        (
            tuple(each for each in VOLUMES if "DATA_DIR" not in each),
            r"DATA_DIR: empty: \[DATA\] SOURCE = volumes needs it",
        ),
    ],
)
def test_what_does_not_go_together_is_named(overrides: tuple[str, ...], expected: str) -> None:
    with pytest.raises(ConfigError, match=expected) as caught:
        load(*overrides)
    # one fault, one message: but for that of a source without the truths of the task
    assert str(caught.value).count("\n") <= 1, caught.value


@pytest.mark.parametrize(
    "overrides",
    [
        (),
        LABELS,
        (*LABELS, "MODEL.MODEL_ARCH=densenet_tiny_3d"),
        CLASSES,
        BLOOD,
        VOLUMES,
        (*VOLUMES, "DATA.LABELS_LAYOUT=ct_rate", "DATA.SPACING_MM=1.5, 0.75, 0.75"),
        (*VOLUMES, "DATA.HU_MIN=auto", "DATA.HU_MAX=auto"),
        (*VOLUMES, "AUGMENTATION.PROFILE=conservative"),
        (*LABELS, "TRAINING.POS_WEIGHT=auto", "TRAINING.LOSS=bce", "TRAINING.SAMPLING=balanced"),
        (*LABELS, "TRAINING.FOCAL_ALPHA=0.25", "TRAINING.LOSS=focal", "AUGMENTATION.MIXUP=0.2"),
        (*LABELS, "TRAINING.MONITOR=val_auroc_macro"),
        (*CLASSES, "TRAINING.CLASS_WEIGHTS=auto", "AUGMENTATION.PROFILE=skin"),
        (*CLASSES, "TRAINING.FOCAL_ALPHA=1, 2, 0", "TRAINING.LOSS=focal"),
        ("TRAINING.FINE_TUNING=layerwise", "TRAINING.STAGE_RATES=1e-3, 1e-4"),
        ("TRAINING.SCHEDULER=multistep", "TRAINING.MILESTONES=5, 7"),
    ],
)
def test_what_goes_together_is_accepted(overrides: tuple[str, ...]) -> None:
    assert load(*overrides).model.model_arch


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_every_example_follows_the_rules(path: Path) -> None:
    assert load_config(path, environment={}).model.model_arch


def test_all_faults_are_told_in_one_run() -> None:
    with pytest.raises(ConfigError) as caught:
        load(
            *BLOOD,
            "DATA.MEDMNIST_SIZE=30",
            "DATA.FOLDS=5",
            "TRAINING.LOSS=bce",
            "TRAINING.MONITOR=val_zone_mae",
            "AUGMENTATION.MIXUP=-1",
            "SYNTHESIS.CT_SHAPE=1, 2, 3",
        )
    text = str(caught.value)
    for name in ("MEDMNIST_SIZE", "FOLDS", "LOSS", "MONITOR", "MIXUP", "CT_SHAPE"):
        assert text.count(f"] {name} = ") == 1, text


def test_a_key_that_is_wrong_by_itself_is_told_once() -> None:
    with pytest.raises(ConfigError) as caught:
        load("TRAINING.LOSS=bcee", "DATA.TASK=multilabel", "TRAINING.POS_WEIGHT=0")
    lines = str(caught.value).splitlines()
    assert len(lines) == 1, lines
    assert "LOSS = bcee" in lines[0]
