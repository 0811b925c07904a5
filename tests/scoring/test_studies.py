import pytest

from csi_predictor.scoring.rules import ScoreRules
from csi_predictor.scoring.studies import StudyRecord, summarize_studies

NONE_GRADABLE = {"grades": (None,) * 6, "csi": None, "csi_expected": None, "risk": ""}


def graded(make_score, path: str, csi: int, time: str, /, **changes):
    values = {"grades": (csi,) * 6, "csi": float(csi), "csi_expected": csi + 0.25}
    return make_score(path=path, sop_instance_uid=path, acquired_at=time, **{**values, **changes})


def one_study(images, study_rule) -> StudyRecord:
    (study,) = summarize_studies(images, study_rule=study_rule, rules=ScoreRules())
    return study


def test_latest_is_by_time_and_then_by_path(make_score) -> None:
    images = [
        graded(make_score, "a.dcm", 3, "20260102090000"),
        graded(make_score, "b.dcm", 1, "20260102110000"),
        graded(make_score, "c.dcm", 2, "20260102110000"),
        graded(make_score, "d.dcm", 0, "20260102100000.5"),
    ]
    study = one_study(images, "latest")
    assert (study.path, study.csi, study.risk) == ("c.dcm", 2.0, "medium")
    assert (study.num_images, study.num_graded) == (4, 4)


def test_without_an_acquisition_time_the_study_date_counts(make_score) -> None:
    images = [
        graded(make_score, "b.dcm", 1, "", study_date="20250101"),
        graded(make_score, "a.dcm", 2, "", study_date="20260101"),
    ]
    assert one_study(images, "latest").path == "a.dcm"


def test_worst_is_the_highest_csi(make_score) -> None:
    images = [
        graded(make_score, "a.dcm", 3, "20260102090000"),
        graded(make_score, "b.dcm", 1, "20260102110000"),
    ]
    study = one_study(images, "worst")
    assert (study.path, study.csi, study.risk) == ("a.dcm", 3.0, "high")


def test_mean_speaks_for_all_images_of_the_study(make_score) -> None:
    images = [
        graded(make_score, "a.dcm", 3, "20260102090000", quality="AP view"),
        graded(make_score, "b.dcm", 0, "20260102110000", grades=(0, None, 0, 0, 0, 0)),
    ]
    study = one_study(images, "mean")
    assert (study.path, study.csi, study.csi_expected, study.risk) == ("", 1.5, 1.75, "medium")
    assert study.grades == (1.5, 3.0, 1.5, 1.5, 1.5, 1.5)
    assert study.quality == "AP view"


@pytest.mark.parametrize("study_rule", ["latest", "worst", "mean"])
def test_an_image_without_a_csi_does_not_speak_beside_one_that_has_it(
    make_score, study_rule
) -> None:
    images = [
        graded(make_score, "a.dcm", 2, "20260102090000"),
        graded(make_score, "b.dcm", 0, "20260102110000", **NONE_GRADABLE),
    ]
    study = one_study(images, study_rule)
    assert (study.path, study.csi, study.num_images, study.num_graded) == ("a.dcm", 2.0, 2, 1)


@pytest.mark.parametrize("study_rule", ["latest", "worst", "mean"])
def test_a_study_with_nothing_gradable_has_no_csi_and_no_risk__weakness_7(
    make_score, study_rule
) -> None:
    images = [graded(make_score, "a.dcm", 0, "20260102090000", **NONE_GRADABLE)]
    study = one_study(images, study_rule)
    assert (study.csi, study.risk, study.grades) == (None, "", (None,) * 6)


def test_studies_are_told_apart_and_an_image_without_one_is_its_own(make_score) -> None:
    images = [
        graded(make_score, "a.dcm", 1, "1", study_instance_uid="9"),
        graded(make_score, "b.png", 1, "", study_instance_uid=""),
        graded(make_score, "c.dcm", 1, "2", study_instance_uid="9"),
        graded(make_score, "d.png", 1, "", study_instance_uid=""),
    ]
    studies = summarize_studies(images, study_rule="latest", rules=ScoreRules())
    assert [study.path for study in studies] == ["c.dcm", "b.png", "d.png"]
