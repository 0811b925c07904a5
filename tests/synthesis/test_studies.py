"""The embedded data set as files: determinism, resumption, the labels table."""

import csv
import json
from pathlib import Path

import numpy as np
import pydicom
import pytest
from threadpoolctl import threadpool_limits

from csi_predictor.synthesis.cases import plan_cases
from csi_predictor.synthesis.studies import (
    Recipe,
    StudySet,
    labels_table,
    radiograph_facts,
    write_studies,
)

HEADER = "FileID;PatientID;right_sup;left_sup;right_mid;left_mid;right_inf;left_inf"


@pytest.fixture(scope="module")
def small_set(tmp_path_factory: pytest.TempPathFactory) -> StudySet:
    return write_studies(tmp_path_factory.mktemp("set"), count=5, size=96, seed=3, workers=1)


def contents(studies: StudySet) -> dict[str, bytes]:
    files = [*studies.images_dir.iterdir(), studies.labels_csv]
    return {path.name: path.read_bytes() for path in files}


def test_a_set_is_the_same_to_the_byte_with_any_number_of_workers(
    small_set: StudySet, tmp_path: Path
) -> None:
    again = write_studies(tmp_path, count=5, size=96, seed=3, workers=2)
    assert contents(again) == contents(small_set)


def test_a_set_is_the_same_to_the_byte_with_any_number_of_threads(
    small_set: StudySet, tmp_path: Path
) -> None:
    with threadpool_limits(4, user_api="blas"):
        again = write_studies(tmp_path, count=5, size=96, seed=3, workers=1)
    assert contents(again) == contents(small_set)


def test_another_seed_draws_another_set(small_set: StudySet, tmp_path: Path) -> None:
    other = write_studies(tmp_path, count=1, size=96, seed=4, workers=1)
    name = "phantom_00000.dcm"
    assert contents(other)[name] != contents(small_set)[name]


def test_a_smaller_set_is_the_beginning_of_a_larger_one(
    small_set: StudySet, tmp_path: Path
) -> None:
    fewer = write_studies(tmp_path, count=2, size=96, seed=3, workers=1)
    whole = contents(small_set)
    images = {name: data for name, data in contents(fewer).items() if name.endswith(".dcm")}
    assert len(images) == 2
    assert all(whole[name] == data for name, data in images.items())


def test_the_labels_table_has_one_row_a_study_and_grades_or_nothing(small_set: StudySet) -> None:
    text = small_set.labels_csv.read_text(encoding="utf-8")
    assert text.splitlines()[0] == HEADER
    rows = list(csv.DictReader(text.splitlines(), delimiter=";"))
    assert [row["FileID"] for row in rows] == sorted(
        path.stem for path in small_set.images_dir.iterdir()
    )
    assert {row[zone] for row in rows for zone in HEADER.split(";")[2:]} <= set("0123") | {""}
    for row in rows:
        dataset = pydicom.dcmread(small_set.images_dir / f"{row['FileID']}.dcm")
        assert row["PatientID"] == dataset.PatientID


def test_ungradable_zones_are_empty_cells() -> None:
    cases = plan_cases(count=60, seed=1, ungradable_fraction=0.2, grade_overlap=1.0)
    hindered = next(case for case in cases if case.hindrance is not None)
    row = labels_table([hindered]).splitlines()[1].split(";")[2:]
    assert [cell == "" for cell in row] == [grade is None for grade in hindered.grades]


def test_a_complete_set_is_reused_untouched(small_set: StudySet) -> None:
    before = {path: path.stat().st_mtime_ns for path in small_set.images_dir.iterdir()}
    write_studies(small_set.images_dir.parent, count=5, size=96, seed=3, workers=1)
    assert {path: path.stat().st_mtime_ns for path in small_set.images_dir.iterdir()} == before


def test_an_interrupted_set_is_finished_and_whole_files_are_kept(
    small_set: StudySet, tmp_path: Path
) -> None:
    studies = write_studies(tmp_path, count=3, size=96, seed=3, workers=1)
    lost, kept = (studies.images_dir / f"phantom_0000{index}.dcm" for index in (1, 2))
    expected, kept_time_ns = lost.read_bytes(), kept.stat().st_mtime_ns
    lost.unlink()
    (tmp_path / "phantom.json").unlink()
    lost.with_name(f".{lost.name}.1.tmp").write_bytes(expected[:1000])
    write_studies(tmp_path, count=3, size=96, seed=3, workers=1)
    assert lost.read_bytes() == expected
    assert kept.stat().st_mtime_ns == kept_time_ns
    assert sorted(path.name for path in studies.images_dir.iterdir()) == [
        f"phantom_0000{index}.dcm" for index in range(3)
    ]


def test_other_parameters_replace_the_set_that_is_there(tmp_path: Path) -> None:
    write_studies(tmp_path, count=2, size=64, seed=3, workers=1)
    studies = write_studies(tmp_path, count=1, size=96, seed=3, workers=1)
    assert [path.name for path in studies.images_dir.iterdir()] == ["phantom_00000.dcm"]
    assert pydicom.dcmread(studies.images_dir / "phantom_00000.dcm").Rows == 96
    assert json.loads((tmp_path / "phantom.json").read_text())["count"] == 1


def test_a_spoilt_record_is_no_record(tmp_path: Path) -> None:
    write_studies(tmp_path, count=1, size=64, seed=3, workers=1)
    (tmp_path / "phantom.json").write_text("{")
    write_studies(tmp_path, count=1, size=64, seed=3, workers=1)
    assert json.loads((tmp_path / "phantom.json").read_text())["seed"] == 3


def test_the_studies_of_one_patient_show_one_body_on_two_days() -> None:
    cases = plan_cases(count=40, seed=3, ungradable_fraction=0.04, grade_overlap=1.0)
    second = next(case for case in cases if case.study_number == 1)
    assert second.habitus.seed == cases[second.index - 1].habitus.seed
    recipe = Recipe(
        count=40,
        size=64,
        seed=3,
        noise=1.0,
        rotation_deg=3.0,
        ungradable_fraction=0.04,
        grade_overlap=1.0,
    )
    first = radiograph_facts(cases[second.index - 1], recipe)
    later = radiograph_facts(second, recipe)
    assert first.patient_id == later.patient_id
    assert first.sex == later.sex
    assert first.study_instance_uid != later.study_instance_uid
    assert first.study_date < later.study_date


def test_every_file_has_its_own_uids(small_set: StudySet) -> None:
    datasets = [pydicom.dcmread(path) for path in small_set.images_dir.iterdir()]
    for keyword in ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID"):
        assert len(np.unique([dataset[keyword].value for dataset in datasets])) == len(datasets)
