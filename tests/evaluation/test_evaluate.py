import json
from time import perf_counter

import numpy as np
import pytest
from scipy.stats import pearsonr
from sklearn.metrics import accuracy_score, cohen_kappa_score, confusion_matrix, f1_score

from csi_predictor.errors import LabelsError
from csi_predictor.evaluation.evaluate import evaluate
from csi_predictor.inference.predictions import given_grade
from csi_predictor.metrics.agreement import icc_2_1
from csi_predictor.specs import ZONES

MAIN = (
    *("zone_mae", "zone_qwk", "zone_accuracy", "zone_within_one", "zone_f1_macro"),
    *("global_mae", "global_pearson", "icc", "csi_mae", "ece"),
)
NOTHING = [np.nan] * 6


@pytest.fixture
def random_predictions(make_predictions):
    rng = np.random.default_rng(0)
    targets = rng.integers(0, 4, (60, 6)).astype(float)
    targets[rng.random((60, 6)) < 0.05] = np.nan
    grades = np.clip(np.nan_to_num(targets) + rng.integers(-1, 2, (60, 6)), 0, 3)
    return make_predictions(targets, grades, p_ungradable=rng.random((60, 6)) * 0.7)


def test_two_real_readers_give_scikit_learns_figures(make_predictions, readers) -> None:
    senior, junior = readers
    metrics = evaluate(make_predictions(senior, junior), rounds=50).metrics
    known = np.isfinite(senior) & np.isfinite(junior)
    truth, given = senior[known].astype(int), junior[known].astype(int)
    kappa = cohen_kappa_score(truth, given, weights="quadratic")
    assert metrics["zone_mae"] == pytest.approx(np.abs(truth - given).mean())
    assert metrics["zone_qwk"] == pytest.approx(kappa)
    assert metrics["zone_accuracy"] == pytest.approx(accuracy_score(truth, given))
    assert metrics["zone_f1_macro"] == pytest.approx(f1_score(truth, given, average="macro"))
    assert metrics["zone_f1_weighted"] == pytest.approx(f1_score(truth, given, average="weighted"))
    assert metrics["icc"] == pytest.approx(icc_2_1(np.stack([truth, given], axis=1)))
    assert metrics["confusion"] == confusion_matrix(truth, given).tolist()


def test_two_real_readers_by_zone_and_image(make_predictions, readers) -> None:
    senior, junior = readers
    evaluation = evaluate(make_predictions(senior, junior), rounds=50)
    for index, zone in enumerate(ZONES):
        block = evaluation.metrics["zones"][zone]
        columns = senior[:, index], junior[:, index]
        assert block["qwk"] == pytest.approx(cohen_kappa_score(*columns, weights="quadratic"))
        np.testing.assert_array_equal(evaluation.confusion[index], confusion_matrix(*columns))
    sums = senior.sum(axis=1), junior.sum(axis=1)
    assert evaluation.metrics["global_mae"] == pytest.approx(np.abs(sums[0] - sums[1]).mean())
    assert evaluation.metrics["global_pearson"] == pytest.approx(pearsonr(*sums).statistic)
    assert evaluation.metrics["csi_mae"] == pytest.approx(np.abs(sums[0] - sums[1]).mean() / 6)


def test_readers_as_model_and_second_reader_have_equal_figures(make_predictions, readers) -> None:
    senior, junior = readers
    metrics = evaluate(make_predictions(senior, junior), rounds=30, second_reader=junior).metrics
    between = metrics["second_reader"]["reader_vs_reader"]
    assert between["zone_qwk"] == metrics["zone_qwk"]
    assert between["zone_mae_ci_low"] == metrics["zone_mae_ci_low"]
    assert metrics["second_reader"]["model_vs_second_reader"]["zone_mae"] == 0


def test_every_promised_figure_has_its_interval(random_predictions) -> None:
    metrics = evaluate(random_predictions, rounds=200).metrics
    for name in MAIN:
        assert metrics[f"{name}_ci_low"] <= metrics[name] <= metrics[f"{name}_ci_high"]
    for zone in ZONES:
        assert {"mae", "qwk", "accuracy", "n"} <= set(metrics["zones"][zone])
    assert metrics["n_images"] == 60


def test_metrics_are_json_without_nan(random_predictions, make_predictions) -> None:
    one = make_predictions(np.array([[1, *NOTHING[1:]]]), np.ones((1, 6)))
    for predictions in (random_predictions, one):
        text = json.dumps(evaluate(predictions, rounds=20).metrics, allow_nan=False)
        assert json.loads(text)["n_images"] == len(predictions)


def test_undefined_figures_are_none_never_zero(make_predictions) -> None:
    metrics = evaluate(make_predictions(np.ones((3, 6)), np.ones((3, 6))), rounds=20).metrics
    assert metrics["zone_mae"] == 0
    for name in ("zone_qwk", "icc", "global_pearson", "global_icc"):
        assert metrics[name] is None
        assert metrics[f"{name}_ci_low"] is None
    assert metrics["ungradable"]["auroc"] is None
    assert metrics["ungradable"]["sensitivity"] is None


def test_given_grades_are_rounded_not_truncated__weakness_6() -> None:
    assert given_grade(np.array([[0.1, 0.3, 0.5, 0.1]])).tolist() == [2]  # mean 1.6


def test_nothing_gradable_has_no_index_and_no_risk__weakness_7(make_predictions) -> None:
    predictions = make_predictions(np.array([NOTHING, [1.0] * 6]), np.array([[0] * 6, [1] * 6]))
    evaluation = evaluate(predictions, rounds=0)
    assert evaluation.metrics["n_csi"] == 1
    assert evaluation.metrics["n_images_without_csi"] == 1
    assert evaluation.metrics["risk"]["confusion"] == [[1, 0, 0], [0, 0, 0], [0, 0, 0]]
    assert evaluation.worst == (1,)
    assert any("Images without any gradable zone: 1" in note for note in evaluation.notes)


def test_withheld_zones_are_counted_and_still_measured__weakness_8(make_predictions) -> None:
    p_ungradable = np.zeros((2, 6))
    p_ungradable[0] = 0.9
    targets, grades = np.full((2, 6), 2.0), np.array([[0] * 6, [2] * 6])
    evaluation = evaluate(make_predictions(targets, grades, p_ungradable=p_ungradable), rounds=0)
    metrics = evaluation.metrics
    assert metrics["zone_mae"] == 1.0  # six zones wrong by 2, six right: none dropped
    assert metrics["n_zones_withheld"] == 6
    assert metrics["ungradable"]["n_withheld_gradable"] == 6
    assert (metrics["n_csi"], metrics["n_images_csi_withheld"]) == (1, 1)
    assert any("whose CSI the model withholds: 1" in note for note in evaluation.notes)


def test_accuracy_and_weighted_f1_are_real_figures__weakness_9(random_predictions) -> None:
    metrics = evaluate(random_predictions, rounds=0).metrics
    known = np.isfinite(random_predictions.targets)
    truth, given = random_predictions.targets[known], random_predictions.grades[known]
    assert metrics["zone_accuracy"] == pytest.approx(accuracy_score(truth, given))
    assert metrics["zone_f1_weighted"] == pytest.approx(f1_score(truth, given, average="weighted"))
    assert metrics["zone_f1_weighted"] > 0


def test_each_set_has_its_own_risk_table__weakness_13(make_predictions) -> None:
    low, high = np.zeros((2, 6)), np.full((3, 6), 3.0)
    first = evaluate(make_predictions(low, low), rounds=0).metrics["risk"]["confusion"]
    second = evaluate(make_predictions(high, high), rounds=0).metrics["risk"]["confusion"]
    assert first == [[2, 0, 0], [0, 0, 0], [0, 0, 0]]
    assert second == [[0, 0, 0], [0, 0, 0], [0, 0, 3]]


def test_baseline_is_the_training_median_and_the_gain_is_paired(make_predictions) -> None:
    targets = np.tile([[0.0], [1], [2], [3]], (5, 6))
    metrics = evaluate(make_predictions(targets, targets), rounds=50, baseline_grades=[0.5] * 6)
    block = metrics.metrics["baseline"]
    assert block["grades"] == [1.0] * 6  # 0.5 rounds up to a grade
    assert block["zone_mae"] == metrics.metrics["baseline_zone_mae"] == 1.0
    assert block["source"] == "training rows"
    assert metrics.metrics["gain_over_baseline"]["zone_mae"] == 1.0
    assert metrics.metrics["gain_over_baseline"]["zone_mae_ci_low"] > 0


def test_a_baseline_from_the_evaluated_rows_is_called_optimistic(random_predictions) -> None:
    evaluation = evaluate(random_predictions, rounds=0)
    assert evaluation.metrics["baseline"]["source"] == "evaluated rows"
    assert any("favours the baseline" in note for note in evaluation.notes)


def test_few_patients_are_said(make_predictions) -> None:
    notes = evaluate(make_predictions(np.ones((3, 6)), np.ones((3, 6))), rounds=0).notes
    assert any("Only 3 patients" in note for note in notes)


def test_worst_cases_come_by_mean_zone_error(make_predictions) -> None:
    targets = np.zeros((4, 6))
    grades = np.zeros((4, 6))
    grades[1] = 1
    grades[2, 0] = 3
    targets[3], grades[3] = [0, *NOTHING[1:]], 3
    assert evaluate(make_predictions(targets, grades), rounds=0).worst == (3, 1, 2, 0)


def test_intervals_are_over_patients_not_images(make_predictions) -> None:
    rng = np.random.default_rng(1)
    one_each = rng.integers(0, 4, (20, 6)).astype(float)
    targets = np.repeat(one_each, 10, axis=0)
    grades = np.repeat(rng.integers(0, 4, (20, 6)), 10, axis=0)
    patients = tuple(f"p{index // 10}" for index in range(200))

    def width(patient_ids):
        predictions = make_predictions(targets, grades, patient_ids=patient_ids)
        metrics = evaluate(predictions, rounds=300).metrics
        return metrics["zone_mae_ci_high"] - metrics["zone_mae_ci_low"]

    # ten copies of an image are no news: theory says sqrt(10) = 3.2 times wider
    assert width(patients) == pytest.approx(np.sqrt(10) * width(None), rel=0.25)


def test_equal_input_gives_equal_metrics(random_predictions) -> None:
    first, second = (evaluate(random_predictions, rounds=50, seed=3) for _ in range(2))
    assert first.metrics == second.metrics


def test_a_thousand_rounds_of_400_images_take_seconds(make_predictions) -> None:
    rng = np.random.default_rng(2)
    grades = rng.integers(0, 4, (2, 400, 6))
    predictions = make_predictions(grades[0], grades[1])
    start = perf_counter()
    evaluate(predictions, rounds=1000, second_reader=grades[0].astype(float))
    assert perf_counter() - start < 10  # 0.7 s alone on one core


@pytest.mark.parametrize("targets", [np.full((2, 6), np.nan), np.zeros((0, 6))])
def test_nothing_to_measure_is_refused(make_predictions, targets) -> None:
    with pytest.raises(LabelsError, match=r"no graded zone among them: expected at least one"):
        evaluate(make_predictions(targets, np.zeros(targets.shape)))


def test_a_second_reader_of_another_shape_is_refused(random_predictions) -> None:
    with pytest.raises(ValueError, match=r"second_reader has shape \(59, 6\): expected \(60, 6\)"):
        evaluate(random_predictions, second_reader=np.ones((59, 6)))
