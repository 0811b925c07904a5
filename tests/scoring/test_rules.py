from pathlib import Path

import pytest

from csi_predictor.data.prepare import prepare
from csi_predictor.scoring.rules import (
    ScoreRules,
    mean_of_gradable,
    note_quality,
    refuse,
    risk_of,
)
from csi_predictor.specs import InputSpec

ALL = (0, 1, 2, 3, 1, 2)


@pytest.mark.parametrize("view", ["LL", "RL", "LATERAL", "lat", "L LAT", "LEFT LATERAL"])
def test_a_lateral_view_is_refused(make_facts, view: str) -> None:
    refusal = refuse(make_facts(view_position=view))
    assert refusal is not None
    assert refusal.reason == "LATERAL"
    assert refusal.detail == f"(0018,5101) View Position = {view}: expected a frontal view"


@pytest.mark.parametrize("view", ["PA", "AP", "", "LLD", "AP LATERAL DECUBITUS", "PA ERECT"])
def test_a_frontal_or_unknown_view_is_scored(make_facts, view: str) -> None:
    assert refuse(make_facts(view_position=view)) is None


def test_rows_that_run_front_to_back_are_lateral_when_no_view_is_given(make_facts) -> None:
    facts = make_facts(view_position="", patient_orientation=("A", "F"))
    refusal = refuse(facts)
    assert refusal is not None
    assert (refusal.reason, refusal.detail) == (
        "LATERAL",
        "(0020,0020) Patient Orientation = A along a row: expected L or R, a frontal view",
    )
    assert refuse(make_facts(view_position="", patient_orientation=("L", "F"))) is None


@pytest.mark.parametrize("part", ["SKULL", "HAND", "THORACIC SPINE", "TSPINE", "ABDOMEN"])
def test_another_body_part_is_refused(make_facts, part: str) -> None:
    refusal = refuse(make_facts(body_part_examined=part))
    assert refusal is not None
    assert refusal.reason == "NOT_CHEST"
    assert refusal.detail == f"(0018,0015) Body Part Examined = {part}: expected CHEST"


@pytest.mark.parametrize(
    "part", ["CHEST", "chest", "THORAX", "LUNG", "CHEST_ABDOMEN", "PORT CHEST", ""]
)
def test_a_chest_by_its_usual_names_or_without_one_is_scored(make_facts, part: str) -> None:
    assert refuse(make_facts(body_part_examined=part)) is None


@pytest.mark.parametrize(
    ("changes", "quality"),
    [
        ({}, "ok"),
        ({"view_position": ""}, "view unknown"),
        ({"view_position": "AP"}, "AP view"),
        ({"view_position": "AP PORTABLE"}, "AP view; portable"),
        ({"view_position": "LLD"}, "lying on the side"),
        ({"view_position": "RAO"}, "unusual view"),
        ({"body_part_examined": ""}, "body part unknown"),
        ({"patient_orientation": ("P", "F")}, "view and patient orientation disagree"),
        ({"patient_orientation": ("L", "F")}, "ok"),
        ({"patient_orientation": ("", "")}, "ok"),
        ({"patient_orientation": ("R", "F")}, "mirrored by Patient Orientation"),
        ({"patient_orientation": ("rf", "fl")}, "mirrored by Patient Orientation"),
        ({"patient_orientation": ("L", "H")}, "upside down by Patient Orientation"),
        (
            {"patient_orientation": ("R", "H")},
            "mirrored by Patient Orientation; upside down by Patient Orientation",
        ),
        ({"patient_orientation": ("H", "L")}, "turned by Patient Orientation"),
        ({"patient_orientation": ("F", "R")}, "turned by Patient Orientation"),
        ({"notes": ("voi: window",)}, "ok"),
        ({"notes": ("polarity: a contradiction", "voi: window")}, "polarity: a contradiction"),
        (
            {"format": "nifti", "notes": ("turned by its affine", "voi: full range")},
            "no DICOM header: view and body part unknown; turned by its affine",
        ),
        (
            {"format": "png", "view_position": "", "body_part_examined": ""},
            "no DICOM header: view and body part unknown",
        ),
    ],
)
def test_quality_says_what_the_header_leaves_open(make_facts, changes, quality: str) -> None:
    assert note_quality(make_facts(**changes), ALL, min_gradable_zones=3) == quality


@pytest.mark.parametrize(
    ("photometric_interpretation", "presentation_lut_shape"),
    [("MONOCHROME2", "INVERSE"), ("MONOCHROME1", "IDENTITY")],
)
def test_a_header_that_contradicts_itself_on_polarity_is_not_ok(
    write_dicom, tmp_path: Path, photometric_interpretation: str, presentation_lut_shape: str
) -> None:
    path = write_dicom(
        tmp_path / "a.dcm",
        PhotometricInterpretation=photometric_interpretation,
        PresentationLUTShape=presentation_lut_shape,
    )
    facts = prepare(path, InputSpec(size=(16, 16))).facts
    assert note_quality(facts, ALL, min_gradable_zones=3) == (
        "polarity: Photometric Interpretation and Presentation LUT Shape contradict"
    )


def test_an_unremarkable_file_is_ok(write_dicom, tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "a.dcm", PatientOrientation=["L", "F"])
    facts = prepare(path, InputSpec(size=(16, 16))).facts
    assert note_quality(facts, ALL, min_gradable_zones=3) == "ok"


def test_quality_counts_the_gradable_zones_and_says_when_they_are_too_few(make_facts) -> None:
    three, two = (1, 2, 3, None, None, None), (1, 2, None, None, None, None)
    assert note_quality(make_facts(), three, min_gradable_zones=3) == "3 of 6 zones gradable"
    quality = note_quality(make_facts(), two, min_gradable_zones=3)
    assert quality == "2 of 6 zones gradable: no csi"


def test_the_mean_is_over_gradable_zones_only() -> None:
    # by hand: (0 + 1 + 2 + 3) / 4
    assert mean_of_gradable((0, 1, 2, 3, None, None), min_gradable_zones=3) == 1.5
    assert mean_of_gradable((1, 1, None, None, None, None), min_gradable_zones=3) is None
    assert mean_of_gradable((0, 0, 0), min_gradable_zones=3) == 0


def test_risk_borders_belong_to_the_lower_class() -> None:
    rules = ScoreRules()
    assert [risk_of(csi, rules) for csi in (0.0, 1.3, 1.31, 2.2, 2.21, 3.0)] == [
        "low",
        "low",
        "medium",
        "medium",
        "high",
        "high",
    ]


def test_nothing_gradable_gives_no_csi_and_no_risk__weakness_7() -> None:
    csi = mean_of_gradable((None,) * 6, min_gradable_zones=1)
    assert csi is None
    assert risk_of(csi, ScoreRules()) == ""
