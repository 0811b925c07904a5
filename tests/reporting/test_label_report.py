from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from csi_predictor.evaluation.labels import evaluate_labels
from csi_predictor.reporting.label_report import render_label_report
from csi_predictor.reporting.wording import number

FIGURES = dict.fromkeys(
    ("auroc.png", "roc.png", "precision_recall.png", "reliability.png", "confusion.png"), b"png"
)


def render(made, **changes) -> str:
    arguments = {"run_facts": {}, "thumbnails": None, "num_thumbnails": 3, "is_volume": False}
    return render_label_report(made.evaluation, made.predictions, FIGURES, **arguments | changes)


class Addresses(HTMLParser):
    """Everything that a browser would load."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag, attrs) -> None:
        self.tags.add(tag)
        self.found += [value for name, value in attrs if name in ("src", "href", "data")]


def test_the_report_loads_nothing_from_outside(label_case, class_case) -> None:
    for made, count in ((label_case, 4), (class_case, 5)):
        text = render(made)
        page = Addresses()
        page.feed(text)
        assert len(page.found) == count
        assert all(address.startswith("data:image/") for address in page.found)
        assert not page.tags & {"script", "link", "iframe", "object"}
        assert "url(" not in text


def test_the_report_of_labels_shows_the_figures_of_the_metrics__weakness_004_06(label_case) -> None:
    text, metrics = render(label_case), label_case.evaluation.metrics
    for name in ("auroc_macro", "auprc_macro", "auroc_micro", "f1_macro", "ece", "brier"):
        assert number(metrics[name], 3) in text
        assert number(metrics[f"{name}_ci_low"], 3) in text
        assert number(metrics["baseline"][name], 3) in text
    block = metrics["labels"]["Effusion"]
    assert f"<td>{number(block['threshold'])}</td>" in text
    assert f"{number(block['auroc'])}<small>{number(block['auroc_ci_low'])} to" in text
    for note in label_case.evaluation.notes:
        assert note.split(":")[0] in text


def test_the_report_of_classes_shows_the_figures_of_the_metrics(class_case) -> None:
    text, metrics = render(class_case), class_case.evaluation.metrics
    for name in ("accuracy", "balanced_accuracy", "auroc_macro", "f1_macro", "ece", "brier"):
        assert number(metrics[name], 3) in text
        assert number(metrics["gain_over_baseline"][name], 3) in text
    is_binary = len(metrics["names"]) == 2
    assert ("AUROC, pneumonia" in text) == is_binary
    assert ("AUROC, macro" in text) != is_binary


def test_names_and_facts_are_escaped_and_no_patient_is_named(label_case) -> None:
    text = render(label_case, run_facts={"Model": "<script>x</script>", "INI": "[DATA]\nA = 1"})
    assert "=Mass &lt;b&gt;" in text
    assert '<b>"' not in text
    assert "<script>" not in text
    assert "<summary>INI</summary><pre>[DATA]\nA = 1</pre>" in text
    assert "SECRET" not in text
    assert label_case.predictions.file_ids[label_case.evaluation.worst[0]] in text


def test_worst_cases_come_with_pictures_and_their_calls(label_case) -> None:
    text = render(
        label_case, thumbnails=lambda file_id: np.full((3, 30, 20), 0.5), num_thumbnails=5
    )
    assert text.count("data:image/jpeg;base64,") == 5
    cases = text[text.index("The worst cases") : text.index("All figures")]
    assert 'class="wrong"' in cases
    assert "present, " in cases


def test_a_case_lists_what_is_present_or_called_and_marks_what_is_wrong(label_case) -> None:
    made = label_case.predictions.take(np.array([0, 1, 2]))
    targets = np.array([[1, 0, 0], [1, 0, np.nan], [0, 1, 0]])
    probs = np.array([[0.9, 0.1, 0.2], [0.01, 0.77, 0.99], [0.1, 0.9, 0.1]])
    made = replace(made, targets=targets, probs=probs)
    text = render(type(label_case)(evaluate_labels(made, rounds=0), made), num_thumbnails=1)
    cases = text[text.index("The worst cases") : text.index("All figures")]
    calls = [line.strip() for line in cases.splitlines() if "<dt" in line]
    assert calls == [
        '<dt class="wrong">Effusion</dt><dd>present, 1 %</dd>',
        '<dt class="wrong">=Mass &lt;b&gt;</dt><dd>absent, 77 %</dd>',
    ]


def test_a_volume_shows_its_middle_slice_and_says_so(class_case) -> None:
    text = render(class_case, thumbnails=lambda file_id: np.full((9, 30, 20), 0.5), is_volume=True)
    assert "the volume’s middle slice" in text
    assert text.count("data:image/jpeg;base64,") == 3


def test_without_thumbnails_there_is_no_section_of_worst_cases(label_case) -> None:
    assert "The worst cases" not in render(label_case, num_thumbnails=0)


@pytest.mark.parametrize("rounds", [0, 20])
def test_a_single_image_has_a_report(label_case, class_case, rounds: int) -> None:
    for made in (label_case, class_case):
        one = made.predictions.take(np.array([0]))
        text = render(type(made)(evaluate_labels(one, rounds=rounds), one))
        assert "Only 1 patient:" in text
        assert "Research use, not for diagnosis" in text


def test_thresholds_are_said_to_be_chosen_only_where_they_are(label_case) -> None:
    assert "chosen on validation images" in render(label_case)
    unchosen = replace(label_case.predictions, thresholds=())
    text = render(type(label_case)(evaluate_labels(unchosen, rounds=0), unchosen))
    assert "chosen on validation images" not in text
    assert "called from 0.5 on" in text
