"""Tables and picture of a benchmark."""

import csv
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from csi_predictor.benchmarking.records import COLUMNS, BenchmarkRow
from csi_predictor.reporting import benchmark
from csi_predictor.reporting.benchmark import (
    draw_benchmark,
    render_markdown,
    write_benchmark,
    write_picture,
)

EAGER = BenchmarkRow(
    model="resnet50",
    infer_img_size="224",
    infer_samples_per_sec=8.0,
    infer_step_time=125.0,
    infer_batch_size=1,
    param_count=25.557032,
    infer_gmacs=4.089184,
    infer_macts=11.114984,
    engine="eager",
    device="cpu",
    precision="fp32",
    threads=1,
    infer_step_time_p95=140.0,
    cpu_ms_per_image=110.0,
    peak_memory_mb=1234.5,
    max_abs_diff=0.0,
    max_abs_logit=1.25,
    rounds=10,
)
OPENVINO = replace(
    EAGER,
    engine="openvino",
    infer_samples_per_sec=16.0,
    infer_step_time=62.5,
    cpu_ms_per_image=50.0,
    max_abs_diff=2.4e-6,
)
FAILED = BenchmarkRow(
    model="vit_huge_patch14",
    infer_batch_size=1,
    engine="compile",
    device="cpu",
    precision="bf16",
    threads=1,
    error="out of memory: 9 GiB | no more",
)


def table_of(text: str) -> list[dict[str, str]]:
    lines = [line for line in text.splitlines() if line.startswith("|")]
    cells = [
        [cell.strip() for cell in line.strip("|").replace("\\|", "\0").split("|")] for line in lines
    ]
    return [dict(zip(cells[0], row, strict=True)) for row in cells[2:]]


def colours(png: bytes) -> set[tuple[int, int, int]]:
    pixels = np.asarray(Image.open(BytesIO(png)).convert("RGB")).reshape(-1, 3)
    return {tuple(map(int, pixel)) for pixel in np.unique(pixels, axis=0)}


def test_the_csv_has_timms_names_and_empty_cells_where_nothing_was_measured(
    tmp_path: Path,
) -> None:
    """Source: the heads of timm's results/benchmark-infer-*.csv and benchmark-train-*.csv."""
    write_benchmark([EAGER, FAILED], tmp_path, machine={})
    with (tmp_path / "benchmark.csv").open(encoding="utf-8", newline="") as file:
        first, second = csv.DictReader(file)
    timm = [
        "model",
        "infer_img_size",
        "infer_samples_per_sec",
        "infer_step_time",
        "infer_batch_size",
        "param_count",
        "infer_gmacs",
        "infer_macts",
        "train_samples_per_sec",
        "train_step_time",
        "train_batch_size",
        "train_img_size",
    ]
    ours = ["engine", "device", "precision", "peak_memory_mb", "max_abs_diff", "error"]
    assert set(timm + ours) <= set(COLUMNS)
    assert first["infer_step_time"] == "125"
    assert first["param_count"] == "25.55703"
    assert first["error"] == ""
    assert second["infer_step_time"] == ""
    assert second["error"] == "out of memory: 9 GiB | no more"


def test_the_markdown_compares_with_eager_of_the_same_setting() -> None:
    other_batch = replace(OPENVINO, infer_batch_size=16)
    text = render_markdown([EAGER, OPENVINO, other_batch, FAILED], {"Processor": "Zen 4"})
    eager, openvino, alone, failed = table_of(text)
    assert "- Processor: Zen 4" in text
    assert (eager["× eager"], openvino["× eager"], alone["× eager"]) == ("1.00", "2.00", "–")
    assert openvino["× eager, CPU"] == "2.20"
    assert openvino["Largest difference"] == "2.4e-06"
    assert eager["Largest difference"] == "0"
    assert eager["Peak MiB"] == "1,234"
    assert (eager["ms"], eager["GMACs"], eager["M parameters"]) == ("125", "4.09", "25.6")
    assert failed["ms"] == "–"
    assert failed["Why not"] == "out of memory: 9 GiB \0 no more"


def test_columns_that_nothing_fills_are_left_out() -> None:
    (row,) = table_of(render_markdown([EAGER], {}))
    assert "Why not" not in row
    assert "Training images/s" not in row
    assert "Quality" not in row
    judged = replace(EAGER, quality=0.7123, quality_metric="zone_qwk")
    (row,) = table_of(render_markdown([judged], {}))
    assert row["Quality"] == "0.712 zone_qwk"


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.61804, "0.618"), (8.0, "8.00"), (37.75, "37.8"), (125.0, "125"), (1617.9, "1,618")],
)
def test_numbers_have_three_figures(value: float, text: str) -> None:
    (row,) = table_of(render_markdown([replace(EAGER, infer_step_time=value)], {}))
    assert row["ms"] == text


def drawn(rows: list[BenchmarkRow], monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """What stands in the picture's axes."""
    found: dict[str, object] = {}
    draw_png = benchmark.chart.draw_png

    def spy(width: float, height: float, draw: object, **options: object) -> bytes:
        def look(figure: object) -> None:
            draw(figure)
            (axes,) = figure.axes
            found["x"], found["y"] = axes.get_xlabel(), axes.get_ylabel()
            found["points"] = [
                (line.get_xdata()[0], line.get_ydata()[0])
                for line in axes.lines
                if line.get_marker() != "None"
            ]
            found["names"] = [text.get_text() for text in axes.texts]
            found["lines"] = [text.get_text() for text in axes.get_yticklabels()]
            legend = figure.legends[0] if figure.legends else None
            found["legend"] = [text.get_text() for text in legend.get_texts()] if legend else []

        return draw_png(width, height, look, **options)

    monkeypatch.setattr(benchmark.chart, "draw_png", spy)
    draw_benchmark(rows)
    return found


def test_without_bundles_the_picture_is_speed_with_networks_by_their_parameters(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    small = replace(EAGER, model="custom1", param_count=0.98, infer_samples_per_sec=500.0)
    bf16 = replace(OPENVINO, precision="bf16", infer_samples_per_sec=32.0)
    found = drawn([EAGER, OPENVINO, FAILED, small, bf16], monkeypatch)
    assert found["x"] == "Images a second; networks by their parameters"
    assert found["lines"] == ["custom1  0.980 M", "resnet50  25.6 M"]
    assert found["points"] == [(8.0, -1.0), (16.0, -1.0), (500.0, 0.0), (32.0, -1.0)]
    assert found["legend"] == ["eager", "openvino", "openvino bf16"]


def test_with_bundles_it_is_quality_over_milliseconds_an_image(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    judged = replace(OPENVINO, quality=0.7, quality_metric="zone_qwk", infer_batch_size=4)
    found = drawn([EAGER, judged], monkeypatch)
    assert (found["x"], found["y"]) == ("Milliseconds an image", "QWK over zones")
    assert found["points"] == [(15.625, 0.7)]
    assert found["names"] == ["resnet50"]
    assert found["legend"] == ["openvino"]


def test_two_sizes_of_a_network_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    found = drawn([EAGER, replace(EAGER, infer_batch_size=16)], monkeypatch)
    assert found["lines"] == ["resnet50 224 ×1  25.6 M", "resnet50 224 ×16  25.6 M"]


@pytest.mark.parametrize("rows", [[], [FAILED]])
def test_a_run_in_which_nothing_worked_still_has_a_picture(
    rows: list[BenchmarkRow], tmp_path: Path
) -> None:
    write_picture(rows, tmp_path)
    with Image.open(tmp_path / "benchmark.png") as picture:
        assert picture.size[0] > 500


def test_engines_differ_in_form_and_in_colour() -> None:
    looks = benchmark._LOOKS.values()
    assert len({look["marker"] for look in looks}) == len(looks)
    assert len({look["color"] for look in looks}) == len(looks)
    assert (0x1C, 0x27, 0x33) in colours(draw_benchmark([EAGER]))
