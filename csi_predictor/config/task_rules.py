"""Rules about what is answered and from what: TASK, SOURCE, and the keys that serve only some."""

from collections.abc import Iterator

from csi_predictor.architectures import Architecture
from csi_predictor.config.places import Place, find_row
from csi_predictor.config.schema import Config
from csi_predictor.errors import ConfigError
from csi_predictor.medmnist_sets import MedMnistFacts, find_medmnist_set
from csi_predictor.specs import NUM_GRADES

SMALLEST_CT_EDGE = 24
"""Voxels; of [SYNTHESIS] CT_SHAPE."""

LABEL_TASKS = ("multiclass", "multilabel")

_KIND_NAMES = {
    "images": "a network for single images",
    "volumes": "a network for volumes",
    "pairs": "a network for pairs of images",
}
_LAYOUTS = ("chestxray14", "chexpert", "ct_rate")


def _medmnist_set(config: Config) -> MedMnistFacts | None:
    try:
        return find_medmnist_set(config.data.medmnist_flag)
    except ConfigError:
        return None  # reported by _medmnist


def _kinds(config: Config) -> tuple[str, ...]:
    """What a source can give."""
    source = config.data.source
    if source == "phantom":
        return ("images",) if config.data.task == "csi" else ("images", "volumes")
    if source == "medmnist":
        facts = _medmnist_set(config)
        return ("images", "volumes") if facts is None else _kind_of_set(facts)
    return {"csv": ("images",), "volumes": ("volumes",), "pairs": ("pairs",)}[source]


def _kind_of_set(facts: MedMnistFacts) -> tuple[str, ...]:
    return ("volumes",) if facts.dimensions == 3 else ("images",)


def _kind(architecture: Architecture) -> str:
    if architecture.dimensions == 3:
        return "volumes"
    return "pairs" if architecture.num_images == 2 else "images"


def input_kind(config: Config, place: Place) -> Iterator[str]:
    """The network takes what the source gives, and answers the task."""
    architecture, data = find_row(config), config.data
    if architecture is None:
        return
    kind, given = _kind(architecture), _kinds(config)
    if kind not in given:
        yield (
            f"{place('MODEL', 'MODEL_ARCH')}: {_KIND_NAMES[kind]}, but [DATA] SOURCE = "
            f"{data.source} gives {' or '.join(given)}: choose a network for "
            f"{' or '.join(given)}, or another source"
        )
    elif data.task == "csi" and kind != "images":
        yield (
            f"{place('DATA', 'TASK')}: six zones are of one radiograph, found a network for "
            f"{kind}: expected another task"
        )
    elif architecture.tasks and data.task not in architecture.tasks:
        yield (
            f"{place('DATA', 'TASK')}: {architecture.name} can't answer it: expected "
            f"{' or '.join(architecture.tasks)}"
        )


def task_of_source(config: Config, place: Place) -> Iterator[str]:
    """The source has truths of the task."""
    data = config.data
    if data.source == "phantom" and data.task == "multiclass":
        yield (
            f"{place('DATA', 'TASK')}: the embedded images have zones or labels: expected csi or "
            "multilabel, or another [DATA] SOURCE"
        )
    if data.source in ("medmnist", "volumes") and data.task == "csi":
        yield (
            f"{place('DATA', 'TASK')}: [DATA] SOURCE = {data.source} has no lung zones: expected "
            "multiclass or multilabel"
        )


def medmnist(config: Config, place: Place) -> Iterator[str]:
    """MEDMNIST_FLAG, its size, task and split."""
    data = config.data
    if data.source != "medmnist":
        if data.medmnist_flag:
            yield f"{place('DATA', 'MEDMNIST_FLAG')}: of SOURCE = medmnist only: leave it empty"
        return
    try:
        facts = find_medmnist_set(data.medmnist_flag)
    except ConfigError as error:
        yield f"{place('DATA', 'MEDMNIST_FLAG')}: {str(error).partition(': ')[2] or error}"
        return
    if data.medmnist_size not in facts.sizes:
        sizes = ", ".join(map(str, facts.sizes))
        yield f"{place('DATA', 'MEDMNIST_SIZE')}: {facts.flag} is published at {sizes}"
    if data.task in LABEL_TASKS and data.task != facts.task:
        yield f"{place('DATA', 'TASK')}: {facts.flag} is published as {facts.task}: expected that"
    if data.labels and data.labels != facts.labels:
        yield f"{place('DATA', 'LABELS')}: {facts.flag} has its own: leave it empty"
    if data.data_dir is None:
        yield (
            f"{place('DATA', 'DATA_DIR')}: empty: SOURCE = medmnist needs the folder of "
            f"{facts.file_name(facts.sizes[0])}"
        )
    for name, is_set in (("FOLDS", data.folds), ("SPLIT_FILE", data.split_file is not None)):
        if is_set:
            yield f"{place('DATA', name)}: MedMNIST has a published split: leave it empty"


def labels(config: Config, place: Place) -> Iterator[str]:
    """LABELS belongs to tasks with names, each once."""
    data = config.data
    if data.task not in LABEL_TASKS and data.labels:
        yield f"{place('DATA', 'LABELS')}: not read by TASK = {data.task}: leave it empty"
    if len(set(data.labels)) != len(data.labels):
        yield f"{place('DATA', 'LABELS')}: a name stands there twice"


def layout(config: Config, place: Place) -> Iterator[str]:
    """A published table answers labels; CT-RATE's are of volumes."""
    data = config.data
    if data.labels_layout not in _LAYOUTS:
        return
    if data.task != "multilabel":
        yield f"{place('DATA', 'LABELS_LAYOUT')}: its table has labels: expected TASK = multilabel"
    expected = "volumes" if data.labels_layout == "ct_rate" else "csv"
    if data.source != expected:
        yield f"{place('DATA', 'LABELS_LAYOUT')}: expected SOURCE = {expected}, or plain"


def hounsfield(config: Config, place: Place) -> Iterator[str]:
    """HU_MIN, HU_MAX and SPACING_MM."""
    data = config.data
    low, high = data.hu_min, data.hu_max
    if (low == "auto") != (high == "auto"):
        yield f"{place('DATA', 'HU_MIN')}: expected both, HU_MIN and HU_MAX, as numbers or as auto"
    elif low != "auto" and high != "auto" and low >= high:
        yield f"{place('DATA', 'HU_MIN')}: expected less than HU_MAX = {high:g}"
    spacing, architecture = data.spacing_mm, find_row(config)
    if spacing and (len(spacing) != 3 or min(spacing) <= 0):
        yield f"{place('DATA', 'SPACING_MM')}: expected three numbers above 0: D, H, W"
    elif spacing and architecture is not None and architecture.dimensions != 3:
        yield f"{place('DATA', 'SPACING_MM')}: {architecture.name} takes images: leave it empty"
    elif spacing and data.source == "medmnist":
        yield f"{place('DATA', 'SPACING_MM')}: MedMNIST's volumes have none: leave it empty"


def loss(config: Config, place: Place) -> Iterator[str]:
    """LOSS and the keys that only some losses read."""
    training, task = config.training, config.data.task
    allowed = {
        "csi": ("auto", "ordinal", "cumulative", "cross_entropy", "focal"),
        "multiclass": ("auto", "cross_entropy", "focal"),
        "multilabel": ("auto", "bce", "focal", "asymmetric"),
    }.get(task)
    if allowed and training.loss not in allowed:
        yield (
            f"{place('TRAINING', 'LOSS')}: not of TASK = {task}: expected one of "
            f"{', '.join(allowed)}"
        )
    if training.class_weights != "none" and (task != "multiclass" or training.loss == "focal"):
        yield (
            f"{place('TRAINING', 'CLASS_WEIGHTS')}: of LOSS = cross_entropy of TASK = multiclass: "
            "expected none"
        )
    if training.pos_weight != "none" and (task != "multilabel" or training.loss not in _BCE):
        yield (
            f"{place('TRAINING', 'POS_WEIGHT')}: of LOSS = bce of TASK = multilabel: expected none"
        )
    elif isinstance(training.pos_weight, tuple) and not all(w > 0 for w in training.pos_weight):
        yield f"{place('TRAINING', 'POS_WEIGHT')}: expected numbers above 0"
    gamma = training.asymmetric_gamma
    if len(gamma) != 2 or min(gamma) < 0:
        yield (
            f"{place('TRAINING', 'ASYMMETRIC_GAMMA')}: expected two numbers of at least 0: of the "
            "positives, of the negatives"
        )


_BCE = ("auto", "bce")


def focal_alpha(config: Config, place: Place) -> Iterator[str]:
    """FOCAL_ALPHA means a weight of a grade or class, or a share of a label's positives."""
    alpha, task = config.training.focal_alpha, config.data.task
    where = place("TRAINING", "FOCAL_ALPHA")
    if not alpha:
        return
    if task == "csi" and (len(alpha) != NUM_GRADES or min(alpha) < 0 or max(alpha) == 0):
        yield (
            f"{where}: expected {NUM_GRADES} numbers of at least 0, one a grade and not all 0, or "
            "none"
        )
    if task == "multiclass" and (min(alpha) < 0 or max(alpha) == 0):
        yield f"{where}: expected numbers of at least 0, one a class and not all 0, or none"
    if task == "multilabel" and not all(0 < a < 1 for a in alpha):
        yield (
            f"{where}: of labels it is the share of the positives, and 1 would leave the "
            "negatives without weight: expected numbers between 0 and 1, or none"
        )


def task_keys(config: Config, place: Place) -> Iterator[str]:
    """Keys that serve zones only, or labels only."""
    training, augmentation, task = config.training, config.augmentation, config.data.task
    zones = ("val_zone_mae", "val_zone_qwk")
    names = ("val_auroc_macro", "val_accuracy")
    if (training.monitor in zones) != (task == "csi") and training.monitor in (*zones, *names):
        expected = zones if task == "csi" else names
        yield (
            f"{place('TRAINING', 'MONITOR')}: not of TASK = {task}: expected auto, val_loss, "
            f"{' or '.join(expected)}"
        )
    if task not in LABEL_TASKS:
        for name in ("MIXUP", "CUTMIX"):
            if getattr(augmentation, name.lower()):
                yield f"{place('AUGMENTATION', name)}: of labels and classes only: expected 0"
        if training.sampling != "uniform":
            yield f"{place('TRAINING', 'SAMPLING')}: of labels and classes only: expected uniform"
    if task != "csi" and training.second_reader_weight:
        yield f"{place('TRAINING', 'SECOND_READER_WEIGHT')}: of TASK = csi only: expected 0"
    if task != "csi" and config.evaluation.second_reader_csv is not None:
        yield f"{place('EVALUATION', 'SECOND_READER_CSV')}: of TASK = csi only: leave it empty"


def schedules(config: Config, place: Place) -> Iterator[str]:
    """MILESTONES and STAGE_RATES."""
    training = config.training
    milestones = list(training.milestones)
    is_rising = milestones == sorted(set(milestones)) and min(milestones, default=0) > 0
    if training.scheduler == "multistep" and not is_rising:
        yield f"{place('TRAINING', 'MILESTONES')}: expected rising epochs, as 50, 75"
    if training.stage_rates and training.fine_tuning != "layerwise":
        yield f"{place('TRAINING', 'STAGE_RATES')}: of FINE_TUNING = layerwise only: leave it empty"
    if training.stage_rates and min(training.stage_rates) <= 0:
        yield f"{place('TRAINING', 'STAGE_RATES')}: expected numbers above 0"


def ct_shape(config: Config, place: Place) -> Iterator[str]:
    """CT_SHAPE has three edges that a chest can be drawn in."""
    shape = config.synthesis.ct_shape
    if len(shape) != 3 or min(shape) < SMALLEST_CT_EDGE:
        yield (
            f"{place('SYNTHESIS', 'CT_SHAPE')}: expected three numbers of at least "
            f"{SMALLEST_CT_EDGE}: D, H, W"
        )


def upside_down(config: Config, place: Place) -> Iterator[str]:
    """Six zones have an upper and a lower end."""
    augmentation = config.augmentation
    if config.data.task != "csi":
        return
    if augmentation.profile == "skin":
        yield f"{place('AUGMENTATION', 'PROFILE')}: turns six zones upside down: expected another"
    elif augmentation.flip_p not in ("auto", 0):
        yield f"{place('AUGMENTATION', 'FLIP_P')}: turns six zones upside down: expected 0"


def policies(config: Config, place: Place) -> Iterator[str]:
    """Published policies and the skin profile are of pictures."""
    architecture, profile = find_row(config), config.augmentation.profile
    of_pictures = ("randaugment", "autoaugment", "skin")
    if architecture is not None and architecture.dimensions == 3 and profile in of_pictures:
        yield (
            f"{place('AUGMENTATION', 'PROFILE')}: of pictures, and {architecture.name} takes "
            "volumes: expected none, conservative or standard"
        )


def quantize(config: Config, place: Place) -> Iterator[str]:
    """Int8 is measured on one bundle, on images that it has not learnt from."""
    section = config.evaluation
    if section.quantize == "none":
        return
    if len(section.model) > 1:
        yield f"{place('EVALUATION', 'QUANTIZE')}: of one bundle, [EVALUATION] MODEL names several"
    if section.quantize == "openvino" and section.split != "test":
        yield (
            f"{place('EVALUATION', 'QUANTIZE')}: its calibration takes the split's validation "
            "images: expected [EVALUATION] SPLIT = test"
        )
    elif section.split not in ("test", "all"):
        yield (
            f"{place('EVALUATION', 'QUANTIZE')}: measured on images that the bundle has not learnt "
            "from: expected [EVALUATION] SPLIT = test or all"
        )


ARCHITECTURE = ("MODEL.MODEL_ARCH", "MODEL.VARIANT")
TASK_RULES = (
    ((*ARCHITECTURE, "DATA.SOURCE", "DATA.TASK", "DATA.MEDMNIST_FLAG"), input_kind),
    (("DATA.SOURCE", "DATA.TASK"), task_of_source),
    (
        ("DATA.SOURCE", "DATA.MEDMNIST_FLAG", "DATA.MEDMNIST_SIZE", "DATA.TASK", "DATA.LABELS"),
        medmnist,
    ),
    (("DATA.LABELS", "DATA.TASK"), labels),
    (("DATA.LABELS_LAYOUT", "DATA.TASK", "DATA.SOURCE"), layout),
    ((*ARCHITECTURE, "DATA.HU_MIN", "DATA.HU_MAX", "DATA.SPACING_MM", "DATA.SOURCE"), hounsfield),
    (("TRAINING.LOSS", "TRAINING.POS_WEIGHT", "TRAINING.ASYMMETRIC_GAMMA", "DATA.TASK"), loss),
    (("TRAINING.FOCAL_ALPHA", "DATA.TASK"), focal_alpha),
    (("TRAINING.MONITOR", "TRAINING.SAMPLING", "DATA.TASK"), task_keys),
    (("TRAINING.MILESTONES", "TRAINING.STAGE_RATES", "TRAINING.FINE_TUNING"), schedules),
    ((*ARCHITECTURE, "AUGMENTATION.PROFILE"), policies),
    (("AUGMENTATION.PROFILE", "AUGMENTATION.FLIP_P", "DATA.TASK"), upside_down),
    (("SYNTHESIS.CT_SHAPE",), ct_shape),
    (("EVALUATION.QUANTIZE", "EVALUATION.MODEL", "EVALUATION.SPLIT"), quantize),
)
