import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from csi_predictor.errors import LabelsError
from csi_predictor.evaluation.versus import versus_block
from csi_predictor.inference.label_predictions import LabelPredictions
from csi_predictor.metrics.bootstrap import interval, resample_patients
from csi_predictor.metrics.delong import area_difference, roc_areas
from csi_predictor.metrics.paired import holm
from csi_predictor.specs import ZONES, TargetSpec

NAN = float("nan")


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


def compare(mine, other, rounds: int = 300):
    return versus_block(mine, other, resample_patients(mine.patient_ids, rounds=rounds, seed=1))


@pytest.fixture
def two_label_models() -> tuple[LabelPredictions, LabelPredictions]:
    """The first tells the labels apart better."""
    rng = np.random.default_rng(0)
    targets = (rng.random((150, 3)) < 0.4).astype(float)
    made = []
    for size in (0.5, 0.2):
        probs = np.clip(size * targets + 0.5 * rng.random((150, 3)), 0, 1)
        made.append(probs)
    targets[rng.random((150, 3)) < 0.05] = NAN
    return make_labels(targets, made[0]), make_labels(targets, made[1])


def make_classes(num_images: int, wrong: list[int], seed: int = 0) -> LabelPredictions:
    """Three classes, right but for some images."""
    targets = np.random.default_rng(seed).integers(0, 3, num_images)
    given = targets.copy()
    given[wrong] = (given[wrong] + 1) % 3
    probs = 0.1 + 0.7 * np.eye(3)[given]
    return make_labels(targets[:, None].astype(float), probs, task="multiclass")


def test_a_better_model_is_called_better_and_the_other_way_round(two_label_models) -> None:
    mine, other = two_label_models
    block, turned = compare(mine, other), compare(other, mine)
    assert block["main"] == "auroc_macro"
    assert (block["verdict"], turned["verdict"]) == (
        "better beyond chance",
        "worse beyond chance",
    )
    figure = block["figures"]["auroc_macro"]
    assert figure["gain"] == pytest.approx(figure["mine"] - figure["other"])
    assert figure["gain_ci_low"] > 0
    assert figure["p"] == pytest.approx(2 / 301)  # no draw beyond 0
    assert turned["figures"]["auroc_macro"]["gain"] == pytest.approx(-figure["gain"])


def test_the_main_figure_stands_first_and_all_is_json(two_label_models) -> None:
    block = compare(*two_label_models)
    assert next(iter(block["figures"])) == "auroc_macro"
    assert json.loads(json.dumps(block, allow_nan=False)) == block


def test_the_gain_is_that_of_both_models_in_the_same_draws() -> None:
    """Bootstrapping the accuracy's paired difference by hand."""
    mine, other = make_classes(60, [0, 1, 2]), make_classes(60, [2, *range(20, 32)])
    resampling = resample_patients(mine.patient_ids, rounds=200, seed=3)
    block = versus_block(mine, other, resampling)["figures"]["accuracy"]
    right = [each.called.argmax(axis=1) == each.targets[:, 0] for each in (mine, other)]
    difference = right[0].astype(float) - right[1]
    by_image = np.array([w[resampling.patient_index] @ difference for w in resampling.weights]) / 60
    assert block["gain"] == pytest.approx(10 / 60)
    assert (block["gain_ci_low"], block["gain_ci_high"]) == pytest.approx(interval(by_image))


def test_of_errors_less_is_a_gain() -> None:
    block = compare(make_classes(60, []), make_classes(60, list(range(15))))
    assert block["figures"]["brier"]["mine"] < block["figures"]["brier"]["other"]
    assert block["figures"]["brier"]["gain"] > 0
    assert "brier" in block["lower_is_better"]


def test_equal_answers_cant_be_told_apart(two_label_models, make_predictions) -> None:
    zones = make_predictions(np.ones((20, 6)), np.ones((20, 6)))
    varied = make_predictions(np.tile([0, 1, 2, 3, 1, 2], (20, 1)), np.ones((20, 6)))
    for made in (two_label_models[0], make_classes(30, [3]), varied):
        block = compare(made, made)
        assert block["verdict"] == "can't be told apart"
        assert block["reason"] == "Both models give the same answers."
        assert block["figures"][block["main"]]["gain"] == 0
    assert compare(zones, zones)["verdict"] == "not tested"  # the kappa of one grade is undefined


def test_a_gain_that_may_be_chance_is_said_to_be() -> None:
    block = compare(make_classes(60, list(range(8))), make_classes(60, list(range(6, 16))))
    assert block["figures"]["accuracy"]["gain"] > 0
    assert block["verdict"] == "can't be told apart"
    assert block["reason"] == "A gain of this size may be chance."


def test_five_images_on_one_side_may_be_chance_and_six_not() -> None:
    """By the exact test p is 0.0625 and 0.03125, whatever the bootstrap finds."""
    five, six = (compare(make_classes(200, []), make_classes(200, list(range(n)))) for n in (5, 6))
    assert five["figures"]["accuracy"]["p"] < 0.05
    assert five["verdict"] == "can't be told apart"
    assert "fewer than 6 patients" in five["reason"]
    assert five["by_question"]["class"]["mcnemar_p"] == 0.0625
    assert six["verdict"] == "better beyond chance"
    assert six["by_question"]["class"]["mcnemar_p"] == 0.03125


def test_few_patients_and_no_rounds_have_no_verdict() -> None:
    few = compare(make_classes(9, []), make_classes(9, list(range(8))))
    assert (few["verdict"], few["reason"]) == ("too few to tell", "Fewer than 10 patients.")
    alone = replace(make_classes(30, []), patient_ids=("p",) * 30)
    other = replace(make_classes(30, list(range(20))), patient_ids=("p",) * 30)
    assert compare(alone, other)["verdict"] == "too few to tell"
    undrawn = compare(make_classes(30, []), make_classes(30, list(range(20))), rounds=0)
    assert undrawn["verdict"] == "not tested"
    assert undrawn["figures"]["accuracy"]["p"] is None


def test_mcnemar_counts_images_by_label_and_is_corrected_for_the_labels(two_label_models) -> None:
    mine, other = two_label_models
    blocks = compare(mine, other)["by_question"]
    for k, name in enumerate("abc"):
        known = np.isfinite(mine.targets[:, k])
        right = [(each.called[known, k] == each.targets[known, k]) for each in (mine, other)]
        only = int((right[0] & ~right[1]).sum()), int((right[1] & ~right[0]).sum())
        block = blocks[name]
        assert (block["only_mine_right"], block["only_other_right"]) == only
        assert block["n"] == known.sum()
        assert block["n_changed"] == sum(only)  # of two answers, another one is right or wrong
        assert block["mcnemar_p"] == pytest.approx(stats.binomtest(only[0], sum(only)).pvalue)
    raw = [block["mcnemar_p"] for block in blocks.values()]
    np.testing.assert_allclose([b["mcnemar_p_holm"] for b in blocks.values()], holm(raw))


def test_areas_are_compared_label_by_label(two_label_models) -> None:
    mine, other = two_label_models
    areas = compare(mine, other)["areas"]
    for k, name in enumerate("abc"):
        known = np.isfinite(mine.targets[:, k])
        truth = mine.targets[known, k] == 1
        scores = np.stack([mine.probs[known, k], other.probs[known, k]])
        assert areas[name]["auroc_mine"] == pytest.approx(roc_auc_score(truth, scores[0]))
        assert areas[name]["p"] == pytest.approx(area_difference(roc_areas(truth, scores)).p)
    raw = [block["p"] for block in areas.values()]
    np.testing.assert_allclose([block["p_holm"] for block in areas.values()], holm(raw))


def test_of_two_classes_one_area_is_compared() -> None:
    rng = np.random.default_rng(1)
    targets = rng.integers(0, 2, 50).astype(float)[:, None]
    made = []
    for size in (0.5, 0.3):
        second = np.clip(size * targets[:, 0] + 0.5 * rng.random(50), 0, 1)
        made.append(np.stack([1 - second, second], axis=1))
    first, other = (make_labels(targets, probs, task="multiclass") for probs in made)
    assert list(compare(first, other)["areas"]) == ["b"]


def test_zones_are_compared_with_one_mcnemar_a_zone(make_predictions) -> None:
    rng = np.random.default_rng(5)
    targets = rng.integers(0, 4, (80, 6)).astype(float)
    targets[rng.random((80, 6)) < 0.1] = NAN
    patients = tuple(f"p{index // 2}" for index in range(80))
    models = [
        make_predictions(
            targets,
            np.clip(np.nan_to_num(targets) + rng.integers(-far, far + 1, (80, 6)), 0, 3),
            patient_ids=patients,
        )
        for far in (1, 2)
    ]
    block = compare(*models)
    assert block["main"] == "zone_qwk"
    assert block["verdict"] == "better beyond chance"
    assert tuple(block["by_question"]) == ZONES
    assert block["by_question"]["left_inf"]["n"] == np.isfinite(targets[:, 5]).sum()
    assert block["areas"] == {}
    assert "zone_bias" not in block["figures"]  # neither more nor less is better
    assert block["has_one_image_a_patient"] is False
    assert (block["n_images"], block["n_patients"]) == (80, 40)


def test_the_index_is_compared_where_both_models_give_one(make_predictions) -> None:
    targets = np.ones((12, 6))
    withheld = np.zeros((12, 6))
    withheld[0] = 1
    grades = np.ones((12, 6))
    grades[0] = 3
    mine = make_predictions(targets, grades)
    other = make_predictions(targets, grades, p_ungradable=withheld)
    figure = compare(mine, other)["figures"]["csi_mae"]
    assert (figure["mine"], figure["other"], figure["gain"]) == (0, 0, 0)


def test_another_task_or_other_names_are_refused(two_label_models, make_predictions) -> None:
    mine, _ = two_label_models
    zones = make_predictions(np.ones((150, 6)), np.ones((150, 6)))
    renamed = replace(mine, target_spec=replace(mine.target_spec, names=("a", "b", "x")))
    message = "COMPARE_MODEL: that model answers multilabel of a, b, x, this one multilabel of a"
    with pytest.raises(LabelsError, match=message):
        compare(mine, renamed)
    with pytest.raises(LabelsError, match=r"that model answers multilabel.*this one six zones"):
        compare(zones, mine)


def test_other_images_or_another_truth_are_refused(two_label_models) -> None:
    mine, other = two_label_models
    with pytest.raises(ValueError, match="about different images: expected the same in one order"):
        compare(mine, other.take(np.arange(150)[::-1]))
    with pytest.raises(ValueError, match="truth of the two models' answers differs"):
        compare(mine, replace(other, targets=np.zeros((150, 3))))


def test_of_equally_good_models_one_in_twenty_is_called_better_or_worse() -> None:
    rng = np.random.default_rng(8)
    verdicts = []
    for _ in range(150):
        targets = (rng.random((60, 2)) < 0.4).astype(float)
        shared = rng.random((60, 2))
        models = [
            make_labels(targets, (targets + shared + rng.random((60, 2))) / 3) for _ in range(2)
        ]
        verdicts.append(compare(*models, rounds=100)["verdict"])
    assert np.mean([verdict.endswith("beyond chance") for verdict in verdicts]) < 0.1
