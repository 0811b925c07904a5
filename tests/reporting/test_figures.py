from dataclasses import replace
from io import BytesIO

import numpy as np
from PIL import Image

from csi_predictor.evaluation.evaluate import evaluate
from csi_predictor.reporting.figures import draw_figures, draw_zone_mae

NAMES = {
    *("zone_mae.png", "confusion_by_zone.png", "csi_scatter.png"),
    *("csi_bland_altman.png", "grade_distribution.png", "reliability.png"),
}


def test_every_figure_is_a_png_with_ink(case) -> None:
    figures = draw_figures(case.evaluation, case.predictions)
    assert set(figures) == NAMES
    for name, content in figures.items():
        with Image.open(BytesIO(content)) as picture:
            assert picture.format == "PNG", name
            assert np.asarray(picture.convert("L")).std() > 10, name


def test_figures_are_drawn_where_almost_nothing_is_defined(case) -> None:
    one = case.predictions.take(np.array([0]))
    withheld = replace(one, p_ungradable=np.ones((1, 6)))
    figures = draw_figures(evaluate(withheld, rounds=0), withheld)
    assert set(figures) == NAMES


def test_equal_metrics_give_equal_bytes(case) -> None:
    metrics = case.evaluation.metrics
    assert draw_zone_mae(metrics) == draw_zone_mae(metrics)
