import pytest

from csi_predictor.scoring.rules import (
    ScoreRules,
    mean_of_gradable,
    note_quality,
    refuse,
    risk_of,
)

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
        (
            {"format": "png", "view_position": "", "body_part_examined": ""},
            "no DICOM header: view and body part unknown",
        ),
    ],
)
def test_quality_says_what_the_header_leaves_open(make_facts, changes, quality: str) -> None:
    assert note_quality(make_facts(**changes), ALL, min_gradable_zones=3) == quality


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
