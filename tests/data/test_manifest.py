import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from loguru import logger

from csi_predictor.data.manifest import Manifest, Row, add_second_reader, read_manifest
from csi_predictor.errors import ImageError, LabelsError
from csi_predictor.specs import NOT_READ

HEADER = "FileID;right_sup;left_sup;right_mid;left_mid;right_inf;left_inf"


@pytest.fixture
def log() -> Iterator[list[str]]:
    lines: list[str] = []
    sink = logger.add(lines.append, level="INFO", format="{message}")
    yield lines
    logger.remove(sink)


def no_patient(path: Path) -> None:
    return None


def build(folder: Path, table: str, *images: str, **options: object) -> Manifest:
    (folder / "labels.csv").write_text(table, encoding="utf-8")
    for image in images:
        (folder / "images" / image).parent.mkdir(parents=True, exist_ok=True)
        (folder / "images" / image).touch()
    options = {"image_dir": folder / "images", "patient_id_of": no_patient, **options}
    return read_manifest(folder / "labels.csv", **options)  # type: ignore[arg-type]


def problems(folder: Path, table: str, *images: str, **options: object) -> tuple[str, ...]:
    with pytest.raises(LabelsError) as caught:
        build(folder, table, *images, **options)
    return caught.value.problems


def test_ids_meet_files_as_text__weakness_5(tmp_path: Path) -> None:
    manifest = build(tmp_path, f"{HEADER}\n007;0;1;2;3;0;1\n", "sub/007.png", "7.png")
    (row,) = manifest.rows
    assert (row.file_id, row.path) == ("007", tmp_path / "images/sub/007.png")
    assert row.targets == (0, 1, 2, 3, 0, 1)


def test_absent_and_ambiguous_images_are_reported_with_their_rows(tmp_path: Path) -> None:
    table = f"{HEADER}\na;0;0;0;0;0;0\nb;0;0;0;0;0;0\nc;0;0;0;0;0;9\n"
    found = problems(tmp_path, table, "b.png", "sub/b.dcm", "c.png")
    assert found[0].startswith("labels.csv row 4, column left_inf = 9: expected 0 to 3")
    assert found[1] == (
        f"labels.csv row 2, column FileID = a: no such image below {tmp_path / 'images'}: add it, "
        "or name it in EXCLUDED_FILE_IDS"
    )
    assert found[2] == (
        "labels.csv row 3, column FileID = b: 2 images (b.png, sub/b.dcm): expected one: remove "
        "the others, or set IMAGE_EXTENSION"
    )
    assert len(found) == 3


def test_image_extension_chooses_between_two_formats(tmp_path: Path) -> None:
    table = f"{HEADER}\nb;0;0;0;0;0;0\n"
    manifest = build(tmp_path, table, "b.png", "b.dcm", image_extension=".dcm")
    assert manifest.rows[0].path.name == "b.dcm"


def test_wrong_folder_is_told_first(tmp_path: Path) -> None:
    found = problems(tmp_path, f"{HEADER}\na.png;0;0;0;0;0;0\n", "a.png", "z.png")
    assert found[0] == (
        f"none of the 1 ids has an image below {tmp_path / 'images'} (2 images, the first with id "
        "a): check DATA_DIR, ID_COLUMN and IMAGE_EXTENSION = auto; an id has no extension"
    )
    with pytest.raises(LabelsError, match=r"no such folder: set \[DATA\] DATA_DIR"):
        build(tmp_path, f"{HEADER}\na;0;0;0;0;0;0\n", image_dir=tmp_path / "absent")


def test_excluded_ids_need_no_image(tmp_path: Path) -> None:
    table = f"{HEADER}\na;0;0;0;0;0;0\nb;0;0;0;0;0;0\n"
    manifest = build(tmp_path, table, "b.png", excluded_file_ids=("a",))
    assert [row.file_id for row in manifest.rows] == ["b"]


def test_files_without_a_row_are_counted_in_the_log(tmp_path: Path, log: list[str]) -> None:
    build(tmp_path, f"{HEADER}\nb;0;0;0;0;0;0\n", "b.png", "c.png", "d.dcm", "labels.csv")
    assert "labels.csv: 1 images; 2 files below DATA_DIR have no row\n" in log


def test_patient_column_comes_first(tmp_path: Path) -> None:
    table = f"{HEADER};Subject\na;0;0;0;0;0;0;P1\nb;0;0;0;0;0;0;P1\n"
    manifest = build(
        tmp_path, table, "a.png", "b.png", patient_column="Subject", patient_id_of=lambda _: "X"
    )
    assert [row.patient_id for row in manifest.rows] == ["P1", "P1"]
    assert manifest.num_patients == 1


def test_dicom_patient_then_the_file_itself_and_the_log_says_so(
    tmp_path: Path, log: list[str]
) -> None:
    names = {"a": " P1 ", "b": "P1", "c": "", "d": None, "e": "c"}
    table = HEADER + "".join(f"\n{name};0;0;0;0;0;0" for name in names)
    manifest = build(
        tmp_path,
        table,
        *(f"{name}.dcm" for name in names),
        patient_id_of=lambda path: names[path.stem],
    )
    assert [row.patient_id for row in manifest.rows] == ["P1", "P1", "file:c", "file:d", "c"]
    assert any(
        "DICOM's Patient ID names the patient of 3 images; each of the other 2 counts" in line
        for line in log
    )
    assert not any("P1" in line for line in log)  # a log never names the patient


def test_unreadable_header_is_reported_with_its_row(tmp_path: Path) -> None:
    def refuse(path: Path) -> str:
        raise ImageError(path, "BAD_HEADER", "no such tag")

    (found,) = problems(tmp_path, f"{HEADER}\na;0;0;0;0;0;0\n", "a.dcm", patient_id_of=refuse)
    assert found.startswith("labels.csv row 2: ")
    assert found.endswith("no such tag [BAD_HEADER]: repair it, or name it in EXCLUDED_FILE_IDS")


def test_selected_rows_come_in_the_order_asked_for(tmp_path: Path) -> None:
    manifest = build(tmp_path, f"{HEADER}\na;0;0;0;0;0;0\nb;1;0;0;0;0;0\n", "a.png", "b.png")
    assert [row.file_id for row in manifest.select(("b", "a"))] == ["b", "a"]


def test_manifest_and_split_are_read_without_torch() -> None:
    code = (
        "import sys, csi_predictor.data.manifest, csi_predictor.data.split_file; "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_shared_six_zone_table_is_read_whole(shared_data: Path) -> None:
    folder = shared_data / "six_zone"
    manifest = read_manifest(folder / "labels.csv", image_dir=folder / "images")
    with (folder / "labels.csv").open() as file:
        assert len(manifest) == sum(1 for line in file if line.strip()) - 1


def test_an_image_that_the_second_reader_has_not_read_says_so() -> None:
    rows = tuple(Row(name, name, Path(name), (1.0,) * 6) for name in ("a", "b"))
    both = add_second_reader(Manifest(rows), {"b": (0.0,) * 6, "other": (3.0,) * 6})
    assert [row.second_targets for row in both.rows] == [(NOT_READ,) * 6, (0.0,) * 6]
    assert [row.targets for row in both.rows] == [row.targets for row in rows]
