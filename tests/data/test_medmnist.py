import hashlib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from loguru import logger
from numpy.typing import NDArray

from csi_predictor.data import medmnist as module
from csi_predictor.data.duplicates import find_equal_files, find_equal_pixels
from csi_predictor.data.manifest import Row
from csi_predictor.data.medmnist import MedMnistSet, read_medmnist
from csi_predictor.errors import ConfigError, LabelsError

Arrays = dict[str, NDArray[Any]]
COUNTS = {"train": 12, "val": 3, "test": 4}


def arrays_of(
    *one: int, classes: int = 2, labels: int = 1, counts: dict[str, int] = COUNTS
) -> Arrays:
    """Random pictures of a shape with every class in turn, as the publisher's files have them."""
    rng = np.random.default_rng(0)
    found: Arrays = {}
    for part, count in counts.items():
        found[f"{part}_images"] = rng.integers(0, 256, (count, *one), dtype=np.uint8)
        numbers = np.arange(count * labels, dtype=np.uint8).reshape(count, labels)
        found[f"{part}_labels"] = numbers % classes
    return found


def write(path: Path, arrays: Arrays) -> Path:
    np.savez_compressed(path, **arrays)  # type: ignore[arg-type]
    return path


@pytest.fixture
def log() -> Iterator[list[str]]:
    lines: list[str] = []
    sink = logger.add(lines.append, level="INFO", format="{level} {message}")
    yield lines
    logger.remove(sink)


def problems(folder: Path, flag: str, arrays: Arrays, **options: Any) -> tuple[str, ...]:
    write(folder / f"{flag}.npz", arrays)
    with pytest.raises(LabelsError) as caught:
        read_medmnist(folder, flag, **options)
    return caught.value.problems


def test_rows_are_numbered_by_part_and_each_is_its_own_patient(tmp_path: Path) -> None:
    path = write(tmp_path / "pneumoniamnist.npz", arrays_of(28, 28))
    found = read_medmnist(tmp_path, "PneumoniaMNIST")
    assert len(found.rows) == 19
    assert found.rows[0] == Row("train_00000", "file:train_00000", path, (0.0,))
    assert found.rows[13] == Row("val_00001", "file:val_00001", path, (1.0,))
    assert found.split.test == tuple(f"test_0000{number}" for number in range(4))
    found.split.check_disjoint(found.rows)


def test_ids_have_as_many_digits_as_the_last_one_needs(tmp_path: Path) -> None:
    counts = {"train": 100_001, "val": 1, "test": 1}
    arrays = arrays_of(28, 28, classes=8, counts=counts)
    path = tmp_path / "tissuemnist.npz"
    np.savez(path, **arrays)  # type: ignore[arg-type]
    found = read_medmnist(tmp_path, "tissuemnist")
    assert found.rows[0].file_id == "train_000000"
    assert found.split.train[-1] == "train_100000"
    assert list(found.split.train) == sorted(found.split.train)


def test_labels_are_a_vector_and_classes_an_index(tmp_path: Path) -> None:
    write(tmp_path / "chestmnist.npz", arrays_of(28, 28, labels=14))
    chest = read_medmnist(tmp_path, "chestmnist")
    assert chest.rows[0].targets == (0, 1) * 7
    assert chest.target_spec.task == "multilabel"
    assert (chest.target_spec.num_targets, chest.target_spec.num_classes) == (14, 2)
    write(tmp_path / "retinamnist.npz", arrays_of(28, 28, 3, classes=5))
    retina = read_medmnist(tmp_path, "retinamnist")
    assert [row.targets for row in retina.rows[:6]] == [(0,), (1,), (2,), (3,), (4,), (0,)]
    assert retina.target_spec.task == "multiclass"
    assert (retina.target_spec.num_targets, retina.target_spec.num_classes) == (1, 5)


def test_pictures_come_as_they_are_stored_and_each_part_is_read_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    arrays = arrays_of(64, 64, 3, classes=9)
    write(tmp_path / "pathmnist_64.npz", arrays)
    read: list[str] = []
    read_images = module.read_images

    def note(*args: Any) -> NDArray[np.uint8]:
        read.append(args[-1])
        return read_images(*args)

    monkeypatch.setattr(module, "read_images", note)
    found = read_medmnist(tmp_path, "pathmnist", size=64)
    assert read == []
    for row in found.rows[:2] + found.rows[-2:]:
        part, number = row.file_id.split("_")
        pixels = found.get(row)
        assert pixels.dtype == np.uint8
        np.testing.assert_array_equal(pixels, arrays[f"{part}_images"][int(number)])
    assert read == ["train", "test"]


def test_excluded_images_are_in_no_row_and_no_part(tmp_path: Path, log: list[str]) -> None:
    write(tmp_path / "pneumoniamnist.npz", arrays_of(28, 28))
    found = read_medmnist(
        tmp_path, "pneumoniamnist", excluded_file_ids=("train_00001", "test_00009")
    )
    assert "train_00001" not in {row.file_id for row in found.rows} | set(found.split.train)
    assert len(found.rows) == 18
    expected = "WARNING [DATA] EXCLUDED_FILE_IDS: not in pneumoniamnist.npz: test_00009\n"
    assert expected in log
    found.split.check_disjoint(found.rows)


def test_a_missing_file_is_asked_for_by_name_address_and_md5(tmp_path: Path) -> None:
    expected = (
        f"{tmp_path}/organmnist3d_64.npz: no such file: put organmnist3d_64.npz of "
        "https://zenodo.org/records/10519652/files/organmnist3d_64.npz?download=1 "
        "(MD5 58a2205adf14a9d0a189cb06dc78bf10) there, or set [DATA] MEDMNIST_DOWNLOAD = true to "
        "fetch it"
    )
    with pytest.raises(LabelsError) as caught:
        read_medmnist(tmp_path, "organmnist3d", size=64)
    assert str(caught.value) == expected
    with pytest.raises(LabelsError, match=r"and \[RUNTIME\] OFFLINE = true: put bloodmnist.npz of"):
        read_medmnist(tmp_path, "bloodmnist", download=True, offline=True)


def test_a_missing_file_is_fetched_when_asked_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked = []

    def fetch(address: str, path: Path, *, md5: str) -> None:
        asked.append((address, md5))
        write(path, arrays_of(28, 28))

    monkeypatch.setattr(module, "download_file", fetch)
    assert len(read_medmnist(tmp_path, "pneumoniamnist", download=True).rows) == 19
    read_medmnist(tmp_path, "pneumoniamnist", download=True)
    assert asked == [
        (
            "https://zenodo.org/records/10519652/files/pneumoniamnist.npz?download=1",
            "28209eda62fecd6e6a2d98b1501bb15f",
        )
    ]


def test_a_failed_download_says_why_and_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail(address: str, path: Path, *, md5: str) -> None:
        raise OSError("no route")

    monkeypatch.setattr(module, "download_file", fail)
    with pytest.raises(
        LabelsError, match="download failed: no route: run it again to go on with it, or put blood"
    ):
        read_medmnist(tmp_path, "bloodmnist", download=True)


def test_a_size_that_is_not_published_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match="MEDMNIST_SIZE = 128: organmnist3d is published in 28, 64: expected one"
    ):
        read_medmnist(tmp_path, "organmnist3d", size=128)


def test_another_version_is_a_warning_with_both_md5_and_its_counts(
    tmp_path: Path, log: list[str]
) -> None:
    path = write(tmp_path / "breastmnist.npz", arrays_of(28, 28))
    read_medmnist(tmp_path, "breastmnist")
    found = hashlib.md5(path.read_bytes()).hexdigest()
    assert (
        f"WARNING breastmnist.npz: MD5 {found}, but the published file has "
        "750601b1f35ba3300ea97c75c52ff8f6: another version, with (12, 3, 4) images where "
        "(546, 78, 156) are published (train, val, test), so its figures can't be compared with "
        "published ones\n"
    ) in log


def test_classes_of_few_training_images_are_told(tmp_path: Path, log: list[str]) -> None:
    write(tmp_path / "fracturemnist3d.npz", arrays_of(28, 28, 28, classes=2))
    read_medmnist(tmp_path, "fracturemnist3d")
    assert log[-2:] == [
        "WARNING fracturemnist3d.npz, train: present in no image, so neither taught nor measured: "
        "displaced rib fracture\n",
        "WARNING fracturemnist3d.npz, train: present in fewer than 10 images, so hardly taught or "
        "measured: buckle rib fracture (6), nondisplaced rib fracture (6)\n",
    ]


def test_all_wrong_shapes_and_labels_are_told_at_once(tmp_path: Path) -> None:
    arrays = arrays_of(28, 28)
    arrays["train_images"] = arrays["train_images"][:, :27]
    arrays["val_labels"] = arrays["val_labels"][:2]
    arrays["test_labels"] = np.array([[0], [1], [2], [0]], np.uint8)
    assert problems(tmp_path, "pneumoniamnist", arrays) == (
        "pneumoniamnist.npz: train_images is (12, 27, 28) uint8: expected (N, 28, 28) uint8: set "
        "[DATA] MEDMNIST_FLAG and MEDMNIST_SIZE to what the file holds, or put the right one there",
        "pneumoniamnist.npz: val_labels is (2, 1) uint8: expected (3, 1) whole numbers, a row an "
        "image",
        "pneumoniamnist.npz: test_labels, image 2: found [2]: expected 0 to 1, for normal, "
        "pneumonia",
    )


@pytest.mark.parametrize(
    ("flag", "one", "found"),
    [
        ("pathmnist", (28, 28), r"\(12, 28, 28\) uint8: expected \(N, 28, 28, 3\)"),
        ("octmnist", (28, 28, 3), r"\(12, 28, 28, 3\) uint8: expected \(N, 28, 28\)"),
        ("vesselmnist3d", (28, 28), r"\(12, 28, 28\) uint8: expected \(N, 28, 28, 28\)"),
    ],
)
def test_pictures_of_another_kind_are_refused(
    tmp_path: Path, flag: str, one: tuple[int, ...], found: str
) -> None:
    write(tmp_path / f"{flag}.npz", arrays_of(*one))
    with pytest.raises(LabelsError, match=f"{flag}.npz: train_images is {found}"):
        read_medmnist(tmp_path, flag)


def test_other_number_types_are_refused(tmp_path: Path) -> None:
    arrays = arrays_of(28, 28)
    arrays["train_images"] = arrays["train_images"].astype(np.float32)
    arrays["val_labels"] = arrays["val_labels"].astype(np.float64)
    arrays["test_labels"] = arrays["test_labels"].astype(np.int64) - 1
    found = problems(tmp_path, "pneumoniamnist", arrays)
    assert "train_images is (12, 28, 28) float32: expected (N, 28, 28) uint8" in found[0]
    assert "val_labels is (3, 1) float64: expected (3, 1) whole numbers" in found[1]
    assert "test_labels, image 0: found [-1]: expected 0 to 1" in found[2]


def test_a_part_without_images_is_refused(tmp_path: Path) -> None:
    arrays = arrays_of(28, 28, counts={"train": 2, "val": 0, "test": 1})
    (found,) = problems(tmp_path, "pneumoniamnist", arrays)
    assert "val_images is (0, 28, 28) uint8: expected (N, 28, 28)" in found


def test_missing_arrays_are_named(tmp_path: Path) -> None:
    (found,) = problems(tmp_path, "pneumoniamnist", {"pixels": np.zeros(3)})
    assert "pneumoniamnist.npz: holds pixels: expected train_images, train_labels, val_im" in found


@pytest.mark.parametrize("content", [b"", b"not a zip", b"\x93NUMPY\x01\x00v\x00"])
def test_another_kind_of_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "pneumoniamnist.npz").write_bytes(content)
    with pytest.raises(LabelsError, match=r"can't be read as an .npz file \(File is not a zip"):
        read_medmnist(tmp_path, "pneumoniamnist")


def test_a_file_cut_short_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "pneumoniamnist.npz", arrays_of(28, 28))
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(LabelsError, match=r"can't be read as an .npz file .*: delete it and fetch"):
        read_medmnist(tmp_path, "pneumoniamnist")


def test_damaged_pictures_are_refused_when_they_are_read(tmp_path: Path) -> None:
    path = write(tmp_path / "pneumoniamnist.npz", arrays_of(28, 28))
    with zipfile.ZipFile(path) as archive:
        member = archive.getinfo("train_images.npy")
    content = bytearray(path.read_bytes())
    middle = member.header_offset + member.compress_size // 2
    content[middle : middle + 50] = bytes(50)
    path.write_bytes(content)
    found = read_medmnist(tmp_path, "pneumoniamnist")
    with pytest.raises(LabelsError, match=r"pneumoniamnist.npz: can't be read as an .npz file"):
        found.get(found.rows[0])


def test_pickled_objects_are_never_loaded(tmp_path: Path) -> None:
    arrays = arrays_of(28, 28)
    arrays["train_labels"] = np.array([[{}]] * 12, dtype=object)
    write(tmp_path / "pneumoniamnist.npz", arrays)
    with pytest.raises(LabelsError, match="Object arrays cannot be loaded when allow_pickle=False"):
        read_medmnist(tmp_path, "pneumoniamnist")


@pytest.fixture(scope="module")
def pneumonia(shared_data: Path) -> MedMnistSet:
    return read_medmnist(shared_data / "medmnist", "pneumoniamnist")


def test_the_shared_pneumoniamnist_has_the_official_counts_and_another_md5(
    shared_data: Path, log: list[str]
) -> None:
    found = read_medmnist(shared_data / "medmnist", "pneumoniamnist")
    split = found.split
    assert (len(split.train), len(split.val), len(split.test)) == (4708, 524, 624)
    assert "MD5 238a40f8f78b9a61dfdd21e86aac35f9, but the published file has 28209eda" in log[0]


def test_pictures_and_labels_are_those_of_the_publishers_loader(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, shared_data: Path, pneumonia: MedMnistSet
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))  # the package makes a folder there
    package = pytest.importorskip("medmnist")
    for part in ("train", "val", "test"):
        rows = pneumonia.split.part_of()
        ours = [row for row in pneumonia.rows if rows[row.file_id] == part]
        theirs = package.PneumoniaMNIST(split=part, root=str(shared_data / "medmnist"))
        assert len(ours) == len(theirs)
        for number in (0, 1, 17, len(ours) - 1):
            picture, label = theirs[number]
            np.testing.assert_array_equal(pneumonia.get(ours[number]), np.asarray(picture))
            assert ours[number].targets == tuple(label)


def test_the_eight_pictures_in_train_and_val_are_found(pneumonia: MedMnistSet) -> None:
    assert find_equal_files(pneumonia.rows, (pneumonia.split,)) == ()  # all are of one file
    groups = find_equal_pixels(pneumonia.rows, (pneumonia.split,), pneumonia)
    leaks = [group for group in groups if group.is_leak]
    assert len(leaks) == 8
    assert groups[:8] == tuple(leaks)
    assert all(set(group.parts) == {"train", "val"} for group in leaks)


def test_the_shared_adrenalmnist3d_is_the_published_file(shared_data: Path, log: list[str]) -> None:
    found = read_medmnist(shared_data / "medmnist", "adrenalmnist3d", size=64)
    assert [line for line in log if "MD5" in line] == []
    assert len(found.rows) == 1188 + 98 + 298
    assert set(np.unique(found.get(found.rows[-1]))) == {0, 255}
