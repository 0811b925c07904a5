"""The embedded labelled radiographs: files, table, and pictures that agree with their labels."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK

from csi_predictor.data.readers import read_image
from csi_predictor.synthesis.findings import FindingRecipe, finding_facts, write_findings
from csi_predictor.synthesis.findings_folder import LabelledSet
from csi_predictor.synthesis.findings_plan import heart_of_ratio
from csi_predictor.synthesis.findings_render import (
    FINDING_LABELS,
    FINDING_PREVALENCES,
    FindingCase,
    plan_finding_cases,
    render_finding,
)

SIZE = 160


def written(folder: Path, count: int = 5, *, workers: int = 0, seed: int = 3) -> LabelledSet:
    return write_findings(folder, count=count, size=64, seed=seed, workers=workers)


@pytest.fixture(scope="module")
def small_set(tmp_path_factory: pytest.TempPathFactory) -> LabelledSet:
    return written(tmp_path_factory.mktemp("findings"))


@pytest.fixture(scope="module")
def case() -> FindingCase:
    return plan_finding_cases(count=1, seed=5, unknown_fraction=0.0, overlap=0.0)[0]


def drawn(case: FindingCase, *labels: str) -> np.ndarray:
    changed = replace(case, labels=tuple(int(name in labels) for name in FINDING_LABELS))
    return render_finding(changed, size=SIZE, seed=5, noise=0.0, rotation_deg=0.0, overlap=0.0)


def contents(target: LabelledSet) -> dict[str, bytes]:
    files = [*target.images_dir.iterdir(), target.labels_csv]
    return {path.name: path.read_bytes() for path in files}


def test_a_set_of_findings_is_the_same_to_the_byte_with_any_number_of_workers(
    small_set: LabelledSet, tmp_path: Path
) -> None:
    assert contents(written(tmp_path, workers=2)) == contents(small_set)


def test_a_smaller_set_of_findings_is_the_beginning_of_a_larger_one(
    small_set: LabelledSet, tmp_path: Path
) -> None:
    whole, fewer = contents(small_set), contents(written(tmp_path, 2))
    assert len(fewer) == 3
    assert all(whole[name] == data for name, data in fewer.items() if name.endswith(".dcm"))
    assert whole["labels.csv"].startswith(fewer["labels.csv"])


def test_an_interrupted_set_of_findings_is_finished_and_whole_files_are_kept(
    small_set: LabelledSet, tmp_path: Path
) -> None:
    written(tmp_path)
    images = tmp_path / "images"
    lost, spoilt, kept = (images / f"finding_0000{index}.dcm" for index in range(3))
    lost.unlink()
    spoilt.write_bytes(b"no picture")
    (tmp_path / "phantom.json").unlink()
    (images / f".{lost.name}.1.tmp").write_bytes(b"half")
    kept_ns = kept.stat().st_mtime_ns
    assert contents(written(tmp_path)) == contents(small_set)
    assert kept.stat().st_mtime_ns == kept_ns


def test_a_complete_set_of_findings_is_reused_and_another_replaces_it(tmp_path: Path) -> None:
    written(tmp_path, 2)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "images").iterdir()}
    written(tmp_path, 2)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "images").iterdir()} == before
    written(tmp_path, 1, seed=4)
    assert [path.name for path in (tmp_path / "images").iterdir()] == ["finding_00000.dcm"]
    record = json.loads((tmp_path / "phantom.json").read_text())
    assert (record["kind"], record["seed"], record["count"]) == ("findings", 4, 1)


def test_the_table_of_findings_names_the_patients_of_the_files(small_set: LabelledSet) -> None:
    text = small_set.labels_csv.read_text(encoding="utf-8")
    assert text.splitlines()[0] == (
        "FileID,PatientID,cardiomegaly,effusion,consolidation,nodule,device"
    )
    for row in csv.DictReader(text.splitlines()):
        path = small_set.images_dir / f"{row['FileID']}.dcm"
        assert pydicom.dcmread(path).PatientID == row["PatientID"]
        assert {row[label] for label in small_set.labels} <= {"0", "1", ""}


def test_the_readers_and_simpleitk_read_the_same_picture(small_set: LabelledSet) -> None:
    for path in small_set.images_dir.iterdir():
        image = read_image(path)
        assert image.pixels.shape == (64, 64)
        values = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(path))[0].astype(np.float32)
        if image.display.is_inverted:  # MONOCHROME1, which SimpleITK turns while it reads
            values = 2.0 ** pydicom.dcmread(path).BitsStored - 1.0 - values
        np.testing.assert_array_equal(values, image.pixels)


def test_findings_have_their_shares_and_about_three_in_a_hundred_are_unknown() -> None:
    cases = plan_finding_cases(count=800, seed=9, unknown_fraction=0.03, overlap=1.0)
    labels = np.array([case.labels for case in cases], dtype=float)
    np.testing.assert_allclose(labels.mean(axis=0), list(FINDING_PREVALENCES.values()), atol=0.03)
    assert all(0.25 <= share <= 0.4 for share in FINDING_PREVALENCES.values())
    told = [cell for case in cases for cell in case.told]
    assert told.count(None) / len(told) == pytest.approx(0.03, abs=0.01)
    assert all(
        cell in (None, label)
        for case in cases
        for cell, label in zip(case.told, case.labels, strict=True)
    )
    body = np.array([[case.habitus.sex == "F", *case.habitus.scale] for case in cases], float)
    together = np.corrcoef(np.hstack([labels, body]).T)[: len(FINDING_LABELS)]
    np.fill_diagonal(together, 0.0)
    # Four standard errors; patients with two images count once.
    assert np.abs(together).max() < 4 / np.sqrt(600)


def test_no_share_unknown_leaves_no_cell_empty() -> None:
    cases = plan_finding_cases(count=50, seed=9, unknown_fraction=0.0, overlap=1.0)
    assert all(case.told == case.labels for case in cases)


def test_two_images_of_a_patient_share_body_heart_and_device() -> None:
    cases = plan_finding_cases(count=60, seed=3, unknown_fraction=0.03, overlap=1.0)
    seconds = [case for case in cases if case.image_number == 1]
    assert 4 <= len(seconds) <= 20
    recipe = FindingRecipe(size=64, seed=3, noise=1.0, rotation_deg=3.0, overlap=1.0)
    for second in seconds:
        first = cases[second.index - 1]
        assert (first.patient_id, first.habitus) == (second.patient_id, second.habitus)
        for label in ("cardiomegaly", "device"):
            assert first.has(label) == second.has(label)
        before, after = finding_facts(first, recipe), finding_facts(second, recipe)
        assert before.study_date < after.study_date
        assert before.sop_instance_uid != after.sop_instance_uid
    assert any(second.labels != cases[second.index - 1].labels for second in seconds)


def test_an_effusion_whitens_the_base_and_not_the_apex(case: FindingCase) -> None:
    change = drawn(case, "effusion") - drawn(case)
    sides = [change[95:125, 20:60].mean(), change[95:125, 100:140].mean()]
    assert max(sides) > 0.08
    assert abs(change[25:50, 20:140].mean()) < 0.02


def test_lesions_whiten_lung(case: FindingCase) -> None:
    clear = drawn(case)
    for label in ("consolidation", "nodule"):
        change = drawn(case, label) - clear
        assert change.max() > 0.05
        row, column = np.unravel_index(change.argmax(), change.shape)
        assert clear[row, column] < 0.75
        assert 20 < row < 130


def test_each_kind_of_device_is_metal(case: FindingCase) -> None:
    places = set()
    for seed in range(5):
        other = replace(case, habitus=replace(case.habitus, seed=seed))
        change = drawn(other, "device") - drawn(other)
        assert change.max() > 0.1
        # A few lines and plates, not a veil.
        assert (change > 0.05).mean() < 0.08
        places.add(tuple((np.argwhere(change > 0.1).mean(axis=0) // 20).astype(int)))
    assert len(places) > 1


def test_an_enlarged_heart_is_wider_in_the_picture(case: FindingCase) -> None:
    slim, wide = (
        drawn(replace(case, habitus=replace(case.habitus, heart=heart_of_ratio(ratio))))
        for ratio in (0.42, 0.58)
    )
    change = wide - slim
    # The left border moves most; the apices stay.
    assert change[85:105, 92:125].max() > 0.15
    assert change[85:105, 92:125].mean() > change[85:105, 40:70].mean()
    assert np.abs(change[20:40]).max() < 0.05


def test_the_label_says_whether_the_drawn_heart_is_enlarged() -> None:
    for overlap in (0.0, 3.0):
        cases = plan_finding_cases(count=60, seed=2, unknown_fraction=0.0, overlap=overlap)
        limit = heart_of_ratio(0.5)
        assert {case.has("cardiomegaly") == (case.habitus.heart > limit) for case in cases} == {
            True
        }
