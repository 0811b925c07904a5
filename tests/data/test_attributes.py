import warnings
from pathlib import Path

import numpy as np
import pytest
from loguru import logger
from pydicom import dcmread

from csi_predictor.data.attributes import MOST_VALUES, read_attributes
from csi_predictor.data.manifest import Row
from csi_predictor.errors import ConfigError, LabelsError


def make_rows(*file_ids: str, paths=None, patients=None) -> list[Row]:
    return [
        Row(
            file_id,
            patients[index] if patients else f"p{index}",
            Path(f"{file_id}.png") if paths is None else paths[index],
            (0.0,) * 6,
        )
        for index, file_id in enumerate(file_ids)
    ]


@pytest.fixture
def table(tmp_path: Path):
    """`table(text)` -> the path of a labels table."""

    def write(text: str) -> Path:
        path = tmp_path / "labels.csv"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_a_column_is_read_by_id_whatever_its_case_and_order(table) -> None:
    path = table("fileid;Ward;x\nb;east;1\na; west ;1\nc;;1\n")
    found = read_attributes(make_rows("a", "b", "c", "d"), ["WARD"], table=path)
    assert found == {"WARD": ("west", "east", None, None)}


@pytest.mark.parametrize("empty", ["", "NaN", "NA", "unknown", "n/a"])
def test_what_says_nothing_is_unknown_and_no_group(table, empty: str) -> None:
    path = table(f"FileID;sex\na;F\nb;{empty}\n")
    assert read_attributes(make_rows("a", "b"), ["sex"], table=path)["sex"] == ("F", None)


def test_spellings_that_differ_in_case_are_one_group(table) -> None:
    path = table("FileID;maker\na;SIEMENS\nb;Siemens\nc;Siemens\nd;Philips\n")
    found = read_attributes(make_rows("a", "b", "c", "d"), ["maker"], table=path)
    assert found["maker"] == ("Siemens", "Siemens", "Siemens", "Philips")


def test_numbers_that_are_equal_are_one_group(table) -> None:
    path = table("FileID;room\na;1\nb;1.0\nc;02\n")
    found = read_attributes(make_rows("a", "b", "c"), ["room"], table=path)
    assert found["room"] == ("1", "1", "2")


def test_ids_of_published_tables_have_an_extension(table) -> None:
    path = table("Image Index,Patient Gender\n0001_000.png,M\nct_1.nii.gz,F\n")
    rows = make_rows("0001_000", "ct_1")
    found = read_attributes(rows, ["Patient Gender"], table=path, id_column="Image Index")
    assert found["Patient Gender"] == ("M", "F")


AGES = ("39", "40", "59", "060Y", "79.5", "80", "101", "018M", "006W", "999")
BANDS = ("<40", "40-59", "40-59", "60-79", "60-79", "80+", "80+", "<40", "<40", None)


@pytest.mark.parametrize("name", ["age", "Patient Age"])
def test_ages_become_bands_of_completed_years(table, name: str) -> None:
    path = table(f"FileID;{name}\n" + "".join(f"i{i};{age}\n" for i, age in enumerate(AGES)))
    rows = make_rows(*(f"i{i}" for i in range(len(AGES))))
    assert read_attributes(rows, [name], table=path)[name] == BANDS


def test_bands_are_named_as_they_are_cut(table) -> None:
    path = table("FileID;age\na;7\nb;30\nc;66\n")
    rows = make_rows("a", "b", "c")
    assert read_attributes(rows, ["age"], table=path, age_bands=(18,))["age"] == (
        "<18",
        "18+",
        "18+",
    )
    halves = read_attributes(rows, ["age"], table=path, age_bands=(5.5, 30, 60.5))["age"]
    assert halves == ("5.5 to <30", "30 to <60.5", "60.5+")


def test_bands_that_somebody_made_stay(table) -> None:
    path = table("FileID;age\na;young\nb;old\n")
    assert read_attributes(make_rows("a", "b"), ["age"], table=path)["age"] == ("young", "old")


@pytest.mark.parametrize("bands", [(), (60, 40), (0, 40), (40, 40)])
def test_bands_that_dont_rise_are_refused(bands) -> None:
    with pytest.raises(ConfigError, match=r"AGE_BANDS = .*: expected rising years above 0"):
        read_attributes(make_rows("a"), ["age"], age_bands=bands)


def test_a_column_of_many_numbers_is_refused_by_name(table) -> None:
    path = table("FileID;bmi\n" + "".join(f"i{i};{20 + i / 2}\n" for i in range(13)))
    rows = make_rows(*(f"i{i}" for i in range(13)))
    with pytest.raises(LabelsError, match="= bmi: 13 different numbers: expected at most 12; cut"):
        read_attributes(rows, ["bmi"], table=path)
    assert len(set(read_attributes(rows[:12], ["bmi"], table=path)["bmi"])) == 12


def test_a_column_of_too_many_values_is_refused(table) -> None:
    count = MOST_VALUES + 1
    path = table("FileID;note\n" + "".join(f"i{i};text {i}\n" for i in range(count)))
    rows = make_rows(*(f"i{i}" for i in range(count)))
    with pytest.raises(LabelsError, match="note: 41 different values: expected at most 40 groups"):
        read_attributes(rows, ["note"], table=path)


@pytest.mark.parametrize("name", ["FileID", "PatientID", "who"])
def test_what_names_images_or_patients_makes_no_groups(table, name: str) -> None:
    path = table("FileID;PatientID;who\na;p0;p0\nb;p1;p1\n")
    with pytest.raises(LabelsError, match=f"SUBGROUPS = {name}: it names images or patients"):
        read_attributes(make_rows("a", "b"), [name], table=path)


def test_a_cell_that_is_no_age_is_counted_and_not_quoted(table) -> None:
    path = table("FileID;age\na;44\nb;forty\n")
    with pytest.raises(LabelsError, match="age: 1 values are no age: expected years") as caught:
        read_attributes(make_rows("a", "b"), ["age"], table=path)
    assert "forty" not in str(caught.value)


def test_an_unknown_name_is_an_error_that_lists_what_is_known(table) -> None:
    path = table("FileID;Ward\na;east\n")
    expected = "= wardd: neither a column nor a DICOM tag: expected one of FileID, Ward, sex, age"
    with pytest.raises(LabelsError, match=f"{expected}.*did you mean Ward"):
        read_attributes(make_rows("a"), ["wardd"], table=path)
    with pytest.raises(LabelsError, match=r"there is no labels table.*expected one of sex, age"):
        read_attributes(make_rows("a"), ["ward"])


def test_all_wrong_names_are_told_at_once(table) -> None:
    path = table("FileID;Ward\na;\n")
    with pytest.raises(LabelsError) as caught:
        read_attributes(make_rows("a"), ["Ward", "other", "sex"], table=path)
    assert len(caught.value.problems) == 3
    assert "its column says nothing of any of the 1 images" in str(caught.value)
    assert "DICOM's PatientSex says nothing of any of the 1 images" in str(caught.value)


def test_rows_of_another_length_are_refused(table) -> None:
    path = table("FileID;Ward\na;east;x\nb;west\n")
    with pytest.raises(LabelsError, match="row 2: 3 cells: expected 2"):
        read_attributes(make_rows("a"), ["Ward"], table=path)


def test_dicom_tags_are_read_where_no_column_has_the_name(table, write_dicom, chest) -> None:
    paths = [
        write_dicom(
            chest,
            name=f"{sex}.dcm",
            PatientSex=sex,
            PatientAge="061Y",
            ViewPosition="PA",
            ManufacturerModelName="Model 3",
            InstitutionName="North",
        )
        for sex in "MFOX"
    ]
    rows = make_rows("a", "b", "c", "d", "e", paths=[*paths, Path("e.png")])
    names = ["sex", "Age", "view", "manufacturer", "model", "site"]
    path = table("FileID;Site\na;east\nb;west\nc;\nd;\ne;west\n")
    found = read_attributes(rows, names, table=path)
    assert found["sex"] == ("male", "female", "other", "X", None)
    assert found["Age"] == ("60-79",) * 4 + (None,)
    assert found["view"] == ("PA",) * 4 + (None,)
    assert found["manufacturer"] == ("Maker",) * 4 + (None,)
    assert found["model"] == ("Model 3",) * 4 + (None,)
    assert found["site"] == ("east", "west", None, None, "west")
    assert list(found) == names


@pytest.mark.parametrize(
    ("born", "seen", "age", "expected"),
    [
        ("19840301", "20240229", None, "<40"),  # 40 on the next day
        ("19840229", "20240229", None, "40-59"),
        ("1984.02.28", "20240229", None, "40-59"),
        ("20250101", "20240229", None, None),
        ("19000101", "20240229", None, None),  # 124 years: a date that was removed
        (None, "20240229", None, None),
        ("19840301", "20240229", "085Y", "80+"),
        ("19840301", "20240229", "old", "<40"),
    ],
)
def test_an_absent_age_follows_from_birth_and_study(
    write_dicom, chest, born, seen, age, expected
) -> None:
    settings = {"PatientBirthDate": born, "StudyDate": seen, "PatientAge": age}
    given = {name: value for name, value in settings.items() if value is not None}
    first = write_dicom(chest, name="a.dcm", PatientAge="085Y")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the writer, about values that are wrong on purpose
        second = write_dicom(chest, name="b.dcm", **given)
    found = read_attributes(make_rows("a", "b", paths=[first, second]), ["age"])
    assert found["age"] == ("80+", expected)


def test_of_a_folder_of_slices_the_first_file_is_read(write_dicom, chest, tmp_path) -> None:
    (tmp_path / "scan").mkdir()
    for number, sex in enumerate("FM"):
        write_dicom(chest, name=f"scan/{number}.dcm", PatientSex=sex)
    (tmp_path / "scan" / "0.txt").write_text("notes")
    (tmp_path / "empty").mkdir()
    rows = make_rows("a", "b", paths=[tmp_path / "scan", tmp_path / "empty"])
    assert read_attributes(rows, ["sex"])["sex"] == ("female", None)


def test_tags_behind_a_long_element_are_found(write_dicom, chest) -> None:
    path = write_dicom(chest, PatientSex="F")
    dataset = dcmread(path)
    dataset.add_new(0x00090010, "LO", "PRIVATE")
    dataset.add_new(0x00091001, "OB", b"\0" * 100_000)
    dataset.save_as(path)
    assert read_attributes(make_rows("a", paths=[path]), ["sex"])["sex"] == ("female",)


def test_no_value_of_a_patient_is_logged_or_warned_of(write_dicom, chest, recwarn) -> None:
    lines: list[str] = []
    sink = logger.add(lines.append, level="TRACE")
    path = write_dicom(chest, InstitutionName="CANARY-HOSPITAL", PatientSex="F")
    content = path.read_bytes().replace(b"CS\x02\x00F ", b"CS\x02\x00\xff\xff")
    path.write_bytes(content)
    recwarn.clear()
    with pytest.raises(LabelsError) as caught:
        read_attributes(make_rows("CANARY-ID", paths=[path]), ["site", "nonsense"])
    logger.remove(sink)
    told = "".join([*lines, str(caught.value), *(str(each.message) for each in recwarn)])
    assert "CANARY" not in told


def test_no_more_of_a_large_file_is_read_than_its_beginning(write_dicom, chest) -> None:
    path = write_dicom(np.tile(chest, (40, 40)), PatientSex="M")
    with path.open("r+b") as file:
        file.truncate(100_000)  # of 9 MB: the pixels are cut, which nobody sees
    assert read_attributes(make_rows("a", paths=[path]), ["sex"])["sex"] == ("male",)
