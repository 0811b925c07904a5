from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, cohen_kappa_score, mean_absolute_error, roc_auc_score

from csi_predictor.data.corruptions import CORRUPTIONS
from csi_predictor.evaluation.evaluate import evaluate
from csi_predictor.evaluation.labels import evaluate_labels
from csi_predictor.evaluation.robustness import (
    LightFigures,
    laterality_block,
    light_figures,
    robustness_block,
)
from csi_predictor.inference.label_predictions import LabelPredictions
from csi_predictor.inference.predictions import Predictions
from csi_predictor.metrics.bootstrap import Resampling, resample_patients
from csi_predictor.specs import MIRRORED_ZONE_INDEX, ZONES, TargetSpec

COUNT = 60
ROUNDS = 40


def zones(seed: int = 0, skill: float = 0.6) -> Predictions:
    truth_rng, rng = np.random.default_rng(99), np.random.default_rng(seed)
    targets = truth_rng.integers(0, 4, (COUNT, 6)).astype(float)
    probs = rng.dirichlet(np.ones(4), (COUNT, 6)) + skill * np.eye(4)[targets.astype(int)]
    targets[truth_rng.random((COUNT, 6)) < 0.1] = np.nan
    targets[5] = np.nan
    return Predictions(
        **names_of(COUNT),
        targets=targets,
        grade_probs=probs / probs.sum(axis=-1, keepdims=True),
        p_ungradable=rng.random((COUNT, 6)) * 0.6,
    )


def answers(task: str, seed: int = 0, skill: float = 0.5) -> LabelPredictions:
    truth_rng, rng = np.random.default_rng(7), np.random.default_rng(seed)
    if task == "multilabel":
        targets = (truth_rng.random((COUNT, 3)) < 0.4).astype(float)
        probs = np.clip(skill * targets + (1 - skill) * rng.random((COUNT, 3)), 0, 1)
    else:
        targets = truth_rng.integers(0, 3, (COUNT, 1)).astype(float)
        probs = rng.dirichlet(np.ones(3), COUNT) + skill * np.eye(3)[targets[:, 0].astype(int)]
        probs /= probs.sum(axis=1, keepdims=True)
    targets[truth_rng.random(targets.shape) < 0.1] = np.nan
    return LabelPredictions(
        **names_of(COUNT),
        target_spec=TargetSpec(task=task, names=("a", "b", "c"), num_classes=3),
        targets=targets,
        probs=probs,
        thresholds=(0.4, 0.5, 0.6) if task == "multilabel" else (),
    )


def names_of(count: int) -> dict[str, tuple]:
    ids = tuple(f"image{index:03d}" for index in range(count))
    patients = tuple(f"patient{index // 2}" for index in range(count))
    return {"file_ids": ids, "patient_ids": patients, "paths": tuple(map(Path, ids))}


def drawn(predictions: Predictions | LabelPredictions, rounds: int = ROUNDS) -> Resampling:
    return resample_patients(predictions.patient_ids, rounds=rounds, seed=0)


def alone(predictions: Predictions | LabelPredictions) -> LightFigures:
    return light_figures(predictions, predictions, drawn(predictions))


def test_figures_of_zones_are_scikit_learns_over_the_known_zones() -> None:
    clean, damaged = zones(), zones(seed=1, skill=0.2)
    found = light_figures(damaged, clean, drawn(clean))
    known = np.isfinite(clean.targets)
    truth, given = clean.targets[known], damaged.grades[known]
    kappa = cohen_kappa_score(truth, given, weights="quadratic")
    assert found.draws["zone_qwk"][0] == pytest.approx(kappa)
    assert found.draws["zone_mae"][0] == pytest.approx(mean_absolute_error(truth, given))
    assert found.draws["zone_qwk"].shape == (1 + ROUNDS,)
    assert found.share_answers_changed == pytest.approx((given != clean.grades[known]).mean())
    probs = damaged.grade_probs[known]
    assert found.mean_confidence == pytest.approx(probs[np.arange(len(given)), given].mean())


def test_figures_of_labels_are_scikit_learns_over_the_known_answers() -> None:
    clean, damaged = answers("multilabel"), answers("multilabel", seed=1, skill=0.2)
    found = light_figures(damaged, clean, drawn(clean))
    known = np.isfinite(clean.targets)
    areas = [
        roc_auc_score(t[k], p[k])
        for t, p, k in zip(clean.targets.T, damaged.probs.T, known.T, strict=True)
    ]
    assert list(found.draws) == ["auroc_macro"]
    assert found.draws["auroc_macro"][0] == pytest.approx(np.mean(areas))
    before, after = (each.probs >= [0.4, 0.5, 0.6] for each in (clean, damaged))
    assert found.share_answers_changed == pytest.approx((before != after)[known].mean())
    confidence = np.where(after, damaged.probs, 1 - damaged.probs)[known]
    assert found.mean_confidence == pytest.approx(confidence.mean())
    is_right = (after == clean.targets)[known]
    assert found.ece == pytest.approx(gap_by_bins(confidence, is_right))


def test_figures_of_classes_are_scikit_learns_over_the_known_images() -> None:
    clean, damaged = answers("multiclass"), answers("multiclass", seed=1, skill=0.2)
    found = light_figures(damaged, clean, drawn(clean))
    known = np.isfinite(clean.targets[:, 0])
    given = damaged.probs.argmax(axis=1)[known]
    assert list(found.draws) == ["accuracy"]
    assert found.draws["accuracy"][0] == pytest.approx(
        accuracy_score(clean.targets[known, 0], given)
    )
    assert found.mean_confidence == pytest.approx(damaged.probs.max(axis=1)[known].mean())


def gap_by_bins(confidence: np.ndarray, is_right: np.ndarray) -> float:
    """Guo et al. 2017, equation 3, bin by bin."""
    bins = np.clip(np.ceil(confidence * 15) - 1, 0, 14)
    gaps = [
        (bins == b).mean() * abs(is_right[bins == b].mean() - confidence[bins == b].mean())
        for b in np.unique(bins)
    ]
    return float(sum(gaps))


def test_the_clean_figures_are_those_of_the_whole_evaluation() -> None:
    found, expected = alone(zones()), evaluate(zones(), rounds=0).metrics
    for name in ("zone_qwk", "zone_mae"):
        assert found.draws[name][0] == pytest.approx(expected[name])
    assert found.ece == pytest.approx(expected["ece"])
    assert found.share_answers_changed == 0
    for task, name in (("multilabel", "auroc_macro"), ("multiclass", "accuracy")):
        metrics = evaluate_labels(answers(task), rounds=0).metrics
        assert alone(answers(task)).draws[name][0] == pytest.approx(metrics[name])


def test_an_answer_of_confidence_one_is_counted__weakness_001_05() -> None:
    sure = replace(zones(), grade_probs=np.eye(4)[zones().grades])
    found = alone(sure)
    known = np.isfinite(sure.targets)
    assert found.mean_confidence == 1
    assert found.ece == pytest.approx((sure.grades != sure.targets)[known].mean())


def test_unknown_answers_change_no_figure() -> None:
    clean = zones()
    other = clean.grade_probs.copy()
    other[np.isnan(clean.targets)] = [0, 0, 0, 1]
    damaged = replace(clean, grade_probs=other)
    before, after = alone(clean), light_figures(damaged, clean, drawn(clean))
    assert (after.ece, after.mean_confidence) == (before.ece, before.mean_confidence)
    assert after.share_answers_changed == 0
    np.testing.assert_array_equal(after.draws["zone_qwk"], before.draws["zone_qwk"])


@pytest.mark.parametrize("make", [zones, lambda: answers("multilabel")])
def test_where_nothing_is_known_nothing_is_defined(make) -> None:
    known = make()
    unknown = replace(known, targets=np.full_like(known.targets, np.nan))
    found = alone(unknown)
    assert np.isnan([found.ece, found.mean_confidence, found.share_answers_changed]).all()
    block = block_of(unknown, {"noise": [unknown] * 5})
    assert block["clean"]["ece"] is None
    assert block["corruptions"]["noise"]["mean_drop"] is None
    assert (block["worst"], block["worst_ece"], block["beyond_chance"]) == (None, None, [])


def test_answers_about_other_images_are_refused() -> None:
    clean = zones()
    other = clean.take(np.arange(COUNT)[::-1])
    text = "the answers are about different images: expected the same in one order"
    with pytest.raises(ValueError, match=text):
        light_figures(other, clean, drawn(clean))
    with pytest.raises(ValueError, match=text):
        laterality_block(clean, other)


def block_of(clean, damaged, main: str | None = None, rounds: int = ROUNDS) -> dict:
    resampling = drawn(clean, rounds)
    figures = {
        name: [light_figures(each, clean, resampling) for each in every]
        for name, every in damaged.items()
    }
    before = light_figures(clean, clean, resampling)
    return robustness_block(
        before,
        figures,
        main=main or next(iter(before.draws)),
        resampling=resampling,
        rounds=rounds,
        seed=0,
    )


def test_the_drop_is_the_clean_figure_minus_the_damaged_ones() -> None:
    clean = zones()
    blurred = [zones(seed=s, skill=0.5 - s / 10) for s in range(1, 6)]
    turned = [zones(seed=s, skill=0.55) for s in range(6, 11)]
    block = block_of(clean, {"blur": blurred, "rotation": turned})
    assert (block["n_images"], block["n_patients"], block["main"]) == (60, 30, "zone_qwk")
    assert block["figures"] == ["zone_qwk", "zone_mae"]
    assert list(block["corruptions"]) == ["blur", "rotation"]
    blur = block["corruptions"]["blur"]
    assert (blur["title"], blur["unit"]) == ("Blur", "sigma, share of each edge")
    assert [each["severity"] for each in blur["severities"]] == [1, 2, 3, 4, 5]
    strengths = [each["strength"] for each in blur["severities"]]
    assert tuple(strengths) == CORRUPTIONS["blur"].strengths
    drops = [block["clean"]["zone_qwk"] - each["zone_qwk"] for each in blur["severities"]]
    assert [each["drop"] for each in blur["severities"]] == pytest.approx(drops)
    assert blur["mean_drop"] == pytest.approx(np.mean(drops))
    assert blur["mean_drop_ci_low"] < blur["mean_drop"] < blur["mean_drop_ci_high"]
    other = block["corruptions"]["rotation"]["mean_drop"]
    assert block["mean_drop"] == pytest.approx((blur["mean_drop"] + other) / 2)
    assert block["worst"] == "blur"
    assert "blur" in block["beyond_chance"]
    eces = {
        (name, each["severity"]): each["ece"]
        for name, each_block in block["corruptions"].items()
        for each in each_block["severities"]
    }
    worst = block["worst_ece"]
    assert eces[worst["corruption"], worst["severity"]] == worst["ece"] == max(eces.values())
    assert 0 < worst["mean_confidence"] < 1


def test_the_interval_of_a_drop_is_paired() -> None:
    clean = zones()
    # the same answers but for one image: patient by patient there is next to no difference
    probs = clean.grade_probs.copy()
    probs[0] = 0.25
    block = block_of(clean, {"noise": [replace(clean, grade_probs=probs)] * 5}, rounds=200)
    noise = block["corruptions"]["noise"]
    width = noise["mean_drop_ci_high"] - noise["mean_drop_ci_low"]
    own = block["clean"]["zone_qwk_ci_high"] - block["clean"]["zone_qwk_ci_low"]
    assert width < own / 3


def test_answers_that_stay_have_no_drop_and_no_chance_is_named() -> None:
    clean = answers("multiclass")
    block = block_of(clean, {"crop": [clean] * 5})
    crop = block["corruptions"]["crop"]
    assert (crop["mean_drop"], crop["mean_drop_ci_low"], crop["mean_drop_ci_high"]) == (0, 0, 0)
    assert block["beyond_chance"] == []
    assert all(each["share_answers_changed"] == 0 for each in crop["severities"])


def test_one_patient_has_figures_without_intervals() -> None:
    clean = replace(zones(), patient_ids=("one",) * COUNT)
    block = block_of(clean, {"jpeg": [clean] * 5})
    jpeg = block["corruptions"]["jpeg"]
    assert (jpeg["mean_drop"], jpeg["mean_drop_ci_low"]) == (0, None)
    assert (block["bootstrap"]["rounds"], block["bootstrap"]["rounds_asked"]) == (0, ROUNDS)


def test_without_corruptions_there_is_only_the_clean_part() -> None:
    block = block_of(answers("multilabel"), {})
    assert block["corruptions"] == {}
    assert block["worst"] is None
    assert block["clean"]["auroc_macro"] > 0.5


def test_too_few_severities_are_refused() -> None:
    with pytest.raises(ValueError, match="2 severities: expected 5, from 1 on"):
        block_of(zones(), {"noise": [zones()] * 2})


def by_grades(grades: np.ndarray) -> Predictions:
    return Predictions(
        **names_of(len(grades)),
        targets=np.full((len(grades), 6), np.nan),
        grade_probs=np.eye(4)[grades],
        p_ungradable=np.zeros((len(grades), 6)),
    )


UNEVEN = np.array([[3, 0, 2, 1, 1, 1], [0, 1, 0, 0, 2, 2], [1, 1, 3, 2, 0, 2], [2, 3, 1, 1, 0, 0]])


def test_grades_that_change_sides_with_the_image_are_found() -> None:
    mirrored = UNEVEN[:, MIRRORED_ZONE_INDEX]
    block = laterality_block(by_grades(UNEVEN), by_grades(mirrored), rounds=50)
    assert block["swaps"] is True
    assert block["difference_to_swapped"] == 0
    # by hand: pairs differ by 3 1 0, 1 0 0, 0 1 2 and 1 0 0, each counted for both zones
    assert block["asymmetry"] == pytest.approx(2 * 9 / 24)
    assert block["difference_to_unswapped"] == pytest.approx(2 * 9 / 24)
    assert (block["n_zones_told"], block["share_following"]) == (12, 1)
    assert block["n_images"] == 4
    assert block["sentence"].startswith("The grades change sides with the image: the mirrored")
    assert "0.00 from the swapped ones and 0.75 from the unswapped ones" in block["sentence"]


def test_grades_that_stay_in_their_places_are_caught() -> None:
    block = laterality_block(by_grades(UNEVEN), by_grades(UNEVEN), rounds=50)
    assert block["swaps"] is False
    assert block["share_following"] == 0
    assert block["difference_to_unswapped"] == 0
    assert block["nearer_to_swapped_ci_high"] < 0
    assert "do not change sides" in block["sentence"]
    assert "its sides can't be trusted" in block["sentence"]


def test_an_image_whose_sides_are_alike_tells_nothing() -> None:
    even = np.repeat(np.arange(12).reshape(4, 3) % 4, 2, axis=1)
    block = laterality_block(by_grades(even), by_grades(even))
    assert block["swaps"] is None
    assert (block["asymmetry"], block["share_following"], block["n_zones_told"]) == (0, None, 0)
    assert "right and left differ by only 0.00 grades" in block["sentence"]


def test_a_difference_that_may_be_chance_tells_nothing() -> None:
    many = np.tile(UNEVEN, (4, 1))
    half = np.concatenate([many[:8][:, MIRRORED_ZONE_INDEX], many[8:]])
    block = laterality_block(by_grades(many), by_grades(half))
    low, high = block["nearer_to_swapped_ci_low"], block["nearer_to_swapped_ci_high"]
    assert low <= 0 <= high
    assert block["swaps"] is None
    assert "may be chance" in block["sentence"]


def test_a_swap_that_averaging_makes_is_said_to_be_so() -> None:
    mirrored = by_grades(UNEVEN[:, MIRRORED_ZONE_INDEX])
    block = laterality_block(by_grades(UNEVEN), mirrored, is_by_construction=True)
    assert block["sentence"].endswith("each image is averaged with its mirrored look.")


def test_no_image_and_one_patient_are_borne() -> None:
    none = by_grades(UNEVEN).take(np.array([], dtype=np.int64))
    block = laterality_block(none, none)
    assert (block["swaps"], block["n_images"], block["asymmetry"]) == (None, 0, None)
    assert block["sentence"] == "No image was mirrored."
    one = replace(by_grades(UNEVEN), patient_ids=("one",) * 4)
    block = laterality_block(one, one)
    assert (block["swaps"], block["asymmetry_ci_low"]) == (False, None)


def test_mirrored_zones_are_those_of_the_other_side() -> None:
    for index, zone in enumerate(ZONES):
        side, level = zone.split("_")
        other = {"left": "right", "right": "left"}[side]
        assert ZONES[MIRRORED_ZONE_INDEX[index]] == f"{other}_{level}"
