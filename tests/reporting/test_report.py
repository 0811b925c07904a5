import re
from html.parser import HTMLParser

import numpy as np
import pytest

from csi_predictor.evaluation.evaluate import evaluate
from csi_predictor.reporting.report import render_report
from csi_predictor.reporting.wording import number
from csi_predictor.specs import ZONES

FIGURES = dict.fromkeys(
    (
        *("zone_mae.png", "confusion_by_zone.png", "csi_scatter.png"),
        *("csi_bland_altman.png", "grade_distribution.png", "reliability.png"),
    ),
    b"png",
)


@pytest.fixture
def render(case):
    def call(**changes) -> str:
        arguments = {"run_facts": {}, "thumbnails": None, "num_thumbnails": 3} | changes
        return render_report(case.evaluation, case.predictions, FIGURES, **arguments)

    return call


class Addresses(HTMLParser):
    """Everything that a browser would load."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag, attrs) -> None:
        self.tags.add(tag)
        self.found += [value for name, value in attrs if name in ("src", "href", "data")]


def test_the_report_loads_nothing_from_outside(render) -> None:
    text = render()
    page = Addresses()
    page.feed(text)
    assert len(page.found) == 6
    assert all(address.startswith("data:image/") for address in page.found)
    assert not page.tags & {"script", "link", "iframe", "object"}
    assert "url(" not in text
    assert "@import" not in text


def test_the_report_shows_the_figures_of_the_metrics__weakness_9(render, case) -> None:
    text, metrics = render(), case.evaluation.metrics
    for name in ("zone_mae", "zone_qwk", "icc", "zone_f1_weighted", "zone_accuracy", "csi_mae"):
        assert metrics[name] > 0
        assert number(metrics[name]) in text
        assert number(metrics[f"{name}_ci_low"]) in text
    for zone in ZONES:
        assert number(metrics["zones"][zone]["qwk"]) in text


def test_facts_are_escaped(render) -> None:
    text = render(run_facts={"Model": "<script>alert(1)</script>", "INI": "[DATA]\nA = <b>"})
    assert "<script>" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert re.search(r"<summary>INI</summary><pre>\[DATA\]\nA = &lt;b&gt;</pre>", text)


def test_the_report_names_files_but_no_patient(render, case) -> None:
    text = render()
    assert case.predictions.file_ids[case.evaluation.worst[0]] in text
    assert "SECRET" not in text


def test_worst_cases_come_with_pictures_and_marked_sides(render) -> None:
    text = render(thumbnails=lambda path: np.full((30, 20), 0.5), num_thumbnails=5)
    assert text.count("data:image/jpeg;base64,") == 5
    assert text.count('<span class="r">R</span><span class="l">L</span>') == 5


def test_zones_of_a_case_stand_as_the_lungs_do(render, case) -> None:
    text = render(num_thumbnails=1)
    titles = re.findall(r'class="zone[^"]*" title="([^"]+)"', text)
    assert titles == [
        *("Right upper", "Left upper", "Right middle"),
        *("Left middle", "Right lower", "Left lower"),
    ]


def test_without_thumbnails_there_is_no_section_of_worst_cases(render) -> None:
    assert "The worst cases" not in render(num_thumbnails=0)


def test_the_report_says_what_it_must_not_be_used_for(render) -> None:
    assert "Research use, not for diagnosis" in render()


def test_two_hundred_thumbnails_stay_small(render) -> None:
    noise = np.random.default_rng(0).random((512, 512))  # nothing compresses worse
    per_case = len(render(thumbnails=lambda path: noise, num_thumbnails=10)) / 10
    assert 200 * per_case < 15_000_000


def test_a_single_image_without_second_reader_has_a_report(case) -> None:
    one = case.predictions.take(np.array([0]))
    text = render_report(
        evaluate(one), one, FIGURES, run_facts={}, thumbnails=None, num_thumbnails=1
    )
    assert "Only 1 patients" not in text
    assert "Only 1 patient:" in text
    assert "econd reader" not in text.split("<style>")[0] + text.split("</style>")[1]
