"""Pooled folds are described in one line and judged each by its own trust."""

from csi_predictor.evaluation.trust import _describe, _note_of_folds, _of_all_folds
from csi_predictor.uncertainty.calibrators import Calibrator
from csi_predictor.uncertainty.triage import Policy


def calibrator(temperature: float) -> Calibrator:
    return Calibrator(
        method="temperature",
        names=("zone",),
        answers=("0", "1"),
        parameters=(((temperature,),),),
        num_fitted=40,
    )


def test_folds_temperatures_are_told_as_a_range() -> None:
    told = _describe([calibrator(t) for t in (0.88, 0.79, 0.8)])
    assert told == "temperature 0.79 to 0.88, one for each of 3 folds"
    assert _describe([calibrator(1.42)]).startswith("temperature 1.42")


def test_folds_of_which_one_has_no_calibration_are_told_as_they_are() -> None:
    none = Calibrator.identity(reason="temperature asks for 30 known answers, found 3")
    told = _describe([calibrator(2), none])
    assert "temperature 2" in told
    assert "found 3" in told
    assert told.endswith("each of 2 folds has its own")


def test_a_common_threshold_is_told_and_different_ones_are_not() -> None:
    same = [Policy(name="budget", threshold=0.4, chosen={"deferral_rate": r}) for r in (0.1, 0.3)]
    pooled = _of_all_folds(same)
    assert pooled.threshold == 0.4
    assert pooled.chosen["deferral_rate"] == 0.2
    other = [*same, Policy(name="budget", threshold=-float("inf"), chosen={"deferral_rate": None})]
    assert _of_all_folds(other).threshold != _of_all_folds(other).threshold  # NaN
    assert _note_of_folds(other) == " In 1 of 3 folds it gives every image to the reader."
    assert _note_of_folds(same) == ""


def test_a_policy_that_one_fold_could_not_choose_is_skipped() -> None:
    skipped = Policy(name="class_critical", skipped="no critical answer is named")
    assert _of_all_folds([Policy(name="class_critical"), skipped]).skipped == skipped.skipped
