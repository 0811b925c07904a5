from html.parser import HTMLParser
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from csi_predictor.evaluation.triage import triage_block
from csi_predictor.inference.questions import Questions
from csi_predictor.metrics.bootstrap import resample_patients
from csi_predictor.reporting.page import page_environment
from csi_predictor.reporting.triage_figures import (
    chosen_policies,
    count_text,
    draw_rates,
    draw_triage,
)
from csi_predictor.specs import ZONES
from csi_predictor.uncertainty.triage import POLICIES, TriageSettings
from csi_predictor.uncertainty.triage_choice import choose_policies

TASKS = {
    "zones": (ZONES, tuple("0123"), ("3",)),
    "labels": (("Effusion", "=Mass <b>"), ("absent", "present"), ("=Mass <b>",)),
    "classes": (("class",), ("normal", "edema", "<i>mass</i>"), ("edema",)),
}


def questions_of(names, answers, seed: int, num_images: int = 60) -> Questions:
    rng = np.random.default_rng(seed)
    shape = (num_images, len(names))
    probs = rng.dirichlet(np.full(len(answers), 0.3), shape)
    chance = rng.random(shape)[..., None]
    targets = (probs.cumsum(axis=-1) < chance).sum(axis=-1).astype(float)
    targets = np.minimum(targets, len(answers) - 1)
    targets[rng.random(shape) < 0.1] = np.nan
    return Questions(
        names=names,
        answers=answers,
        is_ordered=answers[0] == "0",
        patient_ids=tuple(f"SECRET{index // 2}" for index in range(num_images)),
        probs=probs,
        targets=targets,
        given=probs.argmax(axis=-1),
    )


def block_of(names, answers, *, num_images=60, rounds=20, has_second=False, **settings):
    validation = questions_of(names, answers, seed=1)
    questions = questions_of(names, answers, seed=2, num_images=num_images)
    asked = TriageSettings(**{"target_accuracy": 0.8, "error_cost": 4.0} | settings)
    return triage_block(
        questions,
        1 - questions.confidence.mean(axis=1),
        choose_policies(POLICIES, validation, 1 - validation.confidence.mean(axis=1), asked),
        settings=asked,
        resampling=resample_patients(questions.patient_ids, rounds=rounds, seed=0),
        second_reader=np.zeros(questions.targets.shape) if has_second else None,
    )


@pytest.fixture(scope="module", params=TASKS)
def block(request):
    names, answers, critical = TASKS[request.param]
    return block_of(names, answers, critical=critical, has_second=request.param == "zones")


def check_ink(figures: dict[str, bytes]) -> None:
    for name, content in figures.items():
        with Image.open(BytesIO(content)) as picture:
            assert picture.format == "PNG", name
            assert max(picture.size) < 2800, name
            assert np.asarray(picture.convert("L")).std() > 10, name


def render(block, names=("triage.png", "triage_confusion.png")) -> str:
    figures = dict.fromkeys(names, "data:image/png;base64,AA==")
    template = page_environment().get_template("triage.html.j2")
    return template.render(metrics={"triage": block}, figures=figures)


def test_both_figures_are_png_with_ink(block) -> None:
    figures = draw_triage(block)
    assert set(figures) == {"triage.png", "triage_confusion.png"}
    check_ink(figures)


def test_equal_blocks_give_equal_bytes() -> None:
    block = block_of(("class",), ("a", "b"), rounds=0)
    assert draw_rates(block) == draw_rates(block)


@pytest.mark.parametrize(("num_answers", "has_tables"), [(10, True), (11, False)])
def test_tables_are_drawn_up_to_ten_answers(num_answers: int, has_tables: bool) -> None:
    answers = tuple(f"class {k} with a name that goes on and on" for k in range(num_answers))
    figures = draw_triage(block_of(("class",), answers, rounds=0))
    assert ("triage_confusion.png" in figures) == has_tables
    check_ink(figures)


def test_without_an_image_there_is_nothing_to_draw_or_tell() -> None:
    block = block_of(("class",), ("a", "b"), num_images=0)
    assert draw_triage(block) == {}
    assert render(block).strip() == ""


def test_skipped_policies_and_undefined_figures_are_drawn_without_marks() -> None:
    block = block_of(("class",), ("a", "b"), num_images=2, rounds=0)
    assert chosen_policies(block) == ("threshold", "budget", "cost")
    for policy in ("threshold", "budget", "cost"):
        block["policies"][policy] = block["policies"]["class_critical"]
    figures = draw_triage(block)
    assert set(figures) == {"triage.png"}
    check_ink(figures)
    text = render(block, names=figures)
    assert text.count("This policy was not chosen: no critical answers are named.") == 4
    assert "triage_confusion" not in text


def test_where_nothing_is_known_the_figure_is_an_empty_frame() -> None:
    questions = questions_of(("class",), ("a", "b"), seed=0)
    unknown = Questions(
        **{
            name: getattr(questions, name)
            for name in ("names", "answers", "is_ordered", "patient_ids", "probs", "given")
        },
        targets=np.full((60, 1), np.nan),
    )
    settings = TriageSettings()
    block = triage_block(
        unknown,
        np.arange(60.0),
        choose_policies(POLICIES, questions, np.arange(60.0), settings),
        settings=settings,
        resampling=resample_patients(unknown.patient_ids, rounds=5, seed=0),
    )
    assert set(draw_triage(block)) == {"triage.png", "triage_confusion.png"}
    assert "Which images the model may answer by itself" in render(block)


@pytest.mark.parametrize(
    ("count", "text"), [(1204.3, "1,204"), (0.3, "0.3"), (0.04, "0"), (9.0, "9"), (12.5, "12")]
)
def test_small_expected_counts_have_a_decimal(count: float, text: str) -> None:
    assert count_text(count) == text


class Tags(HTMLParser):
    """Tags that are opened and not closed, and what would be loaded."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loaded: list[str] = []

    def handle_starttag(self, tag, attrs) -> None:
        self.loaded += [value for name, value in attrs if name in ("src", "href")]
        if tag not in ("img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag) -> None:
        assert self.open.pop() == tag


def test_the_section_tells_every_policy_and_its_figures(block) -> None:
    text = render(block)
    page = Tags()
    page.feed(text)
    assert page.open == []
    assert len(page.loaded) == 2
    assert "SECRET" not in text
    assert "nothing was chosen on the 60 images measured here" in text
    for policy in block["policies"].values():
        assert policy["sentence"] in text
        assert f"{100 * policy['system_accuracy']:.1f} %" in text
        assert f"{100 * policy['deferral_rate']:.1f} %" in text
        assert f"validation {100 * policy['validation']['deferral_rate']:.1f}" in text
    assert "not used to choose anything" in text
    assert "This is a setting, not a measurement" in text
    assert ("second<br>reader" in text) == (block["model_alone"]["second_reader"] is not None)


def test_the_section_says_what_hard_cases_do_to_the_reader__weakness_001_02(block) -> None:
    text = render(block)
    for name, share in block["reader"]["harder_cases"].items():
        assert f"{100 * share:.1f} % on {name}" in text
    policy = block["policies"]["budget"]
    assert f"{100 * policy['system_accuracy_harder_cases']:.1f} %" in text


def test_names_are_escaped_and_zones_have_their_titles() -> None:
    names, answers, critical = TASKS["labels"]
    text = render(block_of(names, answers, critical=critical))
    assert "=Mass &lt;b&gt;" in text
    assert "<b>," not in text
    names, answers, critical = TASKS["classes"]
    assert "&lt;i&gt;mass&lt;/i&gt;" in render(block_of(names, answers))
    names, answers, critical = TASKS["zones"]
    assert "<td>Right upper</td>" in render(block_of(names, answers))


def test_a_reader_by_answer_is_told_answer_by_answer() -> None:
    names, answers, _ = TASKS["labels"]
    text = render(block_of(names, answers, reader_accuracy=(0.97, 0.85)))
    assert "(absent 97 %, present 85 %)" in text


def test_without_triage_the_section_is_empty() -> None:
    assert render(None).strip() == ""
