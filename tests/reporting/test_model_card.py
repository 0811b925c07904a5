from pathlib import Path
from typing import Any

import pytest

from csi_predictor.inference.bundle import BundleFacts
from csi_predictor.models.model_spec import ModelSpec
from csi_predictor.reporting.model_card import trust_lines, write_model_card
from csi_predictor.specs import InputSpec, TargetSpec

GREY: dict[str, Any] = {"channels": 1, "mean": (0.5,), "std": (0.5,)}


def facts_of(target_spec: TargetSpec, input_spec: InputSpec, **changes: Any) -> BundleFacts:
    values: dict[str, Any] = {
        "model_id": "resnet18-1f0c2a9e",
        "model_sha256": "aa",
        "config_sha256": "bb",
        "spec": ModelSpec(
            architecture="resnet18", input_spec=input_spec, target_spec=target_spec, head="linear"
        ),
        "test_time": "none",
        "baseline_grades": (),
        "learnt_ids": frozenset(),
        "training": {"images_trained": 90},
        "versions": {"torch": "2.6"},
        "config_ini": "",
        "num_members": 5,
    }
    return BundleFacts(**values | changes)


def card(tmp_path: Path, facts: BundleFacts, metrics: Any = None) -> str:
    write_model_card(tmp_path / "model_card.md", facts, metrics)
    return (tmp_path / "model_card.md").read_text(encoding="utf-8")


def test_six_zones_are_spoken_of_as_before(tmp_path: Path, case) -> None:
    metrics = case.evaluation.metrics
    text = card(tmp_path, facts_of(TargetSpec(), InputSpec(size=(224, 224))), metrics)
    assert "Grades congestion in six lung zones of a frontal chest radiograph" in text
    assert "zone focus `pooling`; 5 networks, averaged" in text
    assert "- Input: 3 channel(s), 224 x 224 pixels, fitted by `stretch`" in text
    value, low = metrics["zone_mae"], metrics["zone_mae_ci_low"]
    assert f"| Mean absolute error of a zone's grade (0-3) | {value:.3f} | {low:.3f} to " in text
    assert "- images trained: 90" in text


def test_labels_are_named_with_their_thresholds_and_figures(tmp_path: Path, label_case) -> None:
    metrics = label_case.evaluation.metrics
    facts = facts_of(
        label_case.predictions.target_spec,
        InputSpec(size=(224, 224)),
        label_thresholds=(0.4, 0.45, 0.9),
        label_prevalence=(0.3, 0.5, None),
    )
    text = card(tmp_path, facts, metrics)
    assert "zone" not in text.lower()
    assert "congestion" not in text.lower()
    assert "Gives the probability that each of 3 labels is present in a picture;" in text
    assert "- Effusion (30 % of the training rows, called from 0.400 on)\n" in text
    assert "- Hernia (called from 0.900 on)\n" in text
    assert f"| AUROC, mean of the labels | {metrics['auroc_macro']:.3f} | " in text
    block = metrics["labels"]["Effusion"]
    assert (
        f"| Effusion | {block['n_positive']} of {block['n_known']} | {block['auroc']:.3f} | "
        f"{block['auroc_ci_low']:.3f} to {block['auroc_ci_high']:.3f} | {block['auprc']:.3f} |"
    ) in text
    hernia = metrics["labels"]["Hernia"]
    assert f"| Hernia | 0 of {hernia['n_known']} | undefined |  | undefined |" in text


def test_classes_of_volumes_are_told_with_their_units(tmp_path: Path, class_case) -> None:
    volume = InputSpec(
        size=(64, 96, 80), hu_range=(-1000.0, 1000.0), spacing_mm=(1.5, 0.75, 0.75), **GREY
    )
    facts = facts_of(class_case.predictions.target_spec, volume, num_members=1)
    metrics = class_case.evaluation.metrics
    text = card(tmp_path, facts, metrics)
    assert f"Names the one of {len(metrics['names'])} classes that a volume belongs to" in text
    assert "64 x 96 x 80 voxels (D x H x W), of 1.5 x 0.75 x 0.75 mm, −1000 to 1000 HU" in text
    assert "looks at the volume." in text
    assert "; one network" in text
    assert f"| Share of right classes | {metrics['accuracy']:.3f} | " in text
    assert f"| pneumonia | {metrics['classes']['pneumonia']['n_positive']} of 39 | " in text
    assert "\n- pneumonia\n" in text


def test_a_bundle_without_test_images_says_so(tmp_path: Path, label_case) -> None:
    facts = facts_of(label_case.predictions.target_spec, InputSpec(size=(28, 28)))
    assert "not measured" in card(tmp_path, facts)


def test_a_task_without_a_card_is_refused(tmp_path: Path) -> None:
    facts = facts_of(TargetSpec(task="change", names=("a",)), InputSpec(size=(64, 64)))
    with pytest.raises(ValueError, match="task = change: expected one of csi, multilabel, multic"):
        card(tmp_path, facts)


def test_the_card_says_how_far_the_answers_can_be_trusted() -> None:
    assert trust_lines(None) == ["Not measured."]
    metrics = {
        "uncertainty": {"measure": "confidence"},
        "calibration": {
            "description": "temperature 1.42",
            "fitted_on": "the validation images",
            "before": {"ece": 0.1221},
            "after": {"ece": 0.0312},
        },
        "conformal": {
            "coverage": 0.912,
            "coverage_asked": 0.9,
            "mean_size": 1.84,
            "num_possible": 4,
        },
        "triage": {"policies": {"class_critical": {"sentence": "The reader gets 5."}}},
    }
    assert trust_lines(metrics) == [
        "- Calibration: temperature 1.42 (fitted on the validation images)",
        "- Mean gap of confidence and truth (ECE): 0.122 before, 0.031 after",
        "- Prediction sets asked to hold the truth in 90% of the answers hold it in 91.2%, with "
        "1.8 of 4 answers on average",
        "- Triage, class critical: The reader gets 5.",
    ]
    nothing = {**metrics, "conformal": None, "triage": None}
    assert len(trust_lines(nothing)) == 2
