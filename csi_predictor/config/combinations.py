"""Keys that are right alone and wrong together; each rule names the keys and the way out."""

import math
from collections.abc import Iterator, Set

from csi_predictor.architectures import find_architecture
from csi_predictor.architectures.select import select_architectures
from csi_predictor.config.places import Place, find_row
from csi_predictor.config.schema import Config
from csi_predictor.config.task_rules import ARCHITECTURE, TASK_RULES

SMALLEST_IMAGE = 16
"""Pixels; of [MODEL] IMAGE_SIZE too."""


def find_combination_problems(
    config: Config, place: Place, invalid: Set[tuple[str, str]] = frozenset()
) -> list[str]:
    """Every impossible combination, one line each.

    Args:
        config: Each value right alone; an invalid one stands here as its default.
        place: Names a key in a message.
        invalid: (SECTION, KEY) already reported; rules that read one of them are passed over.
    """
    return [
        problem
        for keys, rule in (*_RULES, *TASK_RULES)
        if invalid.isdisjoint(tuple(key.split(".")) for key in keys)
        for problem in rule(config, place)
    ]


def _architecture_name(config: Config, place: Place) -> Iterator[str]:
    try:
        find_architecture(config.model.model_arch, config.model.variant)
    except KeyError as error:
        if config.model.variant and _is_whole_name(config.model.model_arch):
            name = config.model.model_arch
            yield f"{place('MODEL', 'VARIANT')}: {name} is a whole name: leave it empty"
        else:
            yield f"{place('MODEL', 'MODEL_ARCH')}: {error.args[0].partition(': ')[2]}"


def _is_whole_name(name: str) -> bool:
    try:
        find_architecture(name)
    except KeyError:
        return False
    return True


def _head(config: Config, place: Place) -> Iterator[str]:
    is_zoned = config.data.task == "csi"
    if config.model.head != "auto" and is_zoned != (config.model.head in ("ordinal", "softmax")):
        expected = "auto, ordinal or softmax" if is_zoned else "auto, linear, map or projection"
        yield f"{place('MODEL', 'HEAD')}: of TASK = {config.data.task}: expected {expected}"


def _volume_shape(config: Config, place: Place) -> Iterator[str]:
    architecture, shape = find_row(config), config.data.volume_shape
    if shape and (len(shape) != 3 or min(shape) < 1):
        yield f"{place('DATA', 'VOLUME_SHAPE')}: expected three numbers above 0: D, H, W"
    if architecture is None:
        return
    if shape and architecture.dimensions != 3:
        yield f"{place('DATA', 'VOLUME_SHAPE')}: {architecture.name} takes images: leave it empty"
    if architecture.dimensions == 3 and config.model.image_size != "auto":
        yield (
            f"{place('MODEL', 'IMAGE_SIZE')}: {architecture.name} takes volumes: set "
            "[DATA] VOLUME_SHAPE = D, H, W instead"
        )


def _official_processor(config: Config, place: Place) -> Iterator[str]:
    model, architecture = config.model, find_row(config)
    if not model.use_official_processor or architecture is None:
        return
    if architecture.family != "raddino":
        yield (
            f"{place('MODEL', 'USE_OFFICIAL_PROCESSOR')}: {architecture.name} has none: expected "
            "false, or MODEL_ARCH = raddino"
        )
    if model.image_size != "auto":
        yield f"{place('MODEL', 'IMAGE_SIZE')}: the official processor's is fixed: expected auto"
    if config.data.fit != "auto" or config.data.normalization_strategy != "auto":
        yield (
            f"{place('MODEL', 'USE_OFFICIAL_PROCESSOR')}: sets size, fit and normalisation: "
            "expected [DATA] FIT = auto and NORMALIZATION_STRATEGY = auto"
        )


def _change_output(config: Config, place: Place) -> Iterator[str]:
    architecture = find_row(config)
    is_signed = config.model.change_output == "signed"
    if is_signed and architecture is not None and architecture.family != "longitudinal":
        yield (
            f"{place('MODEL', 'CHANGE_OUTPUT')}: {architecture.name} gives plain logits: expected "
            "magnitude, or a network of the longitudinal family"
        )


def _weights(config: Config, place: Place) -> Iterator[str]:
    model, architecture = config.model, find_row(config)
    if model.pretrained and model.weights is not None:
        yield f"{place('MODEL', 'WEIGHTS')}: contradicts PRETRAINED = true: keep one of the two"
    if model.pretrained and architecture is not None and not architecture.has_published_weights:
        yield (
            f"{place('MODEL', 'PRETRAINED')}: {architecture.name} has no published weights: "
            "expected false, or WEIGHTS with a file of your own"
        )


def _in_channels(config: Config, place: Place) -> Iterator[str]:
    if config.model.in_channels == 2:
        yield f"{place('MODEL', 'IN_CHANNELS')}: expected auto, 1 or 3"


def _ordinal_loss(config: Config, place: Place) -> Iterator[str]:
    if config.training.loss in ("ordinal", "cumulative") and config.model.head not in (
        "auto",
        "ordinal",
    ):
        yield (
            f"{place('TRAINING', 'LOSS')}: needs [MODEL] HEAD = ordinal, found "
            f"{config.model.head}: expected auto, cross_entropy or focal"
        )


def _second_reader(config: Config, place: Place) -> Iterator[str]:
    if not config.training.second_reader_weight:
        return
    if config.evaluation.second_reader_csv is None:
        yield (
            f"{place('TRAINING', 'SECOND_READER_WEIGHT')}: needs [EVALUATION] SECOND_READER_CSV: "
            "expected 0, or that table"
        )
    if config.model.zone_head != "ordinal":
        yield (
            f"{place('TRAINING', 'SECOND_READER_WEIGHT')}: two readers have two thresholds of one "
            f"score, found [MODEL] HEAD = {config.model.head}: expected HEAD = ordinal, or 0"
        )


def _source(config: Config, place: Place) -> Iterator[str]:
    data = config.data
    if data.source in ("csv", "volumes"):
        for name in ("DATA_DIR", "LABELS_CSV"):
            if getattr(data, name.lower()) is None:
                yield f"{place('DATA', name)}: empty: [DATA] SOURCE = {data.source} needs it"
    elif data.source == "phantom" and data.labels_csv is not None:
        yield f"{place('DATA', 'LABELS_CSV')}: not read by SOURCE = phantom: set SOURCE = csv"


def _frozen_backbone(config: Config, place: Place) -> Iterator[str]:
    training = config.training
    if training.freeze_backbone and training.fine_tuning != "frozen":
        yield (
            f"{place('TRAINING', 'FREEZE_BACKBONE')}: contradicts FINE_TUNING = "
            f"{training.fine_tuning}: set FREEZE_BACKBONE = false or FINE_TUNING = frozen"
        )


def _unfreeze_epochs(config: Config, place: Place) -> Iterator[str]:
    epochs = list(config.training.unfreeze_epochs)
    if config.training.fine_tuning == "gradual" and (not epochs or epochs != sorted(set(epochs))):
        yield f"{place('TRAINING', 'UNFREEZE_EPOCHS')}: expected rising epochs, as 1, 10, 20"


def _plateau(config: Config, place: Place) -> Iterator[str]:
    if config.data.val_fraction == 0 and config.training.scheduler == "plateau":
        yield f"{place('TRAINING', 'SCHEDULER')}: plateau needs [DATA] VAL_FRACTION above 0"


def _normalization(config: Config, place: Place) -> Iterator[str]:
    data = config.data
    if data.normalization_strategy != "custom":
        return
    for name, values in (("CUSTOM_MEAN", data.custom_mean), ("CUSTOM_STD", data.custom_std)):
        if len(values) not in (1, 3) or not all(map(math.isfinite, values)):
            yield f"{place('DATA', name)}: expected 1 or 3 numbers, one a channel"
    if any(value <= 0 for value in data.custom_std):
        yield f"{place('DATA', 'CUSTOM_STD')}: expected numbers above 0"


def _fractions(config: Config, place: Place) -> Iterator[str]:
    data = config.data
    if data.val_fraction + data.test_fraction >= 1:
        yield (
            f"{place('DATA', 'VAL_FRACTION')}: with TEST_FRACTION = {data.test_fraction:g} nothing "
            "is left to train on: expected a sum below 1"
        )


def _folds(config: Config, place: Place) -> Iterator[str]:
    data = config.data
    if data.folds == 1:
        yield f"{place('DATA', 'FOLDS')}: expected 0 (one split) or at least 2"
    if data.folds and data.split_file is not None:
        yield f"{place('DATA', 'SPLIT_FILE')}: contradicts FOLDS = {data.folds}: keep one of them"


def _risk(config: Config, place: Place) -> Iterator[str]:
    scoring = config.scoring
    if scoring.risk_medium_above >= scoring.risk_high_above:
        yield (
            f"{place('SCORING', 'RISK_MEDIUM_ABOVE')}: expected less than RISK_HIGH_ABOVE = "
            f"{scoring.risk_high_above:g}"
        )


def _benchmark_networks(config: Config, place: Place) -> Iterator[str]:
    benchmark = config.benchmark
    if not benchmark.archs and not benchmark.models:
        yield f"{place('BENCHMARK', 'ARCHS')}: empty, and MODELS too: expected a network to measure"
    for word in benchmark.archs:
        try:
            select_architectures([word])
        except KeyError as error:
            yield f"{place('BENCHMARK', 'ARCHS')}: {error.args[0]}"


def _benchmark_counts(config: Config, place: Place) -> Iterator[str]:
    benchmark = config.benchmark
    if not benchmark.engines:
        yield f"{place('BENCHMARK', 'ENGINES')}: empty: expected at least one, such as eager"
    if not benchmark.batch_sizes or min(benchmark.batch_sizes) < 1:
        yield f"{place('BENCHMARK', 'BATCH_SIZES')}: expected numbers of at least 1"
    if benchmark.image_sizes and min(benchmark.image_sizes) < SMALLEST_IMAGE:
        yield (
            f"{place('BENCHMARK', 'IMAGE_SIZES')}: expected edges of at least {SMALLEST_IMAGE} "
            "pixels, or nothing"
        )


_RULES = (
    (ARCHITECTURE, _architecture_name),
    (("MODEL.HEAD", "DATA.TASK"), _head),
    ((*ARCHITECTURE, "DATA.VOLUME_SHAPE", "MODEL.IMAGE_SIZE"), _volume_shape),
    ((*ARCHITECTURE, "MODEL.USE_OFFICIAL_PROCESSOR", "MODEL.IMAGE_SIZE"), _official_processor),
    ((*ARCHITECTURE, "MODEL.PRETRAINED", "MODEL.WEIGHTS"), _weights),
    ((*ARCHITECTURE, "MODEL.CHANGE_OUTPUT"), _change_output),
    (("MODEL.IN_CHANNELS",), _in_channels),
    (("TRAINING.LOSS", "MODEL.HEAD"), _ordinal_loss),
    (
        ("TRAINING.SECOND_READER_WEIGHT", "EVALUATION.SECOND_READER_CSV", "MODEL.HEAD"),
        _second_reader,
    ),
    (("DATA.SOURCE", "DATA.DATA_DIR", "DATA.LABELS_CSV"), _source),
    (("TRAINING.FREEZE_BACKBONE", "TRAINING.FINE_TUNING"), _frozen_backbone),
    (("TRAINING.FINE_TUNING", "TRAINING.UNFREEZE_EPOCHS"), _unfreeze_epochs),
    (("TRAINING.SCHEDULER", "DATA.VAL_FRACTION"), _plateau),
    (("DATA.NORMALIZATION_STRATEGY", "DATA.CUSTOM_MEAN", "DATA.CUSTOM_STD"), _normalization),
    (("DATA.VAL_FRACTION", "DATA.TEST_FRACTION"), _fractions),
    (("DATA.FOLDS", "DATA.SPLIT_FILE"), _folds),
    (("SCORING.RISK_MEDIUM_ABOVE", "SCORING.RISK_HIGH_ABOVE"), _risk),
    (("BENCHMARK.ARCHS", "BENCHMARK.MODELS"), _benchmark_networks),
    (("BENCHMARK.ENGINES", "BENCHMARK.BATCH_SIZES", "BENCHMARK.IMAGE_SIZES"), _benchmark_counts),
)
