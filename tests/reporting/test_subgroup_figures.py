"""The picture and the parts of the report that tell of groups of patients and of another model."""

import copy
from dataclasses import replace
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import Image

from csi_predictor.evaluation.main_draws import Answers
from csi_predictor.evaluation.subgroups import subgroups_block
from csi_predictor.evaluation.versus import versus_block
from csi_predictor.inference.predictions import Predictions
from csi_predictor.metrics.bootstrap import resample_patients
from csi_predictor.reporting.page import page_environment
from csi_predictor.reporting.subgroup_figures import draw_subgroups
from csi_predictor.reporting.wording import number

FIGURES = {"subgroups.png": "data:image/png;base64,AA"}


@pytest.fixture(params=["zones", "labels", "classes"])
def answers(request, case, label_case) -> Answers:
    """Forty images of twenty patients."""
    if request.param == "zones":
        return case.predictions
    labels = label_case.predictions
    if request.param == "labels":
        return labels
    probs = labels.probs / labels.probs.sum(axis=1, keepdims=True)
    return replace(
        labels,
        target_spec=replace(labels.target_spec, task="multiclass", num_classes=3),
        targets=np.arange(40.0)[:, None] % 3,
        probs=probs,
        thresholds=(),
    )


def groups_of(answers: Answers, *, rounds: int = 40) -> dict[str, Any]:
    ward = ["<b>", "South", "South", None] * 10
    attributes = {"sex": ("F", "F", "M", "M") * 10, "ward": ward, "age": ["<40"] * 6 + ["40+"] * 34}
    return subgroups_block(answers, attributes, rounds=rounds, seed=0)


def other_than(answers: Answers) -> Answers:
    """A model that mixes each answer with chance."""
    rng = np.random.default_rng(1)
    if isinstance(answers, Predictions):
        chance = rng.dirichlet(np.ones(4), answers.targets.shape)
        return replace(answers, grade_probs=0.3 * answers.grade_probs + 0.7 * chance)
    chance = rng.dirichlet(np.ones(answers.probs.shape[1]), len(answers))
    return replace(answers, probs=0.3 * answers.probs + 0.7 * chance)


def duel_of(answers: Answers, other: Answers, *, rounds: int = 40) -> dict[str, Any]:
    resampling = resample_patients(answers.patient_ids, rounds=rounds, seed=0)
    return versus_block(answers, other, resampling)


def render(name: str, **metrics: Any) -> str:
    template = page_environment().get_template(f"{name}.html.j2")
    return " ".join(template.render(metrics=metrics, figures=FIGURES).split())


def is_picture(content: bytes) -> bool:
    with Image.open(BytesIO(content)) as picture:
        return (
            picture.format == "PNG"
            and min(picture.size) > 300
            and len(picture.getcolors(1 << 24)) > 9
        )


def test_every_group_is_drawn(answers) -> None:
    block = groups_of(answers)
    figures = draw_subgroups(block)
    assert list(figures) == ["subgroups.png"]
    assert is_picture(figures["subgroups.png"])
    assert draw_subgroups(block) == figures


def test_the_more_groups_the_taller(case) -> None:
    heights = []
    for count in (2, 20):
        ward = [f"w{index % count}" for index in range(40)]
        block = subgroups_block(case.predictions, {"ward": ward}, rounds=0, seed=0)
        with Image.open(BytesIO(draw_subgroups(block)["subgroups.png"])) as picture:
            heights.append(picture.height)
    assert heights[1] > 2 * heights[0]


def test_a_group_that_cant_be_measured_and_a_warning_are_drawn(case) -> None:
    block = copy.deepcopy(groups_of(case.predictions))
    quiet = draw_subgroups(block)["subgroups.png"]
    block["by_attribute"]["sex"]["F"]["warning"] = True
    warned = draw_subgroups(block)["subgroups.png"]
    block["by_attribute"]["sex"]["F"]["zone_mae"] = None
    block["overall"]["zone_mae"] = None
    missing = draw_subgroups(block)["subgroups.png"]
    assert len({quiet, warned, missing}) == 3


def test_the_table_of_groups_shows_the_figures_and_is_escaped(answers) -> None:
    block = groups_of(answers)
    text = render("subgroups", subgroups=block)
    for attribute, groups in block["by_attribute"].items():
        for value, row in groups.items():
            assert f"{attribute}: {value}".replace("<", "&lt;").replace(">", "&gt;") in text
            assert f'<td class="own">{number(row[block["main"]])}' in text
    assert "<b>:" not in text
    assert "ward: unknown" in text
    assert "too few to tell" in text  # 3 patients below 40
    assert 'src="data:image/png;base64,AA"' in text
    assert "SECRET" not in text


def test_the_lead_says_that_nothing_was_found_or_could_be_compared(case) -> None:
    block = groups_of(case.predictions)
    assert block["warnings"] == []
    text = render("subgroups", subgroups=block)
    assert "No group of 10 patients or more differs from the others by more than chance" in text
    assert "no proof that all are alike" in text
    assert f"for all {block['n_tests']} tests" in text
    untested = render("subgroups", subgroups=groups_of(case.predictions, rounds=0))
    assert "Nothing could be compared" in untested
    assert "Gap to the others" not in untested


def test_the_lead_counts_the_groups_that_are_worse(case) -> None:
    block = groups_of(case.predictions) | {"warnings": ["sex <F>: worse beyond chance: x."]}
    text = render("subgroups", subgroups=block)
    assert "1 group differs from the others by more than chance explains" in text
    assert "<li>sex &lt;F&gt;: worse beyond chance: x.</li>" in text


def test_a_gap_has_its_sign_and_its_p(case) -> None:
    block = copy.deepcopy(groups_of(case.predictions))
    gap = block["by_attribute"]["sex"]["F"]["gap"]
    gap |= {"zone_mae": 0.21, "zone_mae_ci_low": 0.1, "zone_mae_ci_high": 0.3}
    gap |= {"zone_mae_p_holm": 0.0004, "zone_qwk": -0.31, "zone_qwk_p_holm": None}
    text = render("subgroups", subgroups=block)
    assert "+0.21<small>0.10 to 0.30</small>" in text
    assert "&lt; 0.001" in text
    assert "−0.31" in text


@pytest.mark.parametrize("name", ["subgroups", "versus"])
def test_nothing_is_written_where_nothing_was_asked_for(name: str) -> None:
    assert render(name, **{name: None}) == ""
    assert render(name) == ""


def test_the_comparison_shows_both_models_and_the_gain(answers) -> None:
    block = duel_of(answers, other_than(answers))
    text = render("versus", versus=block)
    for row in block["figures"].values():
        assert f'<td class="own">{number(row["mine"], 3)}' in text
        assert f"<td>{number(row['other'], 3)}" in text
    assert "Both models answered the same 40 images of 20 patients" in text
    assert "here some patients have several, so its p are too small" in text
    assert ("One test a zone" in text) == isinstance(answers, Predictions)
    assert ("Obuchowski 1997" in text) == (not isinstance(answers, Predictions))
    assert "SECRET" not in text


def test_the_other_models_name_is_escaped(case) -> None:
    block = {"other": "<net>", **duel_of(case.predictions, other_than(case.predictions))}
    assert "; the other one is &lt;net&gt;." in render("versus", versus=block)


def test_the_verdict_stands_in_the_lead(case) -> None:
    mine, other = case.predictions, other_than(case.predictions)
    block = duel_of(mine, other) | {"verdict": "worse beyond chance"}
    text = render("versus", versus=block)
    main = block["figures"]["zone_qwk"]
    assert f"This model is worse beyond chance: Agreement (QWK) {number(main['mine'], 3)}" in text
    same = render("versus", versus=duel_of(mine, mine))
    assert "They can’t be told apart" in same
    assert "Both models give the same answers." in same
    undrawn = render("versus", versus=duel_of(mine, other, rounds=0))
    assert (
        "Nothing can be said of which is better. The figure is undefined, or no rounds" in undrawn
    )
    alone = replace(mine, patient_ids=mine.file_ids)
    text = render("versus", versus=duel_of(alone, replace(other, patient_ids=mine.file_ids)))
    assert "here some patients have several" not in text
