import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from csi_predictor.errors import LabelsError
from csi_predictor.evaluation.evaluate import evaluate
from csi_predictor.evaluation.labels import evaluate_labels
from csi_predictor.evaluation.subgroups import subgroups_block
from csi_predictor.inference.label_predictions import LabelPredictions
from csi_predictor.inference.predictions import Predictions
from csi_predictor.specs import TargetSpec

NAN = float("nan")
SEXES = ("F", "M") * 60


def measure(made, attributes, *, rounds: int = 200, seed: int = 0):
    return subgroups_block(made, attributes, rounds=rounds, seed=seed)


def make_labels(targets, probs, *, task="multilabel", patients=None) -> LabelPredictions:
    ids = tuple(f"image{index}" for index in range(len(probs)))
    names = tuple("abcd"[: probs.shape[1]])
    return LabelPredictions(
        file_ids=ids,
        patient_ids=patients or ids,
        paths=tuple(map(Path, ids)),
        target_spec=TargetSpec(task=task, names=names, num_classes=len(names)),
        targets=targets,
        probs=probs,
    )


def make_classes(is_right: np.ndarray) -> LabelPredictions:
    """Two classes in turn, right where it is said."""
    targets = np.arange(len(is_right)) % 2
    given = np.where(is_right, targets, 1 - targets)
    return make_labels(
        targets[:, None].astype(float), 0.2 + 0.6 * np.eye(2)[given], task="multiclass"
    )


@pytest.fixture
def zones(make_predictions) -> Predictions:
    """120 images, as good for everybody."""
    rng = np.random.default_rng(0)
    targets = rng.integers(0, 4, (120, 6)).astype(float)
    targets[rng.random((120, 6)) < 0.05] = NAN
    grades = np.clip(np.nan_to_num(targets) + rng.integers(-1, 2, (120, 6)), 0, 3)
    return make_predictions(targets, grades)


@pytest.fixture
def worse_for_women(make_predictions) -> Predictions:
    """120 images; those of women are graded one too high, those of men right."""
    targets = np.random.default_rng(1).integers(0, 3, (120, 6)).astype(float)
    is_woman = np.array(SEXES) == "F"
    return make_predictions(targets, targets + is_woman[:, None])


def test_a_groups_figures_are_those_of_its_images_alone(zones) -> None:
    index = np.flatnonzero(np.array(SEXES) == "F")
    found = measure(zones, {"sex": SEXES})["by_attribute"]["sex"]["F"]
    expected = evaluate(zones.take(index), rounds=0).metrics
    for name in ("zone_mae", "zone_qwk", "csi_mae", "zone_bias", "ece", "n_images", "n_patients"):
        assert found[name] == pytest.approx(expected[name])


def test_labels_have_ranking_sensitivity_and_specificity() -> None:
    rng = np.random.default_rng(2)
    targets = (rng.random((120, 3)) < 0.4).astype(float)
    made = make_labels(targets, np.clip(0.3 * targets + 0.7 * rng.random((120, 3)), 0, 1))
    block = measure(made, {"sex": SEXES})
    assert block["figures"] == ["auroc_macro", "sensitivity_macro", "specificity_macro", "ece"]
    index = np.flatnonzero(np.array(SEXES) == "M")
    expected = evaluate_labels(made.take(index), rounds=0).metrics
    found = block["by_attribute"]["sex"]["M"]
    assert found["auroc_macro"] == pytest.approx(expected["auroc_macro"])
    by_label = [each["sensitivity"] for each in expected["labels"].values()]
    assert found["sensitivity_macro"] == pytest.approx(np.mean(by_label))


def test_classes_have_accuracies() -> None:
    block = measure(make_classes(np.arange(120) % 5 > 0), {"sex": SEXES})
    assert block["figures"] == ["accuracy", "balanced_accuracy", "ece"]
    assert block["main"] == "accuracy"
    assert block["overall"]["accuracy"] == pytest.approx(0.8)


def test_a_gap_is_the_group_minus_the_others_in_the_same_draws(zones) -> None:
    block = measure(zones, {"sex": SEXES})["by_attribute"]["sex"]
    women, men = block["F"], block["M"]
    assert women["gap"]["zone_mae"] == pytest.approx(women["zone_mae"] - men["zone_mae"])
    assert women["gap"]["zone_mae_ci_low"] == pytest.approx(-men["gap"]["zone_mae_ci_high"])
    assert women["gap"]["zone_mae_p"] == men["gap"]["zone_mae_p"]
    three = measure(zones, {"ward": ("a", "b", "c") * 40})["by_attribute"]["ward"]
    others = evaluate(zones.take(np.flatnonzero(np.arange(120) % 3 != 0)), rounds=0).metrics
    expected = three["a"]["zone_mae"] - others["zone_mae"]
    assert three["a"]["gap"]["zone_mae"] == pytest.approx(expected)


def test_a_gap_beyond_chance_is_warned_of_with_a_sentence(worse_for_women) -> None:
    block = measure(worse_for_women, {"sex": SEXES})
    row = block["by_attribute"]["sex"]["F"]
    assert row["warning"] is True
    assert row["verdict"] == "worse beyond chance"
    assert row["sentence"].startswith(
        "worse beyond chance: error of the grade (MAE) higher by 1.00 (1.00 to 1.00)"
    )
    assert "bias of the grade higher by 1.00" in row["sentence"]
    assert row["gap"]["zone_mae_p_holm"] < 0.05
    men = block["by_attribute"]["sex"]["M"]
    assert (men["warning"], men["verdict"]) == (True, "better beyond chance")
    assert block["warnings"] == [f"sex F: {row['sentence']}"]  # not of the better group too


def test_a_bias_alone_is_a_difference_and_not_worse(make_predictions) -> None:
    """Women graded one too high, men one too low: errors are alike."""
    targets = np.random.default_rng(1).integers(1, 3, (120, 6)).astype(float)
    shift = np.where(np.array(SEXES) == "F", 1, -1)[:, None]
    block = measure(make_predictions(targets, targets + shift), {"sex": SEXES})
    row = block["by_attribute"]["sex"]["F"]
    assert row["gap"]["zone_mae"] == 0
    assert row["verdict"] == "different beyond chance"
    assert len(block["warnings"]) == 2


def test_a_fair_model_isnt_warned_of(zones) -> None:
    block = measure(zones, {"sex": SEXES, "ward": ("a", "b", "c") * 40})
    assert block["warnings"] == []
    rows = [row for rows in block["by_attribute"].values() for row in rows.values()]
    assert {row["verdict"] for row in rows} == {"no gap beyond chance"}
    assert not any(row["warning"] for row in rows)
    assert block["n_tests"] == 4 * 5  # one of two sexes, three wards, five figures
    assert block["n_shuffles"] == 25 * 20


def test_of_fair_models_one_in_twenty_is_warned_of() -> None:
    """The bootstrap's own p would warn of every third: a small group is right throughout."""
    rng = np.random.default_rng(3)
    warned = []
    for seed in range(40):
        made = make_classes(rng.random(120) < 0.93)
        ward = np.where(np.arange(120) < 12, "small", rng.choice(["b", "c"], 120))
        block = measure(made, {"ward": ward.tolist(), "sex": SEXES}, rounds=30, seed=seed)
        warned.append(bool(block["warnings"]))
    assert np.mean(warned) <= 0.1


def test_a_small_group_that_is_always_wrong_is_warned_of() -> None:
    """12 of 120 images, whose bootstrap doesn't vary."""
    is_right = np.ones(120, dtype=bool)
    is_right[:12] = False
    is_right[50:55] = False
    ward = ["a"] * 12 + ["b"] * 108
    block = measure(make_classes(is_right), {"ward": ward})
    assert block["by_attribute"]["ward"]["a"]["verdict"] == "worse beyond chance"
    assert len(block["warnings"]) == 1


def test_p_is_that_of_scipys_permutation_test() -> None:
    is_right = np.random.default_rng(4).random(120) < 0.8
    is_right[:20] &= np.arange(20) % 3 > 0
    group = ["a"] * 20 + ["b"] * 100
    found = measure(make_classes(is_right), {"ward": group}, rounds=4000)
    reference = stats.permutation_test(
        (is_right[:20] * 1.0, is_right[20:] * 1.0),
        lambda first, second, axis: first.mean(axis=axis) - second.mean(axis=axis),
        vectorized=True,
        n_resamples=4000,
        rng=np.random.default_rng(0),
    )
    p = found["by_attribute"]["ward"]["a"]["gap"]["accuracy_p"]
    assert p == pytest.approx(reference.pvalue, abs=0.02)


def test_patients_are_shuffled_whole() -> None:
    """Ten images of each patient, all right or all wrong, make no more certain than one."""
    is_right = np.random.default_rng(6).random(60) < 0.7
    is_right[:12] &= np.arange(12) % 2 > 0
    ward = np.array(["a"] * 12 + ["b"] * 48)
    once = make_classes(is_right)
    many = replace(
        make_classes(np.repeat(is_right, 10)),
        targets=np.repeat(once.targets, 10, axis=0),
        probs=np.repeat(once.probs, 10, axis=0),
        patient_ids=tuple(f"p{index // 10:02d}" for index in range(600)),
    )
    rows = [
        measure(made, {"ward": values.tolist()}, rounds=1000)["by_attribute"]["ward"]["a"]
        for made, values in ((once, ward), (many, np.repeat(ward, 10)))
    ]
    assert rows[1]["n_patients"] == 12
    assert rows[1]["gap"]["accuracy_p"] == pytest.approx(rows[0]["gap"]["accuracy_p"], abs=0.03)


def test_a_patient_may_have_images_in_two_groups(zones) -> None:
    made = replace(zones, patient_ids=tuple(f"p{index // 2}" for index in range(120)))
    row = measure(made, {"view": ("AP", "PA") * 60})["by_attribute"]["view"]["AP"]
    assert (row["n_images"], row["n_patients"]) == (60, 60)
    assert 0 < row["gap"]["zone_mae_p"] <= 1


def test_small_groups_are_shown_and_neither_warned_of_nor_called_equal(worse_for_women) -> None:
    sexes = ["F"] * 9 + ["M"] * 111
    rows = measure(worse_for_women, {"sex": sexes})["by_attribute"]["sex"]
    assert rows["F"]["zone_mae"] is not None
    assert rows["F"]["gap"] is None
    assert rows["F"]["verdict"] == "too few to tell"
    assert rows["F"]["sentence"] == "only 9 patients: too few to tell."
    assert rows["M"]["sentence"] == "only 9 patients to compare with."
    assert not any(row["warning"] for row in rows.values())


def test_few_patients_with_many_images_are_few(worse_for_women) -> None:
    made = replace(worse_for_women, patient_ids=tuple(f"p{index % 4}" for index in range(120)))
    rows = measure(made, {"sex": SEXES})["by_attribute"]["sex"]
    assert rows["F"]["verdict"] == "too few to tell"
    assert rows["F"]["sentence"] == "only 2 patients: too few to tell."


def test_unknown_values_are_a_row_of_their_own(zones) -> None:
    sexes = [None, "unknown", "", *SEXES[3:]]
    block = measure(zones, {"sex": sexes})
    rows = block["by_attribute"]["sex"]
    assert list(rows) == ["F", "M", "unknown"]
    assert rows["unknown"]["n_images"] == 3
    assert (rows["unknown"]["gap"], rows["unknown"]["verdict"]) == (None, "not compared")
    assert rows["F"]["n_images"] + rows["M"]["n_images"] == 117
    assert block["n_tests"] == 5


def test_values_that_are_all_alike_or_all_unknown_are_compared_with_nothing(zones) -> None:
    block = measure(zones, {"site": ["a"] * 120, "sex": [None] * 120})
    assert block["by_attribute"]["site"]["a"]["verdict"] == "not compared"
    assert list(block["by_attribute"]["sex"]) == ["unknown"]
    assert (block["n_tests"], block["n_shuffles"]) == (0, 0)


def test_bands_and_numbers_stand_in_their_order(zones) -> None:
    bands = ["80+", "<40", "40-59", "60-79"] * 30
    rooms = ["10", "9", "x", "2"] * 30
    rows = measure(zones, {"age": bands, "room": rooms}, rounds=0)["by_attribute"]
    assert list(rows["age"]) == ["<40", "40-59", "60-79", "80+"]
    assert list(rows["room"]) == ["2", "9", "10", "x"]


def test_images_without_a_known_answer_count_nowhere(zones) -> None:
    targets = zones.targets.copy()
    targets[::2] = NAN
    rows = measure(replace(zones, targets=targets), {"sex": SEXES})["by_attribute"]["sex"]
    assert list(rows) == ["M"]  # no image of a woman has a truth
    with pytest.raises(LabelsError, match="120 images and no known answer among them"):
        measure(replace(zones, targets=np.full((120, 6), NAN)), {"sex": SEXES})


def test_a_gap_of_labels_is_over_those_that_both_sides_measure() -> None:
    """Label b, of which no man is positive, is in no gap; men are as good for label a."""
    rng = np.random.default_rng(5)
    targets = (rng.random((120, 2)) < 0.5).astype(float)
    is_man = np.array(SEXES) == "M"
    targets[is_man, 1] = 0
    probs = np.clip(0.3 * targets + 0.7 * rng.random((120, 2)), 0, 1)
    made = make_labels(targets, probs)
    rows = measure(made, {"sex": SEXES})["by_attribute"]["sex"]
    only_a = make_labels(targets[:, :1], probs[:, :1])
    expected = measure(only_a, {"sex": SEXES})["by_attribute"]["sex"]
    for name in ("auroc_macro", "sensitivity_macro", "auroc_macro_p"):
        assert rows["F"]["gap"][name] == pytest.approx(expected["F"]["gap"][name])
    assert rows["F"]["auroc_macro"] != expected["F"]["auroc_macro"]


def test_groups_without_a_label_in_common_have_no_gap() -> None:
    targets = np.zeros((120, 1))
    targets[::4] = 1  # women alone
    rows = measure(make_labels(targets, np.full((120, 1), 0.4)), {"sex": SEXES})["by_attribute"]
    assert rows["sex"]["M"]["auroc_macro"] is None
    assert rows["sex"]["M"]["verdict"] == "too few to tell"
    assert rows["sex"]["M"]["sentence"] == "no label is both present and absent in each."


def test_called_answers_and_thresholds_stay_those_of_their_label() -> None:
    rng = np.random.default_rng(7)
    targets = (rng.random((120, 2)) < 0.5).astype(float)
    targets[np.array(SEXES) == "M", 0] = 0
    made = replace(make_labels(targets, rng.random((120, 2))), thresholds=(0.1, 0.9))
    row = measure(made, {"sex": SEXES})["by_attribute"]["sex"]["F"]
    is_woman = np.array(SEXES) == "F"
    found = []
    for side in (is_woman, ~is_woman):
        present = targets[side, 1] == 1
        found.append((made.probs[side, 1][present] >= 0.9).mean())
    assert row["gap"]["sensitivity_macro"] == pytest.approx(found[0] - found[1])


def test_without_rounds_nothing_is_tested(zones) -> None:
    block = measure(zones, {"sex": SEXES}, rounds=0)
    row = block["by_attribute"]["sex"]["F"]
    assert row["verdict"] == "not tested"
    assert row["gap"]["zone_mae"] is not None
    assert (row["gap"]["zone_mae_p"], row["gap"]["zone_mae_ci_low"]) == (None, None)


def test_of_very_many_labels_at_most_500_rounds_are_drawn() -> None:
    rng = np.random.default_rng(9)
    targets = (rng.random((26_000, 4)) < 0.01).astype(float)
    made = make_labels(targets, rng.random((26_000, 4)))
    bootstrap = measure(made, {"site": ["a"] * 26_000}, rounds=2000)["bootstrap"]
    assert (bootstrap["rounds"], bootstrap["rounds_asked"]) == (500, 2000)


def test_the_block_is_json_and_the_same_each_time(zones) -> None:
    first, second = (measure(zones, {"sex": SEXES}) for _ in range(2))
    assert first == second
    assert json.loads(json.dumps(first, allow_nan=False)) == first


def test_an_attribute_of_another_length_or_none_at_all_is_refused(zones) -> None:
    with pytest.raises(ValueError, match="sex has 3 values: expected 120, one an image"):
        measure(zones, {"sex": ["F"] * 3})
    with pytest.raises(ValueError, match="attributes is empty: expected at least one"):
        measure(zones, {})
