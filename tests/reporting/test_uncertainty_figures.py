"""Figures and partials of uncertainty and prediction sets: drawn, rendered, and what they say."""

from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from csi_predictor.evaluation.uncertainty import conformal_block, uncertainty_block
from csi_predictor.inference.questions import Questions, questions_of
from csi_predictor.inference.spread import spread_of
from csi_predictor.metrics.bootstrap import resample_patients
from csi_predictor.reporting.page import page_environment
from csi_predictor.reporting.uncertainty_figures import draw_uncertainty
from csi_predictor.reporting.wording import number, percent
from csi_predictor.uncertainty.conformal import Conformal, fit_conformal

FIGURES = dict.fromkeys(("risk_coverage.png", "conformal.png"), "data:image/png;base64,")
CONFORMAL = Conformal(
    coverage=0.8, is_ordered=False, threshold=0.7, num_calibration=200, num_patients=50
)


@pytest.fixture(params=["zones", "labels", "classes"])
def questions(request, case, label_case):
    cases = {"zones": case, "labels": label_case}
    if request.param in cases:
        return questions_of(cases[request.param].predictions)
    rng = np.random.default_rng(6)
    probs = rng.dirichlet(np.ones(3), (40, 1))
    return Questions(
        names=("class",),
        answers=("normal", "pneumonia", "edema"),
        is_ordered=False,
        patient_ids=tuple(f"SECRET{index}" for index in range(40)),
        probs=probs,
        targets=rng.integers(0, 3, (40, 1)).astype(float),
        given=probs.argmax(axis=-1),
    )


def blocks_of(questions, *, num_passes=1, rounds=40, measure="confidence", conformal=CONFORMAL):
    resampling = resample_patients(questions.patient_ids, rounds=rounds, seed=0)
    noise = np.random.default_rng(3).dirichlet(
        np.ones(len(questions.answers)), (num_passes, *questions.targets.shape)
    )
    spread = spread_of(0.6 * questions.probs / questions.probs.sum(-1, keepdims=True) + 0.4 * noise)
    conformal = replace(conformal, is_ordered=questions.is_ordered)
    return {
        "uncertainty": uncertainty_block(questions, spread, resampling, measure=measure),
        "conformal": conformal_block(questions, conformal, resampling),
    }


def render(name, metrics) -> str:
    template = page_environment().get_template(f"{name}.html.j2")
    return template.render(metrics=metrics, figures=FIGURES)


def test_every_figure_is_a_png_with_ink(questions) -> None:
    metrics = blocks_of(questions)
    figures = draw_uncertainty(metrics["uncertainty"], metrics["conformal"])
    assert set(figures) == {"risk_coverage.png", "conformal.png"}
    for name, content in figures.items():
        with Image.open(BytesIO(content)) as picture:
            assert picture.format == "PNG", name
            assert np.asarray(picture.convert("L")).std() > 10, name
    assert set(draw_uncertainty(metrics["uncertainty"])) == {"risk_coverage.png"}
    assert draw_uncertainty(metrics["uncertainty"], metrics["conformal"]) == figures


@pytest.mark.parametrize("num_images", [1, 3])
@pytest.mark.parametrize("is_known", [True, False])
def test_where_almost_nothing_is_defined_it_is_drawn_and_said(
    questions, num_images: int, is_known: bool
) -> None:
    few = questions.take(np.arange(num_images))
    if not is_known:
        few = replace(few, targets=np.full_like(few.targets, np.nan))
    metrics = blocks_of(few, rounds=0)
    assert len(draw_uncertainty(metrics["uncertainty"], metrics["conformal"])) == 2
    for name in ("uncertainty", "conformal"):
        text = render(name, metrics)
        assert ("nothing can be said" in text) or is_known
        assert "nan" not in text.lower()


def test_the_partials_show_the_figures_of_the_blocks(questions) -> None:
    metrics = blocks_of(questions, num_passes=4)
    text, block = render("uncertainty", metrics), metrics["uncertainty"]
    chosen = block["measures"]["confidence"]
    assert f"answers with a known truth {percent(chosen['risk_at_100'])} are wrong" in text
    assert f"{percent(chosen['risk_at_80'])} of the rest are wrong" in text
    assert f"in {percent(chosen['error_auroc'])} of pairs" in text
    for figures in (*block["measures"].values(), *block["by_question"].values()):
        assert number(figures["error_auroc"]) in text
        assert number(figures["aurc"], 3) in text
    assert (">MAE<" in text) == questions.is_ordered
    assert f"Mean entropy {number(block['total'], 3)} nats, from 4 passes" in text
    text, block = render("conformal", metrics), metrics["conformal"]
    assert f"It is for {percent(block['coverage_of_patients'])}" in text
    assert f"for {percent(block['coverage'])} of all {block['n']} answers" in text
    assert f"has {number(block['mean_size'], 1)} of {len(questions.answers)} answers" in text
    for figures in block["by_answer"].values():
        assert percent(figures["coverage"]) in text
    assert ("Intervals of grades" in text) == questions.is_ordered


def test_zones_have_their_titles_and_names_are_escaped(case, label_case) -> None:
    zones, labels = (blocks_of(questions_of(made.predictions)) for made in (case, label_case))
    for name in ("uncertainty", "conformal"):
        assert "<td>Right upper</td>" in render(name, zones)
        text = render(name, labels)
        assert "<td>=Mass &lt;b&gt;</td>" in text
        assert '<b>"' not in text
        assert "SECRET" not in text


def test_whether_a_fall_is_beyond_chance_is_said(questions) -> None:
    metrics = blocks_of(questions)
    chosen = metrics["uncertainty"]["measures"]["confidence"]
    for low, high, words in (
        (0.01, 0.05, ": fewer, beyond chance."),
        (-0.05, -0.01, ": more, beyond chance. Its uncertainty misleads."),
        (-0.01, 0.05, ": a difference that may be chance."),
    ):
        chosen |= {"risk_fall_at_80_ci_low": low, "risk_fall_at_80_ci_high": high}
        assert words in render("uncertainty", metrics)
    chosen |= {"spearman_p": 0.0, "point_biserial_p": 0.034}
    text = render("uncertainty", metrics)
    assert "p &lt; 0.001" in text
    assert "p = 0.034" in text


def test_one_pass_is_said_to_have_no_parts(questions) -> None:
    text = render("uncertainty", blocks_of(questions))
    assert "Each answer was made in one pass" in text
    assert "Disagreement" not in text


def test_a_coverage_below_what_was_asked_is_said(questions) -> None:
    metrics = blocks_of(questions)
    for is_short in (True, False, None):
        metrics["conformal"] |= {"is_short": is_short}
        assert ("less than asked, by more than chance" in render("conformal", metrics)) is (
            is_short is True
        )


def test_the_true_answer_that_is_held_most_seldom_is_named(questions) -> None:
    metrics = blocks_of(questions)
    answers = metrics["conformal"]["by_answer"]
    for figures in answers.values():
        figures["coverage"] = 0.9
    assert "only" not in render("conformal", metrics)
    last = list(answers)[-1]
    answers[last]["coverage"] = 0.31
    grade = "grade " if questions.is_ordered else ""
    assert f"where the truth is {grade}{last}, only 31 % of" in render("conformal", metrics)


def test_too_few_validation_patients_are_said(questions) -> None:
    few = fit_conformal(questions.take(np.arange(4)), coverage=0.9)
    text = render("conformal", blocks_of(questions, conformal=few))
    assert "and at least 9 are needed to promise 90 %" in text
    assert "holds all" in text


def test_without_prediction_sets_nothing_is_written() -> None:
    assert render("conformal", {"conformal": None}).strip() == ""
