"""An int8 form is loaded only with the report of an evaluation that allowed it."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from csi_predictor.errors import BundleError, ConfigError
from csi_predictor.inference.bundle import Bundle, load_bundle, save_bundle
from csi_predictor.inference.engines.int8_linear import Int8Linear
from csi_predictor.inference.predictor import Predictor
from csi_predictor.inference.quantization import (
    Int8Form,
    forget_int8,
    int8_folder,
    keep_int8,
    load_int8,
    make_int8,
    read_report,
)
from csi_predictor.models.create import create_model

CPU = torch.device("cpu")
VIT = "vit_tiny_patch16_224"


def predictor_of(folders: Sequence[Path], *, device: torch.device, **engine: Any) -> Predictor:
    return Predictor([load_bundle(folder) for folder in folders], device=device, **engine)


def bundle_of(
    folder: Path, architecture: str, *, size: int = 32, seed: int = 0, **answers: int
) -> Bundle:
    torch.manual_seed(seed)
    model = create_model(architecture, image_size=size, **answers)  # type: ignore[arg-type]
    save_bundle(
        folder,
        [model.state_dict()],
        spec=model.spec,
        test_time="none" if answers else "mirror",
        baseline_grades=(1.0,) * 6,
        learnt_ids=(),
        training={},
        config_ini="",
    )
    return load_bundle(folder)


@pytest.fixture(scope="module")
def transformer(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return bundle_of(tmp_path_factory.mktemp("vit"), VIT)


@pytest.fixture
def kept(transformer: Bundle, tmp_path: Path) -> Bundle:
    """The transformer's bundle with an allowed dynamic form."""
    keep_int8(transformer, "dynamic", make_int8(transformer, "dynamic", tmp_path), {"fall": 0.0})
    return transformer


def test_an_allowed_form_answers_in_int8(kept: Bundle) -> None:
    pixels = torch.randn(3, 3, 32, 32)
    exact = predictor_of([kept.folder], device=CPU)
    rounded = predictor_of([kept.folder], device=CPU, engine="torch-int8")
    difference = np.abs(exact.predict_pixels(pixels)[0] - rounded.predict_pixels(pixels)[0])
    assert 0 < difference.max() < 0.02
    assert exact.facts.engine.startswith("torch ")
    assert rounded.facts.engine == f"torch-int8 {torch.__version__} cpu"
    assert exact.facts.int8_sha256 == ""
    assert rounded.facts.int8_sha256 == read_report(kept, "dynamic")["report_sha256"]
    assert rounded.facts.model_sha256 == exact.facts.model_sha256
    assert any(isinstance(m, Int8Linear) for m in load_int8(kept, "dynamic")[0].modules())


def test_the_size_told_is_that_of_the_weights_as_a_file__weakness_001_12(
    transformer: Bundle, tmp_path: Path
) -> None:
    form = make_int8(transformer, "dynamic", tmp_path)
    share = form.num_int8 / form.num_weights
    assert share > 0.95
    rest = form.num_weights - form.num_int8
    expected = form.num_int8 + 4 * rest  # one byte and four; scales and names come on top
    assert expected < form.file_bytes < 1.03 * expected
    cnn = make_int8(bundle_of(tmp_path / "cnn", "resnet18", num_classes=7), "dynamic", tmp_path)
    assert cnn.num_int8 / cnn.num_weights < 0.005
    assert cnn.file_bytes > 0.98 * 4 * cnn.num_weights  # nothing like a quarter


def test_a_network_without_linear_layers_is_refused(tmp_path: Path) -> None:
    bundle = bundle_of(tmp_path, "custom1", size=64)
    with pytest.raises(ConfigError, match="has no layer that it could round: expected linear"):
        make_int8(bundle, "dynamic", tmp_path)


@pytest.mark.parametrize("engine", ["torch-int8", "openvino-int8"])
def test_without_a_report_int8_is_refused_with_the_way_to_one(tmp_path: Path, engine: str) -> None:
    bundle_of(tmp_path, "custom1", size=64)
    kind = "dynamic" if engine == "torch-int8" else "openvino"
    with pytest.raises(BundleError, match=f"no such file: .* QUANTIZE = {kind} first"):
        predictor_of([tmp_path], device=CPU, engine=engine)  # type: ignore[arg-type]


def test_int8_on_another_device_is_refused(kept: Bundle) -> None:
    with pytest.raises(ConfigError, match=r"ENGINE = torch-int8: int8 runs on the CPU, found meta"):
        predictor_of([kept.folder], device=torch.device("meta"), engine="torch-int8")


def test_a_report_of_other_weights_is_refused(kept: Bundle, tmp_path: Path) -> None:
    other = bundle_of(tmp_path / "other", VIT, seed=1)
    int8_folder(other, "dynamic").mkdir()
    report = int8_folder(kept, "dynamic") / "quantization.json"
    (int8_folder(other, "dynamic") / "quantization.json").write_bytes(report.read_bytes())
    with pytest.raises(BundleError, match=r"is about the weights .*QUANTIZE = dynamic first"):
        load_int8(other, "dynamic")


def test_a_changed_report_is_refused(kept: Bundle) -> None:
    path = int8_folder(kept, "dynamic") / "quantization.json"
    values = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**values, "fall": -1.0}), encoding="utf-8")
    with pytest.raises(BundleError, match="was changed, or is of another version"):
        load_int8(kept, "dynamic")
    path.write_text("{}", encoding="utf-8")
    with pytest.raises(BundleError, match=r"damaged \('report_sha256'\)"):
        load_int8(kept, "dynamic")


def test_files_that_the_evaluation_did_not_measure_are_refused(tmp_path: Path) -> None:
    bundle = bundle_of(tmp_path / "model", "custom1", size=64)
    files = tuple(tmp_path / name for name in ("member0.xml", "member0.bin"))
    for file in files:
        file.write_text(file.name, encoding="utf-8")
    folder = keep_int8(bundle, "openvino", Int8Form((), files, 1, 1, 1), {})
    assert read_report(bundle, "openvino")["files"].keys() == {"member0.xml", "member0.bin"}
    (folder / "member0.bin").write_text("others", encoding="utf-8")
    with pytest.raises(BundleError, match=r"member0\.bin: missing or not the file that the eval"):
        load_int8(bundle, "openvino")
    keep_int8(bundle, "openvino", Int8Form((), files[:1], 1, 1, 1), {})
    with pytest.raises(BundleError, match=r"names \['member0\.xml'\]: expected \['member0\.bin'"):
        load_int8(bundle, "openvino")


def test_a_forgotten_form_is_gone(kept: Bundle) -> None:
    forget_int8(kept, "dynamic")
    assert not int8_folder(kept, "dynamic").exists()
    forget_int8(kept, "dynamic")  # nothing to do is no error
