from dataclasses import replace
from io import BytesIO

import numpy as np
from PIL import Image

from csi_predictor.evaluation.labels import evaluate_labels
from csi_predictor.reporting import label_figures
from csi_predictor.reporting.label_figures import (
    draw_areas,
    draw_class_confusion,
    draw_label_figures,
    shown_panels,
)
from csi_predictor.specs import TargetSpec

NAMES = {"auroc.png", "roc.png", "precision_recall.png", "reliability.png"}


def check_ink(figures: dict[str, bytes]) -> None:
    for name, content in figures.items():
        with Image.open(BytesIO(content)) as picture:
            assert picture.format == "PNG", name
            assert np.asarray(picture.convert("L")).std() > 10, name


def test_every_figure_of_labels_is_a_png_with_ink(label_case) -> None:
    figures = draw_label_figures(label_case.evaluation, label_case.predictions)
    assert set(figures) == NAMES
    check_ink(figures)


def test_every_figure_of_classes_is_a_png_with_ink(class_case) -> None:
    figures = draw_label_figures(class_case.evaluation, class_case.predictions)
    assert set(figures) == {*NAMES, "confusion.png"}
    check_ink(figures)


def test_figures_are_drawn_where_almost_nothing_is_defined(label_case) -> None:
    one = label_case.predictions.take(np.array([0]))
    assert set(draw_label_figures(evaluate_labels(one, rounds=0), one)) == NAMES


def test_equal_metrics_give_equal_bytes(label_case) -> None:
    metrics = label_case.evaluation.metrics
    assert draw_areas(metrics) == draw_areas(metrics)


def test_of_two_classes_the_second_ones_curve_is_drawn(class_case) -> None:
    names = class_case.predictions.names
    assert shown_panels(class_case.evaluation.metrics) == (names[1:] if len(names) == 2 else names)


def test_of_many_labels_those_with_the_most_positives_are_drawn(label_case, monkeypatch) -> None:
    monkeypatch.setattr(label_figures, "MAX_PANELS", 2)
    assert shown_panels(label_case.evaluation.metrics) == ("Effusion", "=Mass <b>")


def test_long_names_are_cut_and_many_classes_are_shaded_without_counts(label_case) -> None:
    names = tuple(f"class {k} with a name that goes on and on" for k in range(16))
    made = label_case.predictions
    many = replace(
        made,
        target_spec=TargetSpec(task="multiclass", names=names, num_classes=16),
        probs=np.full((40, 16), 1 / 16),
        targets=np.arange(40.0)[:, None] % 16,
        thresholds=(),
    )
    content = draw_class_confusion(evaluate_labels(many, rounds=0).metrics)
    check_ink({"confusion.png": content})
    with Image.open(BytesIO(content)) as picture:
        assert max(picture.size) < 2000
