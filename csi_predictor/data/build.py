"""The data room's parts, built from the INI's sections."""

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from loguru import logger

from csi_predictor.config.schema import AugmentationSection, Config, DataSection
from csi_predictor.data.augment import PROFILES, Augmentation
from csi_predictor.data.cache import PreparedCache
from csi_predictor.data.duplicates import DuplicateGroup, find_equal_files, find_equal_pixels
from csi_predictor.data.manifest import Manifest, Row, read_manifest
from csi_predictor.data.official_processor import check_official_processor
from csi_predictor.data.split import Split, folds_by_patient, split_by_patient
from csi_predictor.data.split_file import read_split
from csi_predictor.specs import InputSpec

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


def build_augmentation(section: AugmentationSection) -> Augmentation:
    """PROFILE's strengths, each replaced by the key of its name unless that is `auto`."""
    preset = PROFILES[section.profile]
    strengths = {field.name: getattr(section, field.name) for field in fields(Augmentation)}
    return Augmentation(
        **{
            name: getattr(preset, name) if value == "auto" else float(value)
            for name, value in strengths.items()
        }
    )


def build_cache(config: Config, spec: InputSpec) -> PreparedCache:
    """The cache of images prepared for a network.

    Raises:
        ConfigError: The installed transformers can't run the network's official processor.
    """
    check_official_processor(spec)
    return PreparedCache(config.data.cache, config.data.cache_dir, spec)


def warn_of_equal_images(
    rows: Sequence[Row], splits: Sequence[Split], cache: PreparedCache
) -> None:
    """Warn in the log of equal pictures in different parts, or under different patients."""
    _warn_of(find_equal_pixels(rows, splits, cache), "the same picture")


def _draw_or_read(config: Config, manifest: Manifest) -> tuple[Split, ...]:
    data, seed = config.data, config.runtime.seed
    if data.split_file is not None:
        return read_split(data.split_file, manifest.rows, excluded_file_ids=data.excluded_file_ids)
    if data.folds:
        return folds_by_patient(
            manifest.rows, folds=data.folds, val_fraction=data.val_fraction, seed=seed
        )
    return (
        split_by_patient(
            manifest.rows,
            val_fraction=data.val_fraction,
            test_fraction=data.test_fraction,
            seed=seed,
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
