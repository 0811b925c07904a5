"""From the INI to labelled images on this machine, prepared for a network."""

from collections.abc import Collection, Sequence

from loguru import logger

from csi_predictor.config import Config
from csi_predictor.data.build import build_cache, build_manifest
from csi_predictor.data.cache import PreparedCache
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
from csi_predictor.specs import InputSpec
from csi_predictor.synthesis.build import build_studies


def start_compute(config: Config) -> Compute:
    """The device of [RUNTIME], with its determinism set."""
    set_determinism(config.runtime.deterministic)
    compute = choose_compute(config.runtime.device, config.runtime.precision)
    if compute.device.type == "cpu":
        keep_freed_memory()
    logger.info("Computing on {} in {}", compute.device, compute.precision)
    return compute


def load_manifest(config: Config) -> Manifest:
    """The labels table joined with its images; phantoms are drawn first where they are wanted.

    Raises:
        ConfigError: Nothing here reads this source or task.
        LabelsError: All that is wrong with the table and with finding its images.
    """
    data = config.data
    refuse_what_is_not_read(config)
    if data.source == "phantom":
        studies = build_studies(config, default_dir=data.phantom_dir)
        return build_manifest(data, image_dir=studies.images_dir, labels_csv=studies.labels_csv)
    if data.data_dir is None or data.labels_csv is None:
        raise AssertionError("the configuration's rules demand both for SOURCE = csv")
    return build_manifest(data, image_dir=data.data_dir, labels_csv=data.labels_csv)


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
        ConfigError: Training and evaluation don't read this source or task.
    """
    data = config.data
    if data.source not in ("phantom", "csv"):
        raise ConfigError(
            f"[DATA] SOURCE = {data.source}: only `build_model` and --mode benchmark know it: "
            "training and evaluation expect phantom or csv"
        )
    if data.task != "csi":
        raise ConfigError(
            f"[DATA] TASK = {data.task}: only `build_model` and --mode benchmark know it: training "
            "and evaluation expect csi"
        )


def prepare_images(config: Config, rows: Sequence[Row], spec: InputSpec) -> PreparedCache:
    """Every image prepared for a network, so that none can fail later."""
    cache = build_cache(config, spec)
    cache.fill(rows, workers=count_workers(config.runtime.num_workers))
    return cache
