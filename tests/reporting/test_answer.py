from typing import Any

import pytest

from csi_predictor.reporting.answer import answer_sentences, headline_tiles


def block(mae: float, qwk: float | None = 0.8) -> dict[str, Any]:
    figures = {"zone_mae": mae, "zone_qwk": qwk, "csi_mae": mae / 2}
    return {
        name + end: None if value is None else value + step
        for name, value in figures.items()
        for end, step in (("", 0), ("_ci_low", -0.05), ("_ci_high", 0.05))
    }


def metrics(gain: tuple[float | None, float | None] = (0.2, 0.4), **more: Any) -> dict[str, Any]:
    return {
        **block(0.5),
        "n_images": 118,
        "n_patients": 1,
        "baseline": block(0.82, 0.1),
        "gain_over_baseline": {"zone_mae_ci_low": gain[0], "zone_mae_ci_high": gain[1]},
        "second_reader": {"reader_vs_reader": block(0.4)},
    } | more


def test_the_answer_names_model_constant_and_readers() -> None:
    text = " ".join(answer_sentences(metrics()))
    assert "118 radiographs of 1 patient," in text
    assert "0.50 grades from the reader’s (95 % interval 0.45 to 0.55)" in text
    assert "median grade would be 0.82 away" in text
    assert "0.40 apart" in text


@pytest.mark.parametrize(
    ("gain", "words"),
    [
        ((0.1, 0.2), "better than that, beyond chance"),
        ((-0.2, -0.1), "worse than that, beyond chance"),
        ((-0.1, 0.1), "can’t be told from that"),
        ((None, None), "wasn’t computed"),
    ],
)
def test_the_verdict_follows_the_interval_of_the_gain(gain, words) -> None:
    assert words in " ".join(answer_sentences(metrics(gain)))


def test_without_a_second_reader_none_is_mentioned() -> None:
    alone = metrics(second_reader=None)
    assert len(answer_sentences(alone)) == 2
    assert [len(tile.yardsticks) for tile in headline_tiles(alone)] == [2, 2, 2]


def test_tiles_put_every_figure_on_one_scale() -> None:
    tile = headline_tiles(metrics())[0]
    assert tile.value == "0.50"
    assert tile.scale_end == "1"
    assert [(each.kind, each.text, each.place) for each in tile.yardsticks] == [
        ("model", "0.50", 50),
        ("reader", "0.40", 40),
        ("constant", "0.82", 82),
    ]


def test_an_undefined_figure_has_no_mark() -> None:
    tile = headline_tiles(metrics() | block(0.5, None))[1]
    assert tile.value == "–"
    assert tile.yardsticks[0].place is None
