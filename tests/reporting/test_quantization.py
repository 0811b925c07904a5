"""The report of int8 says what was found, in figures that were given by hand."""

import json
from pathlib import Path
from typing import Any

from csi_predictor.reporting.quantization import (
    render_quantization,
    sentence_of,
    write_quantization,
)


def record(**changes: Any) -> dict[str, Any]:
    return {
        "kind": "dynamic",
        "engine": "torch-int8 2.15.0 cpu",
        "model_id": "vit-1234",
        "split": "test",
        "figure": "zone_qwk",
        **dict.fromkeys(("fp32", "fp32_ci_low", "fp32_ci_high"), 0.8),
        **dict.fromkeys(("int8", "int8_ci_low", "int8_ci_high"), 0.795),
        "fall": 0.005,
        "fall_ci_low": -0.001,
        "fall_ci_high": 0.009,
        "n_images": 118,
        "n_patients": 117,
        "largest_probability_difference": 0.0123,
        "mean_probability_difference": 0.001,
        "n_calls": 708,
        "n_calls_changed": 3,
        "max_drop": 0.01,
        "holds": True,
        "num_calibration_images": 0,
        "weights": {
            "num_weights": 4000,
            "num_int8": 3000,
            "int8_share": 0.75,
            "num_fp32_weights": 4000,
            "fp32_bytes": 16_000_000,
            "int8_bytes": 8_000_000,
        },
        "speed": {
            "torch_fp32_ms": 30.0,
            "int8_ms": 20.0,
            "times_faster_than_torch_fp32": 1.5,
            "threads": 2,
        },
        "versions": {"torch": "2.15.0"},
        **changes,
    }


def test_size_share_speed_and_fall_stand_in_the_report__weakness_001_12() -> None:
    text = render_quantization(record())
    for part in (
        "Kept: QWK over zones 0.8000 in fp32 and 0.7950 in int8 on 118 images, a fall of 0.0050; "
        "allowed is 0.01.",
        "| int8 | 8.00 MB | 2.00 |",
        "3,000 of 4,000 weights (75.0 %) are int8.",
        "| float32, PyTorch | 30.00 | 1.50 |",
        "| fall | 0.0050 | −0.0010 to 0.0090 |",
        "3 of 708 answers changed",
        "2 thread(s)",
    ):
        assert part in text
    assert "float32, OpenVINO" not in text
    assert "Calibrated" not in text


def test_an_interval_beyond_what_is_allowed_and_few_patients_are_told() -> None:
    assert "on other images" not in render_quantization(record())
    assert "Its interval reaches 0.0300" in render_quantization(record(fall_ci_high=0.03))
    assert "Only 9 patients" in render_quantization(record(n_patients=9))


def test_a_refusal_and_an_undefined_figure_are_told() -> None:
    refused = render_quantization(record(holds=False, fall=0.2, int8=0.6))
    assert "**Refused**: QWK over zones 0.8000 in fp32 and 0.6000 in int8" in refused
    undefined = record(holds=False, fp32=0.4, int8=None, fall=None)
    assert sentence_of(undefined) == (
        "QWK over zones is undefined on 118 images (0.4000 in fp32, – in int8)"
    )


def test_calibration_and_the_third_network_of_openvino_are_told() -> None:
    speed = {**record()["speed"], "openvino_fp32_ms": 25.0, "times_faster_than_openvino_fp32": 1.25}
    text = render_quantization(record(kind="openvino", num_calibration_images=40, speed=speed))
    assert "| float32, OpenVINO | 25.00 | 1.25 |" in text
    assert "Calibrated on 40 validation images." in text


def test_both_files_are_written(tmp_path: Path) -> None:
    write_quantization(record(), tmp_path)
    assert json.loads((tmp_path / "quantization.json").read_text(encoding="utf-8")) == record()
    text = (tmp_path / "quantization.md").read_text(encoding="utf-8")
    assert text == render_quantization(record())
    assert text.endswith("Torch 2.15.0.\n")
