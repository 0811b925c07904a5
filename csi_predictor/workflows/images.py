"""From the INI to labelled images on this machine, prepared for a network."""

from collections.abc import Collection, Sequence
from pathlib import Path

from loguru import logger

from csi_predictor.architectures import find_architecture
from csi_predictor.config import Config
from csi_predictor.config.choices import SynthesisKind
from csi_predictor.data.build import (
    build_cache,
    build_label_manifest,
    build_manifest,
    build_medmnist_manifest,
    read_targets,
)
from csi_predictor.data.cache import PixelStore
from csi_predictor.data.labels_table import read_labels_table
from csi_predictor.data.manifest import Manifest, Row
from csi_predictor.errors import ConfigError, LabelsError
from csi_predictor.runtime import (
    Compute,
    choose_compute,
    count_workers,
    keep_freed_memory,
    set_determinism,
)
from csi_predictor.specs import InputSpec, TargetSpec
from csi_predictor.synthesis.build import PHANTOM_LABELS, build_phantoms


def start_compute(config: Config) -> Compute:
    """The device of [RUNTIME], with its determinism set."""
    set_determinism(config.runtime.deterministic)
    compute = choose_compute(config.runtime.device, config.runtime.precision)
    if compute.device.type == "cpu":
        keep_freed_memory()
    logger.info("Computing on {} in {}", compute.device, compute.precision)
    return compute


def load_manifest(config: Config, targets: TargetSpec | None = None) -> Manifest:
    """The labelled images with what their labels mean; phantoms are drawn first where wanted.

    Args:
        config: The whole configuration.
        targets: What a trained network answers; None = LABELS, or what the table has.

    Raises:
        ConfigError: Nothing here reads this source or task.
        LabelsError: All that is wrong with the table and with finding its images.
    """
    data = config.data
    refuse_what_is_not_read(config)
    if data.source == "medmnist":
        return build_medmnist_manifest(config)
    image_dir, labels_csv = data.data_dir, data.labels_csv
    if data.source == "phantom":
        image_dir, labels_csv = _draw_phantoms(config)
    if image_dir is None or labels_csv is None:
        raise AssertionError("the configuration's rules demand both for this source")
    if data.task == "csi":
        return build_manifest(data, image_dir=image_dir, labels_csv=labels_csv)
    return build_label_manifest(
        data,
        image_dir=image_dir,
        labels_csv=labels_csv,
        are_volumes=takes_volumes(config),
        targets=targets,
    )


def find_targets(config: Config) -> TargetSpec | None:
    """What a network of this INI will answer, from the labels table alone.

    None where [DATA] says it without a table.

    Raises:
        LabelsError: All that is wrong with the table.
    """
    data = config.data
    if data.task not in ("multiclass", "multilabel") or data.source == "medmnist":
        return None
    if data.source == "phantom":
        names = PHANTOM_LABELS[phantom_kind(config)]
        return TargetSpec(task="multilabel", names=names, num_classes=2)
    if data.labels_csv is None or not data.labels_csv.is_file():
        return None
    return read_targets(data, data.labels_csv)


def _draw_phantoms(config: Config) -> tuple[Path, Path]:
    """Folder and table of the embedded images that the task and the network need."""
    folder = config.data.phantom_dir
    kind = phantom_kind(config)
    drawn = build_phantoms(config, kind, default_dir=folder if kind == "studies" else folder / kind)
    return drawn.images_dir, drawn.labels_csv


def phantom_kind(config: Config) -> SynthesisKind:
    """Which embedded images the task and the network need."""
    if config.data.task == "csi":
        return "studies"
    return "ct" if takes_volumes(config) else "findings"


def takes_volumes(config: Config) -> bool:
    """Whether the network's input has three dimensions."""
    return find_architecture(config.model.model_arch, config.model.variant).dimensions == 3


def read_second_grades(config: Config, file_ids: Collection[str]) -> dict[str, tuple[float, ...]]:
    """Grades of SECOND_READER_CSV, one a zone, of those of the ids that are in it.

    Raises:
        LabelsError: The table is wrong or has none of the images.
    """
    path = config.evaluation.second_reader_csv
    if path is None:
        raise AssertionError("asked for only where SECOND_READER_CSV is set")
    table = read_labels_table(path, id_column=config.data.id_column)
    grades = {row.file_id: row.targets for row in table.rows}
    found = {file_id: grades[file_id] for file_id in file_ids if file_id in grades}
    if not found:
        raise LabelsError(
            f"{path}: none of the {len(file_ids)} ids of the images is in it: expected the same "
            "ids as in LABELS_CSV"
        )
    logger.info("Second reader: {} of {} images", len(found), len(file_ids))
    return found


def refuse_what_is_not_read(config: Config) -> None:
    """Stop before anything is read.

    Raises:
        ConfigError: Training and evaluation don't read this source, or can't learn this task or
            head.
    """
    data = config.data
    if data.source == "pairs":
        raise ConfigError(
            f"[DATA] SOURCE = {data.source}: only `build_model` and --mode benchmark know it: "
            "training and evaluation expect phantom, csv, medmnist or volumes"
        )
    if data.task not in ("csi", "multiclass", "multilabel"):
        raise ConfigError(
            f"[DATA] TASK = {data.task}: only `build_model` and --mode benchmark know it: training "
            "and evaluation expect csi, multiclass or multilabel"
        )
    row = find_architecture(config.model.model_arch, config.model.variant)
    head = row.head if config.model.head == "auto" else config.model.head
    if head in ("map", "projection"):
        raise ConfigError(
            f"[MODEL] HEAD = {config.model.head}: the {head} head of {row.name} names no label or "
            "class: only `build_model` and --mode benchmark know it: training and evaluation "
            "expect linear"
        )


def prepare_images(config: Config, rows: Sequence[Row], spec: InputSpec) -> PixelStore:
    """Every image prepared for a network, so that none can fail later."""
    cache = build_cache(config, spec)
    cache.fill(rows, workers=count_workers(config.runtime.num_workers))
    return cache
