import hashlib
import json
from pathlib import Path

import pytest

from csi_predictor.errors import ConfigError
from csi_predictor.medmnist_sets import MEDMNIST_SETS, MedMnistFacts, find_medmnist_set

_INFO_SHA256 = "50bb82a975da10d99d6ba7c24a0bccc94bd280f3d25d7d170bd9c1636cdcc898"
"""Of the same listing made from `INFO` of `medmnist/info.py`, version 3.0.2."""


def listing(facts: MedMnistFacts) -> list[object]:
    files = {str(size): [facts.address(size), facts.published_md5(size)] for size in facts.sizes}
    labels, counts = list(facts.labels), list(facts.num_images)
    return [facts.published_task, labels, facts.channels, counts, files]


def test_every_published_fact_is_the_publishers__weakness_001_03() -> None:
    listed = {flag: listing(facts) for flag, facts in MEDMNIST_SETS.items()}
    assert hashlib.sha256(json.dumps(listed, sort_keys=True).encode()).hexdigest() == _INFO_SHA256


def test_every_published_fact_is_the_installed_packages(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))  # the package makes a folder there
    info = pytest.importorskip("medmnist.info").INFO
    assert set(MEDMNIST_SETS) == set(info)
    for flag, facts in MEDMNIST_SETS.items():
        published = info[flag]
        labels = [published["label"][str(index)] for index in range(len(published["label"]))]
        counts = [published["n_samples"][part] for part in ("train", "val", "test")]
        files = {
            str(size): [published[f"url{suffix}"], published[f"MD5{suffix}"]]
            for size in (28, 64, 128, 224)
            if f"url{(suffix := '' if size == 28 else f'_{size}')}" in published
        }
        expected = [published["task"], labels, published["n_channels"], counts, files]
        assert listing(facts) == expected


@pytest.mark.parametrize(
    ("flag", "counts"),
    [
        ("pathmnist", (89996, 10004, 7180)),
        ("chestmnist", (78468, 11219, 22433)),
        ("dermamnist", (7007, 1003, 2005)),
        ("pneumoniamnist", (4708, 524, 624)),
    ],
)
def test_the_official_counts_stand_here__weakness_001_03(
    flag: str, counts: tuple[int, int, int]
) -> None:
    assert MEDMNIST_SETS[flag].num_images == counts


def test_there_are_twelve_sets_of_pictures_and_six_of_volumes() -> None:
    dimensions = [facts.dimensions for facts in MEDMNIST_SETS.values()]
    assert (dimensions.count(2), dimensions.count(3)) == (12, 6)
    assert all(flag == facts.flag for flag, facts in MEDMNIST_SETS.items())
    assert all(len(facts.md5) == len(facts.sizes) for facts in MEDMNIST_SETS.values())


def test_only_chestmnist_has_labels_and_the_others_have_classes() -> None:
    tasks = {flag: facts.task for flag, facts in MEDMNIST_SETS.items()}
    assert tasks.pop("chestmnist") == "multilabel"
    assert set(tasks.values()) == {"multiclass"}


def test_the_file_of_28_pixels_has_no_size_in_its_name() -> None:
    facts = find_medmnist_set("OrganMNIST3D")
    assert (facts.file_name(28), facts.file_name(64)) == ("organmnist3d.npz", "organmnist3d_64.npz")


def test_an_unknown_set_is_refused_with_the_known_ones() -> None:
    with pytest.raises(
        ConfigError, match="MEDMNIST_FLAG = chestminst: expected one of pathmnist, "
    ):
        find_medmnist_set("chestminst")
    with pytest.raises(ConfigError, match="synapsemnist3d; did you mean chestmnist\\?"):
        find_medmnist_set("chestminst")
