from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from loguru import logger
from numpy.typing import NDArray

from csi_predictor.config.schema import AugmentationSection, Config, DataSection, RuntimeSection
from csi_predictor.data.augment import PROFILES
from csi_predictor.data.build import (
    build_augmentation,
    build_cache,
    build_manifest,
    build_splits,
    warn_of_equal_images,
)
from csi_predictor.data.cache import PreparedCache
from csi_predictor.data.manifest import Manifest, Row
from csi_predictor.data.split import Split, folds_by_patient, split_by_patient
from csi_predictor.data.split_file import write_split
from csi_predictor.errors import ConfigError
from csi_predictor.specs import InputSpec

HEADER = "id\tright_sup\tleft_sup\tright_mid\tleft_mid\tright_inf\tleft_inf\twho"


@dataclass(frozen=True)
class Picture:
    pixels: NDArray[np.float32]


@pytest.fixture
def warnings() -> Iterator[list[str]]:
    lines: list[str] = []
    sink = logger.add(lines.append, level="WARNING", format="{message}")
    yield lines
    logger.remove(sink)


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    rows = []
    for number in range(20):
        path = tmp_path / f"{number}.png"
        path.write_bytes(bytes([number]))
        rows.append(Row(f"{number}", f"p{number}", path, (float(number % 4),) * 6))
    return Manifest(tuple(rows))


def test_manifest_takes_every_key_of_the_section(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text(f"{HEADER}\na\t0\t1\t2\t3\t0\t1\tP\nb\t9\t\t\t\t\t\tP\n")
    for name in ("a.png", "a.dcm"):
        (tmp_path / name).touch()
    section = DataSection(
        labels_csv_separator="tab",
        id_column="id",
        patient_column="who",
        image_extension=".png",
        excluded_file_ids=("b",),
    )
    manifest = build_manifest(section, image_dir=tmp_path, labels_csv=tmp_path / "labels.csv")
    assert manifest.rows == (Row("a", "P", tmp_path / "a.png", (0, 1, 2, 3, 0, 1)),)


def test_one_split_is_drawn_from_the_seed(manifest: Manifest) -> None:
    config = Config(
        data=DataSection(val_fraction=0.2, test_fraction=0.3), runtime=RuntimeSection(seed=7)
    )
    expected = split_by_patient(manifest.rows, val_fraction=0.2, test_fraction=0.3, seed=7)
    assert build_splits(config, manifest) == (expected,)


def test_folds_are_drawn_from_the_seed(manifest: Manifest) -> None:
    config = Config(data=DataSection(folds=4, val_fraction=0), runtime=RuntimeSection(seed=7))
    expected = folds_by_patient(manifest.rows, folds=4, val_fraction=0, seed=7)
    assert build_splits(config, manifest) == expected


def test_split_file_is_used_again(tmp_path: Path, manifest: Manifest) -> None:
    ids = tuple(sorted(row.file_id for row in manifest.rows))
    split = Split(ids[:12], ids[12:15], ids[15:])
    write_split(tmp_path / "split.csv", (split,), manifest.rows)
    config = Config(data=DataSection(split_file=tmp_path / "split.csv"))
    assert build_splits(config, manifest) == (split,)


def test_equal_files_are_warned_of(manifest: Manifest, warnings: list[str]) -> None:
    build_splits(Config(), manifest)
    assert warnings == []
    for row in manifest.rows[:12]:
        row.path.write_bytes(b"same")
    build_splits(Config(), manifest)
    (line,) = warnings
    assert "0 (" in line
    assert "the same file, in different parts, so the figures flatter, under 12 patients" in line


def test_equal_pictures_are_warned_of_and_only_ten_listed(
    tmp_path: Path, manifest: Manifest, warnings: list[str]
) -> None:
    def draw(path: Path, spec: InputSpec) -> Picture:
        return Picture(np.full(spec.size, int(path.stem) // 2, np.float32))

    rows = [Row(f"{n}", f"p{n}", Path(f"{n}"), (0.0,) * 6) for n in range(24)]
    cache = PreparedCache("none", tmp_path, InputSpec(size=(4, 4)), prepare=draw)
    warn_of_equal_images(Manifest(tuple(rows)), (Split(tuple(row.file_id for row in rows)),), cache)
    assert len(warnings) == 11
    assert "the same picture, in one part, under 2 patients" in warnings[0]
    assert warnings[10] == "... and 2 more groups of the same picture\n"


def test_auto_takes_the_profiles_strength() -> None:
    assert build_augmentation(augmented(profile="conservative")) == (PROFILES["conservative"])
    mixed = build_augmentation(augmented(profile="standard", mirror_p=0, noise=0.5))
    assert (mixed.mirror_p, mixed.noise) == (0, 0.5)
    assert mixed.rotation_deg == PROFILES["standard"].rotation_deg


def test_every_profile_of_the_ini_has_strengths() -> None:
    for profile in PROFILES:
        assert build_augmentation(augmented(profile=profile)) == PROFILES[profile]


def test_labels_of_radiographs_are_not_mirrored_unless_asked__weakness_001_11() -> None:
    labels = DataSection(task="multilabel", source="csv")
    for profile in ("standard", "randaugment", "autoaugment"):
        config = Config(data=labels, augmentation=AugmentationSection(profile=profile))
        assert build_augmentation(config).mirror_p == 0
    asked = Config(data=labels, augmentation=AugmentationSection(mirror_p=0.5))
    assert build_augmentation(asked).mirror_p == 0.5


def augmented(**keys: object) -> Config:
    return Config(augmentation=AugmentationSection(**keys))


def test_cache_lies_below_the_sections_folder(tmp_path: Path) -> None:
    config = Config(data=DataSection(cache="memory", cache_dir=tmp_path))
    cache = build_cache(config, InputSpec(size=(4, 4)))
    assert (cache.kind, cache.folder.parent) == ("memory", tmp_path)


def test_labels_that_name_a_side_are_never_mirrored() -> None:
    published = Config(data=DataSection(task="multiclass", source="medmnist"))
    assert build_augmentation(published, ("liver", "spleen")).mirror_p == 0.5
    assert build_augmentation(published, ("kidney-left", "kidney-right")).mirror_p == 0
    asked = Config(
        data=DataSection(task="multilabel", source="csv"),
        augmentation=AugmentationSection(mirror_p=0.5),
    )
    assert build_augmentation(asked, ("copyright", "cleft")).mirror_p == 0.5
    with pytest.raises(ConfigError, match=r"MIRROR_P = 0\.5: a mirrored image has its left labels"):
        build_augmentation(asked, ("left_effusion", "right_effusion"))
