"""The data room's parts, built from the INI's sections."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from loguru import logger

from csi_predictor.config.schema import Config, DataSection
from csi_predictor.data.attributes import Values, read_attributes
from csi_predictor.data.augment import PROFILES, Augmentation
from csi_predictor.data.cache import PixelStore, PreparedCache
from csi_predictor.data.duplicates import DuplicateGroup, find_equal_files, find_equal_pixels
from csi_predictor.data.label_rows import LabelsTable
from csi_predictor.data.label_table import scan_label_table
from csi_predictor.data.manifest import Manifest, Row, join_images, read_manifest
from csi_predictor.data.medmnist import MedMnistSet, read_medmnist
from csi_predictor.data.medmnist_images import MedMnistImages
from csi_predictor.data.official_processor import check_official_processor
from csi_predictor.data.readers import read_patient_id
from csi_predictor.data.split import Split, folds_by_patient, split_by_patient
from csi_predictor.data.split_file import read_split
from csi_predictor.data.table import check_no_problems
from csi_predictor.data.volume_files import read_volume_patient_id
from csi_predictor.errors import ConfigError
from csi_predictor.specs import InputSpec, TargetSpec, names_have_sides

_SEPARATORS = {"auto": None, "tab": "\t", ";": ";", ",": ","}
_SHOWN_DUPLICATES = 10


def build_manifest(data: DataSection, *, image_dir: Path, labels_csv: Path) -> Manifest:
    """The labelled images of a table.

    Raises:
        LabelsError: All that is wrong with the table and with finding its images.
    """
    return read_manifest(
        labels_csv,
        image_dir=image_dir,
        separator=_SEPARATORS[data.labels_csv_separator],
        id_column=data.id_column,
        patient_column=data.patient_column,
        image_extension=data.image_extension,
        excluded_file_ids=data.excluded_file_ids,
    )


def build_label_manifest(
    data: DataSection,
    *,
    image_dir: Path,
    labels_csv: Path,
    are_volumes: bool,
    targets: TargetSpec | None = None,
) -> Manifest:
    """The images or volumes of a table of labels or classes.

    Args:
        data: [DATA].
        image_dir: Searched below for each id.
        labels_csv: The table.
        are_volumes: Whether an id names a volume: a file, or a folder of DICOM slices.
        targets: What a trained network answers, whose names the table must have; None = LABELS, or
            what the table has.

    Raises:
        LabelsError: All that is wrong with the table and with finding its images.
    """
    table, problems = _scan_labels(data, labels_csv, targets)
    return join_images(
        table,
        problems,
        image_dir=image_dir,
        id_column=data.id_column,
        image_extension=data.image_extension,
        excluded_file_ids=data.excluded_file_ids,
        patient_id_of=read_volume_patient_id if are_volumes else read_patient_id,
        are_volumes=are_volumes,
    )


def read_targets(data: DataSection, labels_csv: Path) -> TargetSpec:
    """What the labels of a table mean, without looking at images.

    Raises:
        LabelsError: All that is wrong with the table.
    """
    table, problems = _scan_labels(data, labels_csv, None)
    check_no_problems(problems)
    return table.target_spec


def _scan_labels(
    data: DataSection, labels_csv: Path, targets: TargetSpec | None
) -> tuple[LabelsTable, list[str]]:
    return scan_label_table(
        labels_csv,
        task="multiclass" if data.task == "multiclass" else "multilabel",
        layout=data.labels_layout,
        labels=data.labels if targets is None else targets.names,
        class_column=data.labels[0] if len(data.labels) == 1 else "",
        separator=_SEPARATORS[data.labels_csv_separator],
        id_column=data.id_column,
        patient_column=data.patient_column,
        excluded_file_ids=data.excluded_file_ids,
        uncertain=data.uncertain_labels,
        unmentioned=data.unmentioned_labels,
    )


def build_medmnist_manifest(config: Config) -> Manifest:
    """The rows of a published MedMNIST file with its official split.

    Raises:
        LabelsError: The file is missing, damaged or another one.
    """
    found = _open_medmnist(config)
    return Manifest(found.rows, found.target_spec, found.split)


def _open_medmnist(config: Config, *, is_known: bool = False) -> MedMnistSet:
    data = config.data
    if data.data_dir is None:
        raise AssertionError("the configuration's rules demand DATA_DIR for SOURCE = medmnist")
    return read_medmnist(
        data.data_dir,
        data.medmnist_flag,
        size=data.medmnist_size,
        download=data.medmnist_download,
        offline=config.runtime.offline,
        excluded_file_ids=data.excluded_file_ids,
        is_known=is_known,
    )


def build_splits(config: Config, manifest: Manifest) -> tuple[Split, ...]:
    """One split, or FOLDS of them; SPLIT_FILE's where it is set. Equal files are warned of.

    Raises:
        LabelsError: Too few patients, or SPLIT_FILE doesn't fit the table.
    """
    splits = _draw_or_read(config, manifest)
    for fold, split in enumerate(splits, start=1):
        logger.info(
            "{}: {} train, {} val, {} test images of {} patients",
            "split" if len(splits) == 1 else f"fold {fold} of {len(splits)}",
            len(split.train),
            len(split.val),
            len(split.test),
            manifest.num_patients,
        )
    _warn_of(find_equal_files(manifest.rows, splits), "the same file")
    return splits


def build_augmentation(config: Config, names: Sequence[str] = ()) -> Augmentation:
    """PROFILE's strengths, each replaced by the key of its name unless that is `auto`.

    MIRROR_P = auto is PROFILE's for six zones, whose grades change sides with the image, for
    MedMNIST and for PROFILE = skin; other labels don't say on which side the heart is. It is 0
    where a label or class names a side.

    Args:
        config: The whole configuration.
        names: Of the labels or classes.

    Raises:
        ConfigError: MIRROR_P asks for mirrored images, and a label or class names a side.
    """
    section, data = config.augmentation, config.data
    preset = PROFILES[section.profile]
    may_mirror = data.task == "csi" or data.source == "medmnist" or section.profile == "skin"
    has_sides = data.task != "csi" and names_have_sides(names)
    if not may_mirror or has_sides:
        preset = replace(preset, mirror_p=0.0)
    strengths: dict[str, Any] = {
        name: type(getattr(preset, name))(value)
        for name in type(section).model_fields
        if name != "profile"
        and hasattr(preset, name)
        and (value := getattr(section, name)) != "auto"
    }
    found = replace(preset, **strengths)
    if has_sides and found.mirror_p > 0:
        raise ConfigError(
            f"[AUGMENTATION] MIRROR_P = {found.mirror_p:g}: a mirrored image has its left labels "
            f"on the right, found {', '.join(names)}: expected 0"
        )
    return found


def build_cache(config: Config, spec: InputSpec) -> PixelStore:
    """The images prepared for a network.

    Raises:
        ConfigError: The installed transformers can't run the network's official processor.
        LabelsError: The MedMNIST file is missing or damaged.
    """
    if config.data.source == "medmnist":
        return MedMnistImages(_open_medmnist(config, is_known=True), spec)
    check_official_processor(spec)
    return PreparedCache(config.data.cache, config.data.cache_dir, spec)


def warn_of_equal_images(manifest: Manifest, splits: Sequence[Split], cache: PixelStore) -> None:
    """Warn in the log of equal pictures in different parts, or under different patients.

    A published set names no patients: of its pictures only those in different parts are told.
    """
    groups = find_equal_pixels(manifest.rows, splits, cache)
    if manifest.published_split is not None:
        groups = tuple(group for group in groups if group.is_leak)
    _warn_of(groups, "the same picture")


def _draw_or_read(config: Config, manifest: Manifest) -> tuple[Split, ...]:
    data, seed, task = config.data, config.runtime.seed, manifest.target_spec.task
    if manifest.published_split is not None:
        return (manifest.published_split,)
    if data.split_file is not None:
        return read_split(data.split_file, manifest.rows, excluded_file_ids=data.excluded_file_ids)
    if data.folds:
        return folds_by_patient(
            manifest.rows, folds=data.folds, val_fraction=data.val_fraction, seed=seed, task=task
        )
    return (
        split_by_patient(
            manifest.rows,
            val_fraction=data.val_fraction,
            test_fraction=data.test_fraction,
            seed=seed,
            task=task,
        ),
    )


def _warn_of(groups: Sequence[DuplicateGroup], what: str) -> None:
    for group in groups[:_SHOWN_DUPLICATES]:
        files = ", ".join(
            f"{file_id} ({part})" for file_id, part in zip(group.file_ids, group.parts, strict=True)
        )
        leak = "in different parts, so the figures flatter" if group.is_leak else "in one part"
        logger.warning(
            "{}: {}, {}, under {} patients: name all but one in EXCLUDED_FILE_IDS, or give them "
            "one patient",
            files,
            what,
            leak,
            group.num_patients,
        )
    if len(groups) > _SHOWN_DUPLICATES:
        logger.warning("... and {} more groups of {}", len(groups) - _SHOWN_DUPLICATES, what)


def build_attributes(config: Config, rows: Sequence[Row]) -> dict[str, Values]:
    """Of each of [EVALUATION] SUBGROUPS one value an image; see `data.attributes`.

    Raises:
        ConfigError: AGE_BANDS don't rise.
        LabelsError: A subgroup is neither a column nor a DICOM tag, or makes no groups.
    """
    section, data = config.evaluation, config.data
    return read_attributes(
        rows,
        section.subgroups,
        table=data.labels_csv if data.source != "phantom" else None,
        id_column=data.id_column,
        separator=_SEPARATORS[data.labels_csv_separator],
        age_bands=section.age_bands,
    )
