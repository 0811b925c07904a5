from dataclasses import replace
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import Image

from csi_predictor.evaluation.calibration import calibration_report
from csi_predictor.inference.questions import Questions, questions_of
from csi_predictor.metrics.bootstrap import resample_patients
from csi_predictor.reporting.calibration_figures import draw_calibration
from csi_predictor.reporting.page import page_environment
from csi_predictor.reporting.wording import number


def block_of(before: Questions, *, method: str = "temperature", rounds: int = 40) -> dict[str, Any]:
    roots = np.sqrt(before.probs)
    after = replace(before, probs=roots / roots.sum(axis=-1, keepdims=True))
    resampling = resample_patients(before.patient_ids, rounds=rounds, seed=0)
    return {
        "method": method,
        "scope": "head",
        "description": f"{method} <2>",
        "fitted_on": "the validation images",
        "num_fitted": 1234,
        **calibration_report(before, before if method == "none" else after, resampling),
    }


def render(block: dict[str, Any]) -> str:
    template = page_environment().get_template("calibration.html.j2")
    return template.render(metrics={"calibration": block}, figures={"calibration.png": "data:x"})


@pytest.fixture(params=["zones", "labels", "classes"])
def questions(request, case, label_case) -> Questions:
    if request.param != "classes":
        return questions_of((case if request.param == "zones" else label_case).predictions)
    probs = np.random.default_rng(6).dirichlet(np.ones(3) / 2, (40, 1))
    return Questions(
        names=("class",),
        answers=("normal", "pneumonia", "edema"),
        is_ordered=False,
        patient_ids=tuple(f"SECRET{index // 2}" for index in range(40)),
        probs=probs,
        targets=np.where(np.arange(40) % 4, probs.argmax(axis=-1).T, np.arange(40) % 3).T * 1.0,
        given=probs.argmax(axis=-1),
    )


@pytest.mark.parametrize("method", ["none", "temperature"])
def test_the_figure_is_a_png_with_ink_and_wider_with_both_sides(questions, method) -> None:
    figures = draw_calibration(block_of(questions, method=method))
    assert set(figures) == {"calibration.png"}
    with Image.open(BytesIO(figures["calibration.png"])) as picture:
        assert picture.format == "PNG"
        assert np.asarray(picture.convert("L")).std() > 10
        assert (picture.width > picture.height) == (method != "none")


def test_equal_blocks_give_equal_bytes(case) -> None:
    block = block_of(questions_of(case.predictions))
    assert draw_calibration(block) == draw_calibration(block)


def test_a_figure_is_drawn_where_nothing_is_known(questions) -> None:
    unknown = replace(questions, targets=np.full_like(questions.targets, np.nan))
    block = block_of(unknown)
    assert set(draw_calibration(block)) == {"calibration.png"}
    assert "lies on average – from how often it comes true" in render(block)


def test_the_section_shows_the_figures_of_both_sides(questions) -> None:
    block = block_of(questions)
    text = render(block)
    for side in ("before", "after"):
        for name in ("ece", "ece_adaptive", "ece_classwise", "mce", "brier", "nll"):
            assert f"{number(block[side][name], 3)}" in text
        assert f"<small>{number(block[side]['ece_ci_low'], 3)} to" in text
    assert number(block["gain"]["nll"], 3) in text
    assert "Fitted on the validation images (1,234 known answers)" in text
    assert "temperature &lt;2&gt;" in text
    each = block["after"]["by_question"].values()
    assert all(number(own["ece"], 3) in text for own in each if len(each) > 1)
    has_titles = "Right upper" in text
    assert has_titles == questions.is_ordered


def test_the_section_without_calibration_shows_one_side(questions) -> None:
    text = render(block_of(questions, method="none"))
    assert "The probabilities were not calibrated." in text
    assert "none &lt;2&gt;" in text
    for word in ("Before", "After", "Gain", "Fitted on", "log score, which"):
        assert word not in text


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.01, 0.05, "calibration helped on these images, beyond chance"),
        (-0.05, -0.01, "calibration did harm on these images, beyond chance"),
        (-0.01, 0.05, "the difference may be chance"),
        (None, None, "Whether that is more than chance wasn’t computed"),
    ],
)
def test_the_verdict_follows_the_interval_of_the_gain(case, low, high, expected) -> None:
    block = block_of(questions_of(case.predictions))
    block["gain"] |= {"nll_ci_low": low, "nll_ci_high": high}
    assert expected in render(block)


def test_labels_are_told_of_presence_other_answers_of_being_right(questions) -> None:
    text = render(block_of(questions))
    assert ("the label is present in" in text) == (questions.answers == ("absent", "present"))
    assert ("sure of the answer it gives, and right in" in text) == (
        questions.answers != ("absent", "present")
    )
    assert ("0 to 1; 0 is perfect" in text) == (questions.answers == ("absent", "present"))


def test_names_are_escaped_and_no_patient_is_named(label_case) -> None:
    text = render(block_of(questions_of(label_case.predictions)))
    assert "=Mass &lt;b&gt;" in text
    assert "SECRET" not in text
