import numpy as np
import pytest

from csi_predictor.evaluation.labels import evaluate_labels
from csi_predictor.reporting.label_answer import answer_sentences, headline, headline_tiles
from csi_predictor.reporting.wording import number


def test_the_headline_of_labels_names_macro_figures_with_their_intervals(label_case) -> None:
    metrics = label_case.evaluation.metrics
    text = headline(metrics)
    low, high = metrics["auroc_macro_ci_low"], metrics["auroc_macro_ci_high"]
    assert text.startswith(f"Macro AUROC {metrics['auroc_macro']:.3f} ({low:.3f} to {high:.3f}), ")
    assert f"macro AUPRC {metrics['auprc_macro']:.3f}" in text
    assert text.endswith("on 40 images")


def test_the_headline_of_classes_begins_with_the_accuracy(class_case) -> None:
    metrics = class_case.evaluation.metrics
    text = headline(metrics)
    assert text.startswith(f"Accuracy {metrics['accuracy']:.3f} (")
    is_binary = len(metrics["names"]) == 2
    assert (f", AUROC {metrics['auroc_macro']:.3f}" in text) == is_binary
    assert (f", macro AUROC {metrics['auroc_macro']:.3f}" in text) != is_binary


def test_an_undefined_figure_is_said_to_be_so(label_case) -> None:
    metrics = {**label_case.evaluation.metrics, "auroc_macro": None}
    assert headline(metrics).startswith("Macro AUROC undefined, ")


def test_without_rounds_there_is_no_interval_and_no_verdict(label_case) -> None:
    metrics = evaluate_labels(label_case.predictions, rounds=0).metrics
    assert headline(metrics).startswith(f"Macro AUROC {metrics['auroc_macro']:.3f}, ")
    assert "wasn’t computed" in " ".join(answer_sentences(metrics))


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (0.51, 0.7, "better than that, beyond chance"),
        (0.3, 0.49, "worse than that, beyond chance"),
        (0.49, 0.6, "can’t be told from that"),
    ],
)
def test_the_interval_gives_the_verdict(label_case, low, high, verdict) -> None:
    bounds = {"auroc_macro_ci_low": low, "auroc_macro_ci_high": high}
    sentences = answer_sentences({**label_case.evaluation.metrics, **bounds})
    assert verdict in sentences[1]


def test_the_answer_of_labels_names_the_best_and_the_worst(label_case) -> None:
    blocks = label_case.evaluation.metrics["labels"]
    areas = {name: blocks[name]["auroc"] for name in ("Effusion", "=Mass <b>")}
    best, worst = sorted(areas, key=lambda name: -areas[name])
    last = answer_sentences(label_case.evaluation.metrics)[-1]
    assert last == (
        f"It tells {best} best ({number(areas[best])}) and {worst} worst ({number(areas[worst])})."
    )
    assert "on average over 2 labels" in answer_sentences(label_case.evaluation.metrics)[0]


def test_the_answer_of_classes_names_the_commonest_class_and_mistake(class_case) -> None:
    metrics = class_case.evaluation.metrics
    names = metrics["names"]
    text = " ".join(answer_sentences(metrics))
    table = np.array(metrics["confusion"])
    assert f"evaluated rows, {names[table.sum(axis=1).argmax()]}, would be right in" in text
    np.fill_diagonal(table, 0)
    assert f"{table.max()} of " in text
    assert "On 39 images of 20 patients" in text


def test_where_nothing_can_be_ranked_that_is_said(label_case) -> None:
    absent = label_case.predictions.take(np.array([0]))
    (only,) = answer_sentences(evaluate_labels(absent, rounds=0).metrics)
    assert "can’t be measured" in only


def test_tiles_hold_the_model_beside_the_constant(label_case, class_case) -> None:
    for made in (label_case, class_case):
        metrics = made.evaluation.metrics
        tiles = headline_tiles(metrics)
        assert len(tiles) == 3
        for tile in tiles:
            assert [each.kind for each in tile.yardsticks] == ["model", "constant"]
            assert tile.value == tile.yardsticks[0].text
    ranked = headline_tiles(label_case.evaluation.metrics)[0]
    assert ranked.title == "Macro AUROC"
    assert ranked.yardsticks[1].place == 50
